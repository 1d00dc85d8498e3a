#include "orch/net/netlink.h"

#include <catch2/catch.hpp>

#include "orch/net/host.h"
#include "unit/net/netns_support.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

TEST_CASE("addresses, prefixes and MACs as text") {
  CHECK(parse_ipv4("10.42.0.255") == 0x0a2a00ffu);
  CHECK(format_ipv4(0x0a2a00ff) == "10.42.0.255");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1..2.3", "a.b.c.d",
                          "1.2.3.4 ", "1.2.3.-4"}) {
    CAPTURE(bad);
    CHECK(!parse_ipv4(bad));
  }
  auto prefix = parse_prefix("10.42.3.7/16").value();
  CHECK(prefix.contains(parse_ipv4("10.42.200.1").value()));
  CHECK(!prefix.contains(parse_ipv4("10.43.0.1").value()));
  CHECK(format_ipv4(prefix.network()) == "10.42.0.0");
  CHECK(parse_prefix("0.0.0.0/0")->contains(1));
  for (const char* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "/8", "10.0.0.0/"}) {
    CAPTURE(bad);
    CHECK(!parse_prefix(bad));
  }
  CHECK(format_mac(parse_mac("02:42:0a:FF:00:05").value()) == "02:42:0a:ff:00:05");
  for (const char* bad : {"", "02:42:0a:2a:00", "02-42-0a-2a-00-05", "02:42:0a:2a:00:0g"}) {
    CHECK(!parse_mac(bad));
  }
}

TEST_CASE("instance names differ by data directory and fit a link name") {
  InstanceNames standard = instance_names("/var/lib/orch/");
  CHECK(standard.bridge == "orch0");
  CHECK(standard.proxy_table == "orch-proxy");
  InstanceNames a = instance_names("/tmp/a"), b = instance_names("/tmp/b");
  CHECK(a.bridge != b.bridge);
  CHECK(a.proxy_table != b.proxy_table);
  for (const auto* name : {&a.bridge, &a.vxlan, &a.dns_link}) CHECK(name->size() <= 15);
  CHECK(instance_names("/tmp/a").vxlan == a.vxlan);
}

TEST_CASE("links, addresses and routes are made once and found again", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns a("a"), b("b");
  auto netlink = a.netlink();
  for (int i = 0; i < 2; ++i) {
    auto bridge = netlink->ensure_bridge("br", 1400);
    REQUIRE(bridge);
    CHECK(bridge->up);
    CHECK(bridge->mtu == 1400);
    CHECK(bridge->kind == "bridge");
    REQUIRE(netlink->ensure_address("br", *parse_prefix("10.1.0.1/24")));
  }
  CHECK(netlink->addresses()->size() == 2);  // and loopback's
  std::string mac = netlink->find_link("br")->value().mac;
  REQUIRE(netlink->add_veth("v0", "eth0", b.path(), 1400));
  REQUIRE(netlink->set_master("v0", "br"));
  REQUIRE(netlink->set_port_flags("v0", {.hairpin = true, .isolated = true}));
  CHECK(netlink->find_link("br")->value().mac == mac);
  CHECK(netlink->find_link("v0")->value().master == netlink->find_link("br")->value().index);
  CHECK(b.netlink()->find_link("eth0")->has_value());

  Route route;
  route.destination = *parse_prefix("10.9.0.0/16");
  route.gateway = *parse_ipv4("10.1.0.2");
  for (int i = 0; i < 2; ++i) REQUIRE(netlink->ensure_route(route));
  auto via = netlink->lookup_route(*parse_ipv4("10.9.1.1"));
  REQUIRE(via);
  REQUIRE(*via);
  CHECK(format_ipv4((*via)->gateway) == "10.1.0.2");
  CHECK(format_ipv4((*via)->source) == "10.1.0.1");
  CHECK(!netlink->lookup_route(*parse_ipv4("8.8.8.8"))->has_value());
  for (int i = 0; i < 2; ++i) REQUIRE(netlink->remove_route(route));
  for (int i = 0; i < 2; ++i) REQUIRE(netlink->remove_address("br", *parse_prefix("10.1.0.1/24")));
  for (int i = 0; i < 2; ++i) REQUIRE(netlink->remove_link("br"));
}

TEST_CASE("errors name what and why", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns a("a");
  auto netlink = a.netlink();
  CHECK(netlink->set_up("nope").error() == "link nope: set up: No such device");
  CHECK(netlink->ensure_address("nope", *parse_prefix("10.0.0.1/8")).error() ==
        "link nope: No such device");
  CHECK(netlink->find_link("a-name-longer-than-fifteen").error() ==
        "link \"a-name-longer-than-fifteen\": a name has 1 to 15 characters");
  REQUIRE(netlink->ensure_bridge("br", 0));
  CHECK(netlink->ensure_vxlan({"br", 1, 8472, 0, "02:00:00:00:00:01", 1450}).error() ==
        "link br: exists and is no vxlan (kind \"bridge\")");
  CHECK(netlink->add_veth("v0", "e", "/nonexistent", 0).error() ==
        "network namespace /nonexistent: open: No such file or directory");
  CHECK(run_in_netns("/etc/passwd", [] { return Result<Unit, NetError>(Unit{}); }).error() ==
        "network namespace /etc/passwd: setns: Invalid argument");
  Route route;
  route.destination = *parse_prefix("10.9.0.0/16");
  route.gateway = *parse_ipv4("10.1.0.2");
  CHECK(netlink->ensure_route(route).error().find(
            "route 10.9.0.0/16: add: Network is unreachable") == 0);
}

TEST_CASE("the caller's thread stays where it is", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns a("a");
  std::string before = shell("readlink /proc/self/ns/net");
  auto failed = run_in_netns(a.path(), [] { return Result<Unit, NetError>(Err(NetError("no"))); });
  CHECK(failed.error() == "no");
  (void)a.netlink();
  CHECK(shell("readlink /proc/self/ns/net") == before);
}

TEST_CASE("the node's address and its MTU", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns a("a"), b("b");
  a.run([]() -> Result<Unit, NetError> {
    auto none = default_ipv4_address();
    if (none) return Err("unexpected address " + *none);
    return Unit{};
  });
  connect(a, "e0", "192.168.7.1/24", b, "e1", "192.168.7.2/24");
  REQUIRE(a.netlink()->ensure_bridge("orch0", 0));
  REQUIRE(a.netlink()->ensure_address("orch0", *parse_prefix("10.42.0.1/24")));
  std::string found;
  uint32_t mtu = 0;
  a.run([&]() -> Result<Unit, NetError> {
    ORCH_TRY(found, default_ipv4_address());
    ORCH_TRY(mtu, mtu_of_address(found));
    return Unit{};
  });
  CHECK(found == "192.168.7.1");
  CHECK(mtu == 1500);
  REQUIRE(a.netlink()->ensure_address("e0", *parse_prefix("192.168.8.9/24")));
  Route route;
  route.gateway = *parse_ipv4("192.168.8.1");
  REQUIRE(a.netlink()->ensure_route(route));
  a.run([&]() -> Result<Unit, NetError> {
    ORCH_TRY(found, default_ipv4_address());
    return Unit{};
  });
  CHECK(found == "192.168.8.9");
}
