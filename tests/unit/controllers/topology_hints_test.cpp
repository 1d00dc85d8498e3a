#include "server/controllers/topology_hints.h"

#include <catch2/catch.hpp>

namespace orch::server {
namespace {

using api::corev1::Node;
using api::corev1::Service;
using api::discoveryv1::EndpointSlice;

Service asking() {
  Service out;
  out.metadata.annotations["service.kubernetes.io/topology-mode"] = "Auto";
  return out;
}
std::vector<EndpointSlice> slices(const std::vector<std::pair<std::string, int>>& zones) {
  std::vector<EndpointSlice> out(1);
  out[0].addressType = "IPv4";
  for (const auto& [zone, count] : zones) {
    for (int i = 0; i < count; ++i) {
      auto& endpoint = out[0].endpoints.emplace_back();
      endpoint.conditions.ready = true;
      if (!zone.empty()) endpoint.zone = zone;
    }
  }
  return out;
}
std::map<std::string, int> hinted(const std::vector<EndpointSlice>& all) {
  std::map<std::string, int> out;
  for (const auto& endpoint : all[0].endpoints) {
    if (endpoint.hints) ++out[endpoint.hints->forZones.at(0).name];
  }
  return out;
}
using Hints = std::map<std::string, int>;
const std::optional<std::map<std::string, double>> kHalves = {{{"a", 0.5}, {"b", 0.5}}};

TEST_CASE("zones share endpoints by their CPUs") {
  auto even = slices({{"a", 3}, {"b", 3}});
  CHECK(add_topology_hints(asking(), kHalves, even).enabled);
  CHECK(hinted(even) == Hints{{"a", 3}, {"b", 3}});
  auto uneven = slices({{"a", 5}, {"b", 1}});
  CHECK(add_topology_hints(asking(), kHalves, uneven).enabled);
  CHECK(hinted(uneven) == Hints{{"a", 3}, {"b", 3}});
  // A zone whose nodes do not count gives all it has to give.
  auto other = slices({{"a", 2}, {"c", 4}});
  CHECK(add_topology_hints(asking(), kHalves, other).enabled);
  CHECK(hinted(other).at("b") >= 2);
}

TEST_CASE("hints are left out where they would overload somebody") {
  const auto refused = [](const auto& shares, std::vector<EndpointSlice> all) {
    const auto hints = add_topology_hints(asking(), shares, all);
    CHECK_FALSE(hints.enabled);
    CHECK(hinted(all).empty());
    return hints.message;
  };
  CHECK(refused(std::optional<std::map<std::string, double>>(), slices({{"a", 2}})) ==
        "Insufficient Node information: allocatable CPU or zone not specified on one or more "
        "nodes, addressType: IPv4");
  CHECK(refused(std::optional<std::map<std::string, double>>({{"a", 1.0}}), slices({{"a", 2}})) ==
        "Nodes only ready in one zone, addressType: IPv4");
  CHECK(refused(kHalves, slices({{"a", 1}})) ==
        "Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4");
  CHECK(refused(kHalves, slices({{"a", 2}, {"b", 1}})).starts_with("Unable to allocate minimum"));
  CHECK(refused(kHalves, slices({{"a", 3}, {"", 3}})) ==
        "One or more endpoints do not have a zone specified, addressType: IPv4");
  auto unasked = slices({{"a", 3}, {"b", 3}});
  CHECK(add_topology_hints(Service{}, kHalves, unasked).message.empty());
  CHECK(hinted(unasked).empty());
}

TEST_CASE("the shares of zones are those of their ready workers") {
  const auto node = [](const std::string& zone, int64_t cpus, const std::string& ready) {
    auto out = std::make_shared<Node>();
    if (!zone.empty()) out->metadata.labels["topology.kubernetes.io/zone"] = zone;
    out->status.allocatable["cpu"] = api::Quantity::of(cpus);
    auto& condition = out->status.conditions.emplace_back();
    condition.type = "Ready";
    condition.status = ready;
    return out;
  };
  auto control = node("", 8, "True");
  control->metadata.labels["node-role.kubernetes.io/control-plane"] = "";
  const auto shares =
      zone_cpu_shares({node("a", 3, "True"), node("b", 1, "True"), node("c", 4, "False"), control});
  REQUIRE(shares);
  CHECK(*shares == std::map<std::string, double>{{"a", 0.75}, {"b", 0.25}});
  CHECK_FALSE(zone_cpu_shares({node("a", 3, "True"), node("", 1, "True")}));
  CHECK_FALSE(zone_cpu_shares({node("a", 0, "True")}));
}

}  // namespace
}  // namespace orch::server
