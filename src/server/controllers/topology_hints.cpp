#include "server/controllers/topology_hints.h"

#include <fmt/format.h>

#include <cmath>

#include "orch/base/strings.h"

namespace orch::server {

using namespace api;
using corev1::Node;
using discoveryv1::Endpoint;
using discoveryv1::EndpointSlice;

namespace {

constexpr double kOverload = 0.2;  // what the endpoints of a zone may get beyond their share

bool wants_hints(const corev1::Service& service) {
  const auto& annotations = service.metadata.annotations;
  for (const char* key :
       {"service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"}) {
    auto it = annotations.find(key);
    if (it == annotations.end()) continue;
    return it->second == "Auto" || it->second == "auto";
  }
  return false;
}

bool counts(const Node& node) {
  for (const char* role :
       {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}) {
    if (node.metadata.labels.count(role) > 0) return false;
  }
  for (const auto& condition : node.status.conditions) {
    if (condition.type == "Ready") return condition.status == "True";
  }
  return false;
}

struct Share {
  double desired = 0;
  int minimum = 0;
  std::vector<Endpoint*> own;  // hinted at the zone
};

std::string disabled(std::string why, const std::string& family) {
  return fmt::format("{}, addressType: {}", why, family);
}

// Moves hints until no zone has less than its minimum: from the zone with the most beyond its share
// to the one that lacks most.
void balance(std::map<std::string, Share>& zones) {
  const auto surplus = [](const Share& share) {
    return static_cast<double>(share.own.size()) - share.desired;
  };
  for (;;) {
    Share *richest = nullptr, *poorest = nullptr;
    std::string poorest_zone;
    for (auto& [zone, share] : zones) {
      const bool may_give = static_cast<int>(share.own.size()) > share.minimum;
      if (may_give && (richest == nullptr || surplus(share) > surplus(*richest))) richest = &share;
      const bool lacks = static_cast<int>(share.own.size()) < share.minimum;
      if (lacks && (poorest == nullptr || surplus(share) < surplus(*poorest))) {
        poorest = &share;
        poorest_zone = zone;
      }
    }
    if (poorest == nullptr || richest == nullptr) return;
    Endpoint* moved = richest->own.back();
    richest->own.pop_back();
    poorest->own.push_back(moved);
    moved->hints->forZones.at(0).name = poorest_zone;
  }
}

}  // namespace

std::optional<std::map<std::string, double>> zone_cpu_shares(
    const std::vector<std::shared_ptr<const Node>>& nodes) {
  std::map<std::string, double> shares;
  double total = 0;
  for (const auto& node : nodes) {
    if (!counts(*node)) continue;
    auto zone = node->metadata.labels.find("topology.kubernetes.io/zone");
    auto cpu = node->status.allocatable.find("cpu");
    if (zone == node->metadata.labels.end() || cpu == node->status.allocatable.end() ||
        cpu->second.is_zero()) {
      return std::nullopt;
    }
    const auto milli = static_cast<double>(cpu->second.milli());
    shares[zone->second] += milli;
    total += milli;
  }
  for (auto& [zone, share] : shares) share /= total;
  return shares;
}

TopologyHints add_topology_hints(const corev1::Service& service,
                                 const std::optional<std::map<std::string, double>>& shares,
                                 std::vector<EndpointSlice>& slices) {
  if (!wants_hints(service) || slices.empty()) return {};
  const std::string& family = slices.front().addressType;
  std::vector<Endpoint*> ready;
  for (auto& slice : slices) {
    for (auto& endpoint : slice.endpoints) {
      endpoint.hints.reset();
      if (endpoint.conditions.ready.value_or(true)) ready.push_back(&endpoint);
    }
  }
  if (!shares) {
    return {false, disabled("Insufficient Node information: allocatable CPU or zone not specified "
                            "on one or more nodes",
                            family)};
  }
  if (shares->size() < 2) return {false, disabled("Nodes only ready in one zone", family)};
  const auto count = static_cast<double>(ready.size());
  if (shares->size() > ready.size()) {
    return {false, disabled(fmt::format("Insufficient number of endpoints ({} endpoints, {} zones)",
                                        ready.size(), shares->size()),
                            family)};
  }
  std::map<std::string, Share> zones;
  int least = 0;
  for (const auto& [zone, share] : *shares) {
    const double desired = share * count;
    const int minimum = static_cast<int>(std::ceil(desired / (1 + kOverload)));
    zones[zone] = {desired, minimum, {}};
    least += minimum;
  }
  if (least > static_cast<int>(ready.size())) {
    return {false, disabled(fmt::format("Unable to allocate minimum required endpoints to each "
                                        "zone without exceeding overload threshold ({} endpoints, "
                                        "{} zones)",
                                        ready.size(), shares->size()),
                            family)};
  }
  for (const Endpoint* endpoint : ready) {
    if (!endpoint->zone || endpoint->zone->empty()) {
      return {false, disabled("One or more endpoints do not have a zone specified", family)};
    }
  }
  for (Endpoint* endpoint : ready) {
    endpoint->hints.ensure().forZones.emplace_back().name = *endpoint->zone;
    zones[*endpoint->zone].own.push_back(endpoint);
  }
  balance(zones);
  return {true, "Topology Aware Hints has been enabled, addressType: " + family};
}

}  // namespace orch::server
