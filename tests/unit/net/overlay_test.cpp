#include <catch2/catch.hpp>

#include "orch/net/overlay.h"

using namespace orch;
using namespace orch::net;

namespace {

const OverlayOptions kVxlan{OverlayMode::kVxlan, "orch.vx", 1, 8472, "10.42.0.0/16", "t"};
const OverlayNode kSelf{"a", "192.168.0.1", "10.42.0.0/24", ""};

}  // namespace

TEST_CASE("vxlan plan: one route, neighbour and forwarding entry a node") {
  std::vector<OverlayNode> nodes = {
      {"c", "192.168.0.3", "10.42.2.0/24", ""}, kSelf, {"b", "192.168.0.2", "10.42.1.0/24", ""}};
  OverlayPlan plan = plan_overlay(kVxlan, kSelf, nodes, 1500);
  REQUIRE(plan.vxlan);
  CHECK(plan.vxlan->mtu == 1450);
  CHECK(plan.vxlan->mac == "02:01:c0:a8:00:01");
  CHECK(format_ipv4(plan.vxlan->local) == "192.168.0.1");
  CHECK(format_prefix(*plan.device_address) == "10.42.0.0/32");
  REQUIRE(plan.routes.size() == 2);
  CHECK(format_prefix(plan.routes[0].destination) == "10.42.1.0/24");
  CHECK(format_ipv4(plan.routes[0].gateway) == "10.42.1.0");
  CHECK(plan.routes[0].onlink);
  REQUIRE(plan.neighbours.size() == 2);
  CHECK(plan.neighbours[0].mac == "02:01:c0:a8:00:02");
  REQUIRE(plan.forwarding.size() == 2);
  CHECK(plan.forwarding[0].mac == plan.neighbours[0].mac);
  CHECK(format_ipv4(plan.forwarding[0].remote) == "192.168.0.2");
  CHECK(format_prefix(*plan.masquerade_source) == "10.42.0.0/24");
  CHECK(format_prefix(*plan.masquerade_except) == "10.42.0.0/16");

  std::reverse(nodes.begin(), nodes.end());
  CHECK(plan_overlay(kVxlan, kSelf, nodes, 1500).routes == plan.routes);
}

TEST_CASE("nodes not ready for it are left out; wrong ones are named") {
  OverlayPlan plan = plan_overlay(kVxlan, kSelf,
                                  {{"b", "", "10.42.1.0/24", ""},
                                   {"c", "192.168.0.3", "", ""},
                                   {"d", "fd00::1", "10.42.3.0/24", ""},
                                   {"e", "192.168.0.5", "10.42.4.0", ""},
                                   {"f", "192.168.0.6", "10.42.0.128/25", ""}},
                                  1500);
  CHECK(plan.routes.empty());
  CHECK(plan.skipped ==
        std::vector<std::string>{
            "node d: invalid address \"fd00::1\"", "node e: invalid podCIDR \"10.42.4.0\"",
            "node f: podCIDR 10.42.0.128/25 overlaps with this node's 10.42.0.0/24"});
}

TEST_CASE("a published MAC goes before the derived one") {
  OverlayPlan plan = plan_overlay(
      kVxlan, kSelf, {{"b", "192.168.0.2", "10.42.1.0/24", "aa:bb:cc:00:00:01"}}, 9000);
  CHECK(plan.forwarding[0].mac == "aa:bb:cc:00:00:01");
  CHECK(plan.vxlan->mtu == 8950);
}

TEST_CASE("host-gw plan: routes over the nodes' addresses; none: masquerade only") {
  OverlayOptions options = kVxlan;
  options.mode = OverlayMode::kHostGw;
  OverlayPlan plan = plan_overlay(options, kSelf, {{"b", "192.168.0.2", "10.42.1.0/24", ""}}, 1500);
  CHECK(!plan.vxlan);
  REQUIRE(plan.routes.size() == 1);
  CHECK(format_ipv4(plan.routes[0].gateway) == "192.168.0.2");
  options.mode = OverlayMode::kNone;
  plan = plan_overlay(options, kSelf, {{"b", "192.168.0.2", "10.42.1.0/24", ""}}, 1500);
  CHECK(plan.routes.empty());
  CHECK(plan.masquerade_source);
}

TEST_CASE("overlay modes by name") {
  CHECK(*parse_overlay_mode("host-gw") == OverlayMode::kHostGw);
  CHECK(parse_overlay_mode("flannel").error() ==
        "invalid overlay \"flannel\": must be vxlan, host-gw or none");
  CHECK(overlay_mtu(OverlayMode::kNone, 1500) == 1500);
}
