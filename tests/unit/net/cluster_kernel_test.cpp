// Two nodes with all parts together: CNI, overlay and proxy, in namespaces joined by a veth.
#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <map>

#include "net/cni/attach.h"
#include "orch/net/overlay.h"
#include "orch/net/proxy.h"
#include "unit/net/netns_support.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

namespace {

constexpr const char* kVip = "10.43.7.7";

struct Node {
  int number;
  TestNetns netns;
  InstanceNames names;
  std::string state, mtu;
  std::unique_ptr<Overlay> overlay;
  std::unique_ptr<ProxyBackend> proxy;

  Node(int n, OverlayMode mode)
      : number(n),
        netns(fmt::format("node{}", n)),
        names(instance_names("/var/lib/orch")),
        state(fmt::format("/tmp/orch-cluster-test.{}.{}", getpid(), n)) {
    mtu = std::to_string(overlay_mtu(mode, 1500));
    OverlayOptions options;
    options.mode = mode;
    options.device = names.vxlan;
    options.cluster_cidr = "10.42.0.0/16";
    options.table = names.overlay_table;
    overlay = Overlay::create(options);
    netns.run([&]() -> Result<Unit, NetError> {
      ORCH_TRY(proxy, make_proxy_backend("nftables", {names.proxy_table}));
      return Unit{};
    });
  }
  ~Node() { shell("rm -rf " + state); }
  OverlayNode self() const {
    return {fmt::format("node{}", number), fmt::format("192.168.5.{}", number),
            fmt::format("10.42.{}.0/24", number), ""};
  }
  void start(const std::vector<OverlayNode>& nodes) {
    netns.run([&]() -> Result<Unit, NetError> {
      ORCH_CHECK(overlay->apply(self(), nodes));
      ORCH_CHECK(ensure_dummy_address(names.dns_link, "10.43.0.10"));
      return ensure_service_route(names.dns_link, "10.43.0.0/16", self().ip);
    });
  }
  void add_pod(const TestNetns& pod, const std::string& id) {
    std::string config = fmt::format(
        R"({{"cniVersion":"1.0.0","name":"orch","bridge":"{}","podCIDR":"{}","stateDir":"{}",)"
        R"("hostPortTable":"{}","mtu":{}}})",
        names.bridge, self().pod_cidr, state, names.hostport_table, mtu);
    CniAnswer answer;
    netns.run([&]() -> Result<Unit, NetError> {
      answer = run_cni({"ADD", id, pod.path(), "eth0"}, config);
      return Unit{};
    });
    INFO(answer.text);
    REQUIRE(answer.exit_code == 0);
  }
  void apply(const ProxyService& service) {
    ProxyService mine = service;
    for (ProxyEndpoint& endpoint : mine.ports[0].endpoints) {
      endpoint.node_local = parse_prefix(self().pod_cidr)->contains(*parse_ipv4(endpoint.ip));
    }
    netns.run([&] { return proxy->apply(build_rules({mine}, {self().name, "10.42.0.0/16"})); });
  }
};

std::map<std::string, int> spread(const TestNetns& from, const std::string& ip, uint16_t port) {
  std::map<std::string, int> seen;
  for (int i = 0; i < 30; ++i) {
    Asked asked = ask(from, Protocol::kTcp, ip, port);
    ++seen[asked.error.empty() ? asked.server : asked.error];
  }
  return seen;
}

void check_cluster(OverlayMode mode, bool bridge_filter) {
  Node one(1, mode), two(2, mode);
  TestNetns pod_a("a"), pod_b("b"), pod_c("c"), outside("outside");
  connect(one.netns, "eth0", "192.168.5.1/24", two.netns, "eth0", "192.168.5.2/24");
  connect(two.netns, "eth1", "192.168.6.1/24", outside, "eth0", "192.168.6.2/24");
  if (!bridge_filter) {
    without_bridge_filter(one.netns);
    without_bridge_filter(two.netns);
  }
  std::vector<OverlayNode> nodes = {one.self(), two.self()};
  for (int i = 0; i < 2; ++i) {
    one.start(nodes);
    two.start(nodes);
  }
  one.add_pod(pod_a, "a");  // 10.42.1.2
  two.add_pod(pod_b, "b");  // 10.42.2.2
  two.add_pod(pod_c, "c");  // 10.42.2.3
  EchoServer server_a(pod_a, Protocol::kTcp, "0.0.0.0", 8080, "a");
  EchoServer server_b(pod_b, Protocol::kTcp, "0.0.0.0", 8080, "b");
  EchoServer server_c(pod_c, Protocol::kTcp, "0.0.0.0", 8080, "c");

  // Pod to pod, on one node and across, without any translation.
  CHECK(ask(pod_b, Protocol::kTcp, "10.42.2.3", 8080).client_ip == "10.42.2.2");
  CHECK(ask(pod_a, Protocol::kTcp, "10.42.2.2", 8080).client_ip == "10.42.1.2");
  CHECK(ask(pod_b, Protocol::kTcp, "10.42.1.2", 8080).client_ip == "10.42.2.2");
  CHECK(ask(one.netns, Protocol::kTcp, "10.42.2.2", 8080).server == "b");
  // Pods to the outside are masqueraded.
  EchoServer world(outside, Protocol::kTcp, "0.0.0.0", 80, "world");
  CHECK(ask(pod_c, Protocol::kTcp, "192.168.6.2", 80).client_ip == "192.168.6.1");

  ProxyService service;
  service.namespace_ = "default";
  service.name = "web";
  service.cluster_ips = {kVip};
  ProxyPort port;
  port.port = 80;
  port.node_port = 30080;
  for (const char* ip : {"10.42.1.2", "10.42.2.2", "10.42.2.3"})
    port.endpoints.push_back({ip, 8080});
  service.ports = {port};
  one.apply(service);
  two.apply(service);
  for (const TestNetns* from : {&pod_a, &pod_b, &pod_c, &one.netns, &two.netns}) {
    CAPTURE(from->path());
    auto seen = spread(*from, kVip, 80);
    CHECK(seen.size() == 3);
    CHECK(seen["a"] + seen["b"] + seen["c"] == 30);
  }
  auto seen = spread(outside, "192.168.6.1", 30080);
  CHECK(seen["a"] + seen["b"] + seen["c"] == 30);
  CHECK(spread(pod_a, "192.168.5.2", 30080).size() == 3);

  // A node that is gone loses its routes; remove_all leaves nothing of ours.
  two.start({two.self()});
  CHECK(ask(pod_b, Protocol::kTcp, "10.42.1.2", 8080, 0, 300).error != "");
  two.start(nodes);
  CHECK(ask(pod_b, Protocol::kTcp, "10.42.1.2", 8080).error == "");
  two.netns.run([&]() -> Result<Unit, NetError> {
    auto errors = remove_all(two.names);
    if (!errors.empty()) return Err(errors[0]);
    ORCH_TRY(auto netlink, Netlink::open());
    ORCH_TRY(auto links, netlink->links());
    ORCH_TRY(auto routes, netlink->routes());
    for (const Route& route : routes) {
      if (route.protocol == 79) return Err("left: route " + format_prefix(route.destination));
    }
    for (const Link& link : links) {
      if (link.name != "lo" && !link.name.starts_with("eth")) return Err("left: " + link.name);
    }
    return Unit{};
  });
  if (!shell("command -v nft").empty()) {
    CHECK(shell(fmt::format("nsenter --net={} nft list tables", two.netns.path())) == "");
  }
}

}  // namespace

TEST_CASE("two nodes over vxlan: pods, Services, node ports", "[kernel]") {
  if (skip_kernel_tests()) return;
  SECTION("as the kernel is") { check_cluster(OverlayMode::kVxlan, true); }
  SECTION("without br_netfilter") { check_cluster(OverlayMode::kVxlan, false); }
}

TEST_CASE("two nodes over host-gw: pods, Services, node ports", "[kernel]") {
  if (skip_kernel_tests()) return;
  check_cluster(OverlayMode::kHostGw, true);
}
