#include "server/settings.h"

#include <catch2/catch.hpp>

namespace orch::server {
namespace {

std::string refused(const ServerConfig& config) {
  auto settings = make_settings(config);
  return settings ? "" : settings.error();
}

TEST_CASE("settings: defaults complete themselves") {
  ServerConfig config;
  config.node_name = "box";
  config.advertise_address = "192.0.2.7";
  config.tls_san = {"api.example.com", "198.51.100.1"};
  auto settings = make_settings(config);
  REQUIRE(settings);
  CHECK(settings->directory == "/var/lib/orch/server");
  CHECK(settings->kubernetes_ip == "10.43.0.1");
  CHECK(settings->cluster_dns == "10.43.0.10");
  CHECK(settings->local_url_host == "127.0.0.1");
  CHECK(settings->kubeconfig_mode == 0600);
  CHECK(settings->certificate_dns_names ==
        std::vector<std::string>{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                 "kubernetes.default.svc.cluster.local", "localhost", "box",
                                 "api.example.com"});
  CHECK(settings->certificate_ips ==
        std::vector<std::string>{"127.0.0.1", "192.0.2.7", "10.43.0.1", "198.51.100.1"});
  config.bind_address = "192.0.2.9";
  config.advertise_address.clear();
  CHECK(make_settings(config)->local_url_host == "192.0.2.9");
  CHECK(make_settings(config)->advertise_address == "192.0.2.9");
}

TEST_CASE("settings: pools of load balancers and lifetimes of certificates") {
  ServerConfig config;
  config.advertise_address = "192.0.2.7";
  CHECK(make_settings(config)->certificate_lifetime == Seconds{365 * 24 * 3600});
  CHECK(make_settings(config)->lb_pool.empty());
  for (const auto& [text, seconds] : {std::pair{"30s", 30}, {"90m", 5400}, {"2d", 172800}}) {
    config.certificate_lifetime = text;
    CHECK(make_settings(config)->certificate_lifetime == Seconds{seconds});
  }
  for (const char* bad : {"", "h", "1", "29s", "-1h", "3651d", "1w", "99999999999999999999h"}) {
    INFO(bad);
    config.certificate_lifetime = bad;
    CHECK(refused(config).starts_with("--certificate-lifetime: "));
  }
  config.certificate_lifetime = "1h";
  config.lb_pool = {"192.0.2.0/28"};
  CHECK_FALSE(make_settings(config)->lb_pool.empty());
  config.lb_pool = {"192.0.2.0/28", "10.43.255.255-10.44.0.9"};
  CHECK(refused(config) == "--lb-pool and --service-cidr must not overlap");
  config.lb_pool = {"10.0.0.0/8"};
  CHECK(refused(config) == "--lb-pool and --cluster-cidr must not overlap");
  config.lb_pool = {"everything"};
  CHECK(refused(config).starts_with("--lb-pool: \"everything\""));
}

TEST_CASE("settings: what is wrong is named by its flag") {
  const auto with = [](auto change) {
    ServerConfig config;
    change(config);
    return refused(config);
  };
  CHECK(with([](auto& c) { c.data_dir = ""; }).starts_with("--data-dir: "));
  CHECK(with([](auto& c) { c.bind_address = "localhost"; }).starts_with("--bind-address: "));
  CHECK(with([](auto& c) { c.advertise_address = "x"; }).starts_with("--advertise-address: "));
  CHECK(with([](auto& c) { c.cluster_dns = "x"; }).starts_with("--cluster-dns: "));
  for (const char* mode : {"", "rw", "0800", "06000"}) {
    CHECK(with([&](auto& c) {
            c.write_kubeconfig_mode = mode;
          }).starts_with("--write-kubeconfig-mode: "));
  }
  for (const char* range : {"", "30000", "32767-30000", "0-10", "1-65536", "a-b", "1-2-3"}) {
    INFO(range);
    CHECK(with([&](auto& c) {
            c.service_node_port_range = range;
          }).starts_with("--service-node-port-range: "));
  }
  for (const char* cidr :
       {"", "10.42.0.0", "10.42.0.0/33", "10.42.0.1/16", "10.42.0.0/25", "x/8"}) {
    INFO(cidr);
    CHECK(with([&](auto& c) { c.cluster_cidr = cidr; }).starts_with("--cluster-cidr: "));
  }
  for (const char* cidr : {"10.43.0.0/29", "0.0.0.0/0", "fd00::/64"}) {
    CHECK(with([&](auto& c) { c.service_cidr = cidr; }).starts_with("--service-cidr: "));
  }
  CHECK(with([](auto& c) { c.service_cidr = "10.42.1.0/24"; }).find("overlap") !=
        std::string::npos);
}

TEST_CASE("what is of the embedded store's files is refused with a datastore") {
  const auto refused = [](auto change) {
    ServerConfig config;
    config.datastore_endpoint = "https://127.0.0.1:2379";
    change(config);
    const auto settings = make_settings(config);
    return settings ? std::string() : settings.error();
  };
  CHECK(refused([](auto&) {}).empty());
  CHECK(refused([](auto& c) { c.secrets_encryption = true; }).empty());
  CHECK(refused([](auto& c) { c.encryption_provider_config = "f"; }).empty());
  CHECK(refused([](auto& c) {
          c.snapshot_schedule = "@daily";
        }).starts_with("--snapshot-schedule: "));
}

TEST_CASE("CIDRs count their addresses") {
  auto cidr = Cidr::parse("10.43.0.0/16");
  REQUIRE(cidr);
  CHECK(cidr->address(0) == "10.43.0.0");
  CHECK(cidr->address(10) == "10.43.0.10");
  CHECK(cidr->address(256) == "10.43.1.0");
}

}  // namespace
}  // namespace orch::server
