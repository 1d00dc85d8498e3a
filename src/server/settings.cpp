#include "server/settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include "orch/base/strings.h"
#include "orch/net/host.h"

namespace orch::server {
namespace {

bool is_ipv4(const std::string& text) {
  in_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

// "8760h", "90m", "45s", "365d".
Result<Seconds, std::string> parse_lifetime(const std::string& text) {
  int64_t unit = 0;
  switch (text.empty() ? 0 : text.back()) {
    case 'd':
      unit = 24 * 3600;
      break;
    case 'h':
      unit = 3600;
      break;
    case 'm':
      unit = 60;
      break;
    case 's':
      unit = 1;
      break;
  }
  const auto count = unit == 0 ? std::nullopt : parse_int(text.substr(0, text.size() - 1));
  constexpr int64_t kShortest = 30, kLongest = int64_t{3650} * 24 * 3600;
  if (!count || *count < 1 || *count > kLongest || *count * unit < kShortest ||
      *count * unit > kLongest) {
    return Err(
        fmt::format("--certificate-lifetime: \"{}\" is not a time from 30s to 3650d, such as "
                    "8760h or 90d",
                    text));
  }
  return Seconds{*count * unit};
}

Result<mode_t, std::string> parse_mode(const std::string& text) {
  if (text.empty() || text.size() > 4 || text.find_first_not_of("01234567") != std::string::npos) {
    return Err(fmt::format("--write-kubeconfig-mode: \"{}\" is not an octal mode", text));
  }
  return static_cast<mode_t>(std::stoul(text, nullptr, 8));
}

Result<Unit, std::string> check_port_range(const std::string& text) {
  const auto parts = split(text, '-');
  const auto low = parts.size() == 2 ? parse_int(parts[0]) : std::nullopt;
  const auto high = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!low || !high || *low < 1 || *high > 65535 || *low > *high) {
    return Err(fmt::format("--service-node-port-range: \"{}\" is not of the form LOW-HIGH", text));
  }
  return Unit{};
}

Result<Cidr, std::string> flag_cidr(std::string_view flag, const std::string& text) {
  auto cidr = Cidr::parse(text);
  if (!cidr) return Err(fmt::format("--{}: {}", flag, cidr.error()));
  return *cidr;
}

bool overlap(const Cidr& a, const Cidr& b) {
  const int bits = std::min(a.bits, b.bits);
  const uint32_t mask = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
  return (a.base & mask) == (b.base & mask);
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return to_lower(name);
}

Result<std::string, std::string> advertise_address(const ServerConfig& config) {
  if (!config.advertise_address.empty()) {
    if (!is_ipv4(config.advertise_address)) {
      return Err(fmt::format("--advertise-address: \"{}\" is not an IPv4 address",
                             config.advertise_address));
    }
    return config.advertise_address;
  }
  if (config.bind_address != "0.0.0.0") return config.bind_address;
  return net::default_ipv4_address().value_or("127.0.0.1");
}

// What is done to the embedded store's files has no meaning where there are none.
Result<Unit, std::string> check_datastore(const ServerConfig& config) {
  if (config.datastore_endpoint.empty() || config.snapshot_schedule.empty()) return Unit{};
  return Err(
      std::string("--snapshot-schedule: is of the embedded store, not with --datastore-endpoint: "
                  "use `etcdctl snapshot save`"));
}

}  // namespace

Result<Settings, std::string> make_settings(const ServerConfig& config) {
  Settings settings;
  if (config.data_dir.empty()) return Err(std::string("--data-dir: must not be empty"));
  if (!is_ipv4(config.bind_address)) {
    return Err(fmt::format("--bind-address: \"{}\" is not an IPv4 address", config.bind_address));
  }
  ORCH_CHECK(check_datastore(config));
  settings.directory = config.data_dir + "/server";
  ORCH_TRY(settings.kubeconfig_mode, parse_mode(config.write_kubeconfig_mode));
  ORCH_TRY(settings.certificate_lifetime, parse_lifetime(config.certificate_lifetime));
  ORCH_CHECK(check_port_range(config.service_node_port_range));
  ORCH_TRY(const Cidr pods, flag_cidr("cluster-cidr", config.cluster_cidr));
  ORCH_TRY(const Cidr services, flag_cidr("service-cidr", config.service_cidr));
  if (services.bits > 28 || services.bits < 8) {
    return Err(std::string("--service-cidr: its prefix must be between /8 and /28"));
  }
  if (pods.bits > 24) return Err(std::string("--cluster-cidr: its prefix must be /24 or shorter"));
  if (overlap(pods, services)) {
    return Err(std::string("--cluster-cidr and --service-cidr must not overlap"));
  }
  auto pool = LbPool::parse(config.lb_pool);
  if (!pool) return Err("--lb-pool: " + pool.error());
  settings.lb_pool = std::move(*pool);
  for (const auto& [cidr, flag] : {std::pair{pods, "cluster-cidr"}, {services, "service-cidr"}}) {
    const uint32_t host_bits = cidr.bits == 0 ? ~uint32_t{0} : ~(~uint32_t{0} << (32 - cidr.bits));
    const uint32_t base = cidr.base & ~host_bits;
    if (settings.lb_pool.overlaps(base, base | host_bits)) {
      return Err(fmt::format("--lb-pool and --{} must not overlap", flag));
    }
  }
  settings.kubernetes_ip = services.address(1);
  settings.cluster_dns = config.cluster_dns.empty() ? services.address(10) : config.cluster_dns;
  if (!is_ipv4(settings.cluster_dns)) {
    return Err(fmt::format("--cluster-dns: \"{}\" is not an IPv4 address", settings.cluster_dns));
  }
  ORCH_TRY(settings.advertise_address, advertise_address(config));
  settings.local_url_host = config.bind_address == "0.0.0.0" ? "127.0.0.1" : config.bind_address;

  settings.node_name = config.node_name.empty() ? host_name() : config.node_name;
  settings.certificate_dns_names = {"kubernetes",
                                    "kubernetes.default",
                                    "kubernetes.default.svc",
                                    "kubernetes.default.svc." + config.cluster_domain,
                                    "localhost",
                                    settings.node_name};
  settings.certificate_ips = {"127.0.0.1", settings.advertise_address, settings.kubernetes_ip};
  if (config.bind_address != "0.0.0.0") settings.certificate_ips.push_back(config.bind_address);
  for (const auto& san : config.tls_san) {
    (is_ipv4(san) ? settings.certificate_ips : settings.certificate_dns_names).push_back(san);
  }
  return settings;
}

}  // namespace orch::server
