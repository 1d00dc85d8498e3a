#include <catch2/catch.hpp>

#include "orch/net/netlink.h"
#include "orch/net/proxy.h"

using namespace orch;
using namespace orch::net;
using Kind = FrontendRule::Kind;

namespace {

const ProxyNode kNode{"n1", "10.42.0.0/16"};

ProxyService web() {
  ProxyService service;
  service.namespace_ = "default";
  service.name = "web";
  service.cluster_ips = {"10.43.1.1"};
  ProxyPort port;
  port.name = "http";
  port.port = 80;
  port.endpoints = {{"10.42.1.9", 8080, true, true, false, false},
                    {"10.42.0.5", 8080, true, true, false, true}};
  service.ports = {port};
  return service;
}

uint32_t ip(const char* text) { return parse_ipv4(text).value(); }

}  // namespace

TEST_CASE("a cluster IP leads to its ready endpoints, sorted") {
  RuleSet rules = build_rules({web()}, kNode);
  REQUIRE(rules.frontends.size() == 1);
  const auto& [frontend, rule] = *rules.frontends.begin();
  CHECK(frontend == Frontend{ip("10.43.1.1"), Protocol::kTcp, 80});
  CHECK(rule.kind == Kind::kInternal);
  CHECK(rule.owner == "default/web:http");
  CHECK(rule.endpoints == std::vector<Backend>{{ip("10.42.0.5"), 8080}, {ip("10.42.1.9"), 8080}});
  CHECK(rules.local_endpoint_ips == std::set<uint32_t>{ip("10.42.0.5")});
  CHECK(rules.skipped.empty());
  CHECK(rules.cluster_network == ip("10.42.0.0"));
}

TEST_CASE("not ready endpoints are left out, and published if the Service says so") {
  ProxyService service = web();
  service.ports[0].endpoints[0].ready = false;
  CHECK(build_rules({service}, kNode).frontends.begin()->second.endpoints.size() == 1);
  service.publish_not_ready_addresses = true;
  CHECK(build_rules({service}, kNode).frontends.begin()->second.endpoints.size() == 2);
}

TEST_CASE("terminating endpoints serve only when nothing is ready") {
  ProxyService service = web();
  service.ports[0].endpoints[0] = {"10.42.1.9", 8080, false, true, true, false};
  auto one = build_rules({service}, kNode).frontends.begin()->second;
  CHECK(one.endpoints == std::vector<Backend>{{ip("10.42.0.5"), 8080}});
  service.ports[0].endpoints[1] = {"10.42.0.5", 8080, false, false, true, true};
  auto fallback = build_rules({service}, kNode).frontends.begin()->second;
  CHECK(fallback.endpoints == std::vector<Backend>{{ip("10.42.1.9"), 8080}});
}

TEST_CASE("no endpoints: reject; none here under a Local policy: drop") {
  ProxyService service = web();
  service.ports[0].node_port = 30080;
  service.ports[0].endpoints.pop_back();  // the local one
  service.internal_traffic_local = true;
  service.external_traffic_local = true;
  RuleSet rules = build_rules({service}, kNode);
  CHECK(rules.frontends.at({ip("10.43.1.1"), Protocol::kTcp, 80}).kind == Kind::kDrop);
  const FrontendRule& node_port = rules.frontends.at({0, Protocol::kTcp, 30080});
  CHECK(node_port.kind == Kind::kExternalLocal);
  CHECK(node_port.local.empty());
  CHECK(node_port.endpoints.size() == 1);
  service.ports[0].endpoints.clear();
  rules = build_rules({service}, kNode);
  for (const auto& [frontend, rule] : rules.frontends) CHECK(rule.kind == Kind::kReject);
  CHECK(rules.frontends.size() == 2);
}

TEST_CASE("external addresses follow the external policy, cluster IPs the internal one") {
  ProxyService service = web();
  service.external_ips = {"192.168.0.7"};
  service.external_traffic_local = true;
  service.session_affinity_client_ip = true;
  service.affinity_timeout = Seconds{60};
  RuleSet rules = build_rules({service}, kNode);
  const FrontendRule& external = rules.frontends.at({ip("192.168.0.7"), Protocol::kTcp, 80});
  CHECK(external.kind == Kind::kExternalLocal);
  CHECK(external.local == std::vector<Backend>{{ip("10.42.0.5"), 8080}});
  CHECK(external.endpoints.size() == 2);
  CHECK(external.affinity_seconds == 60);
  CHECK(rules.frontends.at({ip("10.43.1.1"), Protocol::kTcp, 80}).endpoints.size() == 2);
}

TEST_CASE("source ranges guard the load balancer's addresses alone") {
  ProxyService service = web();
  service.external_ips = {"192.168.0.7"};
  service.load_balancer_ips = {"192.168.0.8"};
  service.load_balancer_source_ranges = {"10.1.0.0/16", " 10.1.2.3/16 ", "fd00::/8"};
  RuleSet rules = build_rules({service}, kNode);
  const FrontendRule& balancer = rules.frontends.at({ip("192.168.0.8"), Protocol::kTcp, 80});
  CHECK(balancer.guarded);
  CHECK(balancer.sources == std::vector<SourceRange>{{ip("10.1.0.0"), 0xffff0000}});
  CHECK_FALSE(rules.frontends.at({ip("192.168.0.7"), Protocol::kTcp, 80}).guarded);
  CHECK_FALSE(rules.frontends.at({ip("10.43.1.1"), Protocol::kTcp, 80}).guarded);
  CHECK(rules.skipped.empty());
  // What cannot be read lets nobody in.
  service.load_balancer_source_ranges = {"nonsense"};
  rules = build_rules({service}, kNode);
  CHECK(rules.frontends.at({ip("192.168.0.8"), Protocol::kTcp, 80}).guarded);
  CHECK(rules.frontends.at({ip("192.168.0.8"), Protocol::kTcp, 80}).sources.empty());
  CHECK(rules.skipped.size() == 1);
}

TEST_CASE("bad values are skipped and named; IPv6 and None quietly") {
  ProxyService service = web();
  service.cluster_ips = {"None", "fd00::1", "10.43.1", "10.43.1.1"};
  service.ports[0].endpoints.push_back({"fd00::2", 80});
  service.ports[0].endpoints.push_back({"10.42.0.300", 80});
  RuleSet rules = build_rules({service}, kNode);
  CHECK(rules.frontends.size() == 1);
  REQUIRE(rules.skipped.size() == 2);
  CHECK(rules.skipped[0] == "service default/web: invalid endpoint 10.42.0.300:80");
  CHECK(rules.skipped[1] == "service default/web:http: invalid clusterIP \"10.43.1\"");
}

TEST_CASE("of two Services with one address the first by name wins, whatever the order given") {
  ProxyService a = web(), b = web();
  b.name = "other";
  for (auto list : {std::vector{a, b}, std::vector{b, a}}) {
    RuleSet rules = build_rules(list, kNode);
    CHECK(rules.frontends.begin()->second.owner == "default/other:http");
    REQUIRE(rules.skipped.size() == 1);
    CHECK(rules.skipped[0] ==
          "service default/web:http: 10.43.1.1:80/TCP is already served for default/other:http");
  }
}

TEST_CASE("healthCheckNodePort counts ready endpoints of this node") {
  ProxyService service = web();
  CHECK(local_ready_endpoints(service) == 1);
  service.ports[0].endpoints[1].ready = false;
  CHECK(local_ready_endpoints(service) == 0);
}

TEST_CASE("protocols and modes by name") {
  CHECK(*parse_protocol("") == Protocol::kTcp);
  CHECK(*parse_protocol("SCTP") == Protocol::kSctp);
  CHECK(parse_protocol("tcp").error() == "invalid protocol \"tcp\": must be TCP, UDP or SCTP");
  CHECK(make_proxy_backend("iptables", {"t"}).error() ==
        "proxy mode iptables is not available in this build; use nftables");
  CHECK(make_proxy_backend("ipvs", {"t"}).error() ==
        "invalid proxy mode \"ipvs\": must be one of nftables, iptables");
}
