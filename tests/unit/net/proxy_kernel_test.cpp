// The nftables mode against the real kernel: a node with a pod bridge in namespaces of their own.
#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <map>

#include "net/netlink/conntrack.h"
#include "orch/net/netlink.h"
#include "orch/net/proxy.h"
#include "unit/net/netns_support.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

namespace {

constexpr const char* kVip = "10.43.1.1";

// node: 10.42.0.1 towards three "pods", 192.168.9.1 towards an outside client.
struct Cluster {
  TestNetns node{"node"}, outside{"outside"};
  std::vector<std::unique_ptr<TestNetns>> pods;
  std::unique_ptr<ProxyBackend> proxy;

  Cluster() {
    node.forwarding();
    connect(node, "out", "192.168.9.1/24", outside, "eth0", "192.168.9.2/24");
    route(outside, "0.0.0.0/0", "192.168.9.1", "eth0");
    auto netlink = node.netlink();
    for (int i = 0; i < 3; ++i) {
      pods.push_back(std::make_unique<TestNetns>(fmt::format("pod{}", i)));
      std::string link = fmt::format("pod{}", i);
      connect(node, link, "10.42.0.1/32", *pods[i], "eth0", ip(i) + "/32");
      REQUIRE(netlink->ensure_route(
          {*parse_prefix(ip(i) + "/32"), 0, netlink->find_link(link)->value().index}));
      route(*pods[i], "10.42.0.1/32", "", "eth0");
      route(*pods[i], "0.0.0.0/0", "10.42.0.1", "eth0");
    }
    node.run([&]() -> Result<Unit, NetError> {
      ORCH_TRY(proxy, make_proxy_backend("nftables", {"orch-test"}));
      ORCH_CHECK(ensure_dummy_address("dns", "10.43.0.10"));
      return ensure_service_route("dns", "10.43.0.0/16", "192.168.9.1");
    });
  }
  static std::string ip(int pod) { return fmt::format("10.42.0.{}", pod + 10); }
  static void route(const TestNetns& in, const std::string& to, const std::string& via,
                    const std::string& link) {
    auto netlink = in.netlink();
    Route route;
    route.destination = *parse_prefix(to);
    if (!via.empty()) route.gateway = *parse_ipv4(via);
    route.link_index = netlink->find_link(link)->value().index;
    auto done = netlink->ensure_route(route);
    if (!done) FAIL(done.error());
  }
  void apply(const std::vector<ProxyService>& services) {
    node.run([&] { return proxy->apply(build_rules(services, {"node", "10.42.0.0/16"})); });
  }
};

ProxyService service_of(Protocol protocol, int endpoints, uint16_t target = 8080) {
  ProxyService service;
  service.namespace_ = "default";
  service.name = "web";
  service.cluster_ips = {kVip};
  ProxyPort port;
  port.protocol = protocol;
  port.port = 80;
  for (int i = 0; i < endpoints; ++i) {
    ProxyEndpoint endpoint;
    endpoint.ip = Cluster::ip(i);
    endpoint.port = target;
    endpoint.node_local = true;
    port.endpoints.push_back(endpoint);
  }
  service.ports = {port};
  return service;
}

std::map<std::string, int> spread(const TestNetns& from, const std::string& ip, uint16_t port,
                                  int times, Protocol protocol = Protocol::kTcp) {
  std::map<std::string, int> seen;
  for (int i = 0; i < times; ++i) {
    Asked asked = ask(from, protocol, ip, port);
    ++seen[asked.error.empty() ? asked.server : asked.error];
  }
  return seen;
}

// All three, and nothing but them.
bool balanced(std::map<std::string, int> seen) {
  int answers = 0;
  for (const auto& [name, count] : seen) {
    if (name[0] == 's' && name.size() == 2)
      answers += count;
    else
      return false;
  }
  return seen.size() == 3 && answers > 0;
}

struct Servers {
  std::vector<std::unique_ptr<EchoServer>> list;
  Servers(Cluster& cluster, Protocol protocol, uint16_t port = 8080) {
    for (int i = 0; i < 3; ++i) {
      list.push_back(std::make_unique<EchoServer>(*cluster.pods[i], protocol, Cluster::ip(i), port,
                                                  fmt::format("s{}", i)));
    }
  }
};

}  // namespace

TEST_CASE("nftables: cluster IPs balance from pods and from the host", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  Servers servers(cluster, Protocol::kTcp);
  cluster.apply({service_of(Protocol::kTcp, 3)});
  auto seen = spread(cluster.node, kVip, 80, 60);
  CHECK(balanced(seen));
  for (const auto& [name, count] : seen) CHECK(count >= 5);
  seen = spread(*cluster.pods[0], kVip, 80, 60);
  CHECK(balanced(seen));  // itself among them: hairpin
  for (const auto& [name, count] : seen) CHECK(count >= 5);

  // A pod keeps its address towards others; only towards itself it is masqueraded.
  for (int i = 0; i < 20; ++i) {
    Asked asked = ask(*cluster.pods[0], Protocol::kTcp, kVip, 80);
    CHECK(asked.client_ip == (asked.server == "s0" ? "10.42.0.1" : "10.42.0.10"));
  }

  cluster.apply({service_of(Protocol::kTcp, 1)});
  CHECK(spread(*cluster.pods[1], kVip, 80, 10) == std::map<std::string, int>{{"s0", 10}});
  // Another port of the address is not served.
  CHECK(!ask(*cluster.pods[1], Protocol::kTcp, kVip, 81, 0, 200).error.empty());
}

TEST_CASE("nftables: without endpoints connections are refused at once", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  for (Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    ProxyService service = service_of(protocol, 0);
    service.ports[0].node_port = 30080;
    cluster.apply({service});
    // A datagram rejected on its way out fails its own send().
    CHECK(ask(cluster.node, protocol, kVip, 80).error ==
          (protocol == Protocol::kTcp ? "Connection refused" : "Operation not permitted"));
    CHECK(ask(*cluster.pods[0], protocol, kVip, 80).error == "Connection refused");
    CHECK(ask(cluster.outside, protocol, "192.168.9.1", 30080).error == "Connection refused");
  }
}

TEST_CASE("nftables: node ports and external IPs", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  Servers servers(cluster, Protocol::kTcp);
  ProxyService service = service_of(Protocol::kTcp, 3);
  service.ports[0].node_port = 30080;
  service.external_ips = {"203.0.113.5"};
  cluster.apply({service});

  CHECK(balanced(spread(cluster.outside, "192.168.9.1", 30080, 40)));
  CHECK(balanced(spread(cluster.outside, "203.0.113.5", 80, 40)));
  CHECK(balanced(spread(cluster.node, "192.168.9.1", 30080, 40)));
  CHECK(balanced(spread(*cluster.pods[0], "192.168.9.1", 30080, 40)));
  CHECK(ask(cluster.outside, Protocol::kTcp, "192.168.9.1", 30080).client_ip == "10.42.0.1");
  CHECK(ask(cluster.node, Protocol::kTcp, "127.0.0.1", 30080).error == "Connection refused");

  SECTION("Local keeps the source and stays on this node") {
    service.external_traffic_local = true;
    service.ports[0].endpoints[0].node_local = false;
    service.ports[0].endpoints[1].node_local = false;
    cluster.apply({service});
    for (int i = 0; i < 10; ++i) {
      Asked asked = ask(cluster.outside, Protocol::kTcp, "192.168.9.1", 30080);
      CHECK(asked.server == "s2");
      CHECK(asked.client_ip == "192.168.9.2");
    }
    CHECK(balanced(spread(*cluster.pods[2], "192.168.9.1", 30080, 40)));
    CHECK(balanced(spread(cluster.node, "192.168.9.1", 30080, 40)));
    service.ports[0].endpoints[2].node_local = false;
    cluster.apply({service});
    CHECK(ask(cluster.outside, Protocol::kTcp, "192.168.9.1", 30080, 0, 300).error == "timeout");
  }
}

TEST_CASE("nftables: source ranges of a load balancer", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  Servers servers(cluster, Protocol::kTcp);
  const auto from_outside = [&] {
    return ask(cluster.outside, Protocol::kTcp, "203.0.113.6", 80, 0, 500).error;
  };
  ProxyService service = service_of(Protocol::kTcp, 3);
  service.load_balancer_ips = {"203.0.113.6"};
  cluster.apply({service});
  CHECK(from_outside() == "");
  service.load_balancer_source_ranges = {"198.51.100.0/24"};
  cluster.apply({service});
  CHECK(from_outside() == "timeout");
  CHECK(ask(cluster.outside, Protocol::kTcp, kVip, 80).error == "");
  service.load_balancer_source_ranges.push_back("192.168.9.0/24");
  cluster.apply({service});
  CHECK(from_outside() == "");
  CHECK(ask(*cluster.pods[0], Protocol::kTcp, "203.0.113.6", 80, 0, 500).error == "timeout");
  service.load_balancer_source_ranges.clear();
  cluster.apply({service});
  CHECK(ask(*cluster.pods[0], Protocol::kTcp, "203.0.113.6", 80).error == "");
  // Whole, from nothing: as after a restart.
  service.load_balancer_source_ranges = {"198.51.100.0/24"};
  cluster.node.run([&]() -> Result<Unit, NetError> {
    ORCH_TRY(cluster.proxy, make_proxy_backend("nftables", {"orch-test"}));
    return Unit{};
  });
  cluster.apply({service});
  CHECK(from_outside() == "timeout");
  cluster.apply({});
}

TEST_CASE("addresses are held, announced and given up", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns node{"holder"}, outside{"neighbour"};
  connect(node, "out", "192.168.9.1/24", outside, "eth0", "192.168.9.2/24");
  const uint32_t first = *parse_ipv4("192.168.9.50"), second = *parse_ipv4("192.168.9.51");
  EchoServer server(node, Protocol::kTcp, "0.0.0.0", 80, "node");
  const auto hold = [&](const std::vector<uint32_t>& addresses) {
    std::vector<uint32_t> fresh;
    node.run([&]() -> Result<Unit, NetError> {
      ORCH_TRY(fresh, hold_addresses("lb", addresses));
      for (const uint32_t address : fresh) ORCH_CHECK(announce_address(address, "192.168.9.1"));
      return Unit{};
    });
    return fresh;
  };
  CHECK(ask(outside, Protocol::kTcp, "192.168.9.50", 80, 0, 300).error != "");
  CHECK(hold({first, second}) == std::vector<uint32_t>{first, second});
  CHECK(hold({first, second}).empty());
  CHECK(ask(outside, Protocol::kTcp, "192.168.9.50", 80).server == "node");
  CHECK(hold({second}).empty());
  CHECK(ask(outside, Protocol::kTcp, "192.168.9.51", 80).server == "node");
  CHECK(ask(outside, Protocol::kTcp, "192.168.9.50", 80, 0, 300).error != "");
  CHECK(hold({}).empty());
  CHECK_FALSE(node.netlink()->find_link("lb")->has_value());
}

TEST_CASE("nftables: session affinity holds while its endpoint does", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  Servers servers(cluster, Protocol::kTcp);
  ProxyService service = service_of(Protocol::kTcp, 3);
  service.session_affinity_client_ip = true;
  service.affinity_timeout = Seconds{2};
  service.ports[0].node_port = 30080;
  cluster.apply({service});
  auto first = spread(*cluster.pods[1], kVip, 80, 20);
  REQUIRE(first.size() == 1);
  std::string chosen = first.begin()->first;
  // Other clients are not bound by it; node ports are affine too.
  CHECK(spread(cluster.outside, "192.168.9.1", 30080, 20).size() == 1);

  // The chosen endpoint goes away: another one is taken, and kept.
  ProxyService without = service;
  without.ports[0].endpoints.erase(without.ports[0].endpoints.begin() + (chosen[1] - '0'));
  cluster.apply({without});
  auto second = spread(*cluster.pods[1], kVip, 80, 20);
  REQUIRE(second.size() == 1);
  CHECK(second.begin()->first != chosen);
  CHECK(second.begin()->first[0] == 's');

  // After the timeout the choice is made anew; in 24 tries not always alike.
  service.affinity_timeout = Seconds{1};
  cluster.apply({service});
  std::map<std::string, int> seen;
  for (int i = 0; i < 8 && seen.size() < 2; ++i) {
    ++seen[ask(*cluster.pods[2], Protocol::kTcp, kVip, 80).server];
    std::this_thread::sleep_for(std::chrono::milliseconds(1300));
  }
  CHECK(seen.size() >= 2);
}

TEST_CASE("nftables: UDP clients leave endpoints that are gone", "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  Servers servers(cluster, Protocol::kUdp);
  cluster.apply({service_of(Protocol::kUdp, 3)});
  CHECK(balanced(spread(*cluster.pods[0], kVip, 80, 40, Protocol::kUdp)));

  // One client port: its conntrack entry would lead to the same endpoint for ever.
  Asked before = ask(*cluster.pods[0], Protocol::kUdp, kVip, 80, 5555);
  REQUIRE(before.error.empty());
  ProxyService without = service_of(Protocol::kUdp, 3);
  without.ports[0].endpoints.erase(without.ports[0].endpoints.begin() + (before.server[1] - '0'));
  cluster.apply({without});
  Asked after = ask(*cluster.pods[0], Protocol::kUdp, kVip, 80, 5555);
  CHECK(after.error == "");
  CHECK(after.server != before.server);

  // Asked while nothing served it, then endpoints come.
  cluster.apply({service_of(Protocol::kUdp, 0)});
  CHECK(ask(cluster.outside, Protocol::kUdp, kVip, 80, 5556, 300).error == "Connection refused");
  cluster.apply({});
  (void)ask(cluster.outside, Protocol::kUdp, kVip, 80, 5557, 200);
  cluster.apply({service_of(Protocol::kUdp, 2)});
  CHECK(ask(cluster.outside, Protocol::kUdp, kVip, 80, 5557).error == "");
}

TEST_CASE("nftables: a Service may lead to the node itself, as kubernetes.default does",
          "[kernel]") {
  if (skip_kernel_tests()) return;
  Cluster cluster;
  EchoServer server(cluster.node, Protocol::kTcp, "192.168.9.1", 6443, "api");
  ProxyService service = service_of(Protocol::kTcp, 0);
  service.ports[0].port = 443;
  service.ports[0].endpoints = {{"192.168.9.1", 6443}};
  cluster.apply({service});
  CHECK(ask(*cluster.pods[0], Protocol::kTcp, kVip, 443).server == "api");
  CHECK(ask(*cluster.pods[0], Protocol::kTcp, kVip, 443).client_ip == "10.42.0.10");
  CHECK(ask(cluster.node, Protocol::kTcp, kVip, 443).server == "api");
}

TEST_CASE("nftables: only our own table is touched, and it is made again when flushed",
          "[kernel]") {
  if (skip_kernel_tests()) return;
  if (shell("command -v nft").empty()) {
    WARN("skipped: no nft to look at the ruleset with");
    return;
  }
  Cluster cluster;
  Servers servers(cluster, Protocol::kTcp);
  auto nft = [&](const std::string& arguments) {
    return shell(fmt::format("nsenter --net={} nft {} 2>&1", cluster.node.path(), arguments));
  };
  nft("add table ip foreign");
  nft("'add chain ip foreign c { type filter hook input priority 0; }'");
  nft("add rule ip foreign c tcp dport 1 drop");
  std::string foreign = nft("list table ip foreign");
  REQUIRE(foreign.find("drop") != std::string::npos);
  std::unique_ptr<ProxyBackend> second;
  cluster.node.run([&]() -> Result<Unit, NetError> {
    ORCH_TRY(second, make_proxy_backend("nftables", {"orch-two"}));
    return second->apply(RuleSet{});
  });
  ProxyService service = service_of(Protocol::kTcp, 3);
  service.session_affinity_client_ip = true;
  cluster.apply({service});
  cluster.apply({service_of(Protocol::kTcp, 2)});
  CHECK(nft("list table ip foreign") == foreign);
  CHECK(nft("list table ip orch-two").find("service-ips") != std::string::npos);
  std::string ours = nft("list table ip orch-test");
  CHECK(ours.find("internal-ip-2") != std::string::npos);
  CHECK(ours.find("internal-ip-3") == std::string::npos);  // chains no longer used are gone

  nft("flush ruleset");
  cluster.apply({service_of(Protocol::kTcp, 2)});
  CHECK(spread(*cluster.pods[2], kVip, 80, 30).size() == 2);
  nft("add table ip foreign");
  cluster.node.run([&] { return cluster.proxy->remove(); });
  CHECK(nft("list tables") == "table ip foreign\n");
  cluster.node.run([&] { return cluster.proxy->remove(); });
}
