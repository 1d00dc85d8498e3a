#include <algorithm>

#include "orch/api/node_match.h"
#include "server/controllers/node_lifecycle.h"

namespace orch::server {

using namespace api;
using corev1::Node;
using corev1::NodeCondition;
using corev1::Taint;

namespace {

const NodeCondition* find(const Node& node, std::string_view type) {
  for (const auto& condition : node.status.conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

struct Managed {
  const char* key;
  const char* effect;
};
constexpr Managed kManaged[] = {
    {kNotReadyTaint, "NoSchedule"},
    {kUnreachableTaint, "NoSchedule"},
    {"node.kubernetes.io/memory-pressure", "NoSchedule"},
    {"node.kubernetes.io/disk-pressure", "NoSchedule"},
    {"node.kubernetes.io/pid-pressure", "NoSchedule"},
    {"node.kubernetes.io/network-unavailable", "NoSchedule"},
    {"node.kubernetes.io/unschedulable", "NoSchedule"},
    {kNotReadyTaint, "NoExecute"},
    {kUnreachableTaint, "NoExecute"},
};

// kube-controller-manager's defaults: --node-eviction-rate, --secondary-node-eviction-rate,
// --unhealthy-zone-threshold, --large-cluster-size-threshold.
constexpr Micros kEvictionInterval = Seconds{10};
constexpr Micros kSlowEvictionInterval = Seconds{100};
constexpr double kUnhealthyZone = 0.55;
constexpr size_t kLargeCluster = 50;

struct TtlStep {
  size_t size_min, size_max;
  int64_t seconds;
};
constexpr TtlStep kTtlSteps[] = {
    {0, 100, 0}, {90, 500, 15}, {450, 1000, 30}, {900, 2000, 60}, {1800, SIZE_MAX, 300}};

bool is_evicting(const Taint& taint) {
  return taint.effect == "NoExecute" &&
         (taint.key == kNotReadyTaint || taint.key == kUnreachableTaint);
}

bool wants(const Node& node, const Managed& taint) {
  const std::string_view key = taint.key;
  const auto is = [&node](std::string_view type, std::string_view status) {
    const auto* condition = find(node, type);
    return condition != nullptr && condition->status == status;
  };
  if (key == kUnreachableTaint) return is("Ready", "Unknown");
  if (key == kNotReadyTaint) {
    // A node that never reported is not ready; it has no pods that would have to go.
    const bool silent = find(node, "Ready") == nullptr && taint.effect == std::string("NoSchedule");
    return silent || is("Ready", "False");
  }
  if (key == "node.kubernetes.io/memory-pressure") return is("MemoryPressure", "True");
  if (key == "node.kubernetes.io/disk-pressure") return is("DiskPressure", "True");
  if (key == "node.kubernetes.io/pid-pressure") return is("PIDPressure", "True");
  if (key == "node.kubernetes.io/network-unavailable") return is("NetworkUnavailable", "True");
  return node.spec.unschedulable;
}

}  // namespace

std::vector<NodeCondition> unknown_conditions(const Node& node, WallTime now) {
  auto conditions = node.status.conditions;
  for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    auto it = std::find_if(conditions.begin(), conditions.end(),
                           [type](const auto& c) { return c.type == type; });
    if (it == conditions.end()) {
      NodeCondition condition;
      condition.type = type;
      condition.status = "Unknown";
      condition.reason = "NodeStatusNeverUpdated";
      condition.message = "Kubelet never posted node status.";
      condition.lastHeartbeatTime = node.metadata.creationTimestamp;
      condition.lastTransitionTime = Time(now);
      conditions.push_back(std::move(condition));
    } else if (it->status != "Unknown") {
      it->status = "Unknown";
      it->reason = "NodeStatusUnknown";
      it->message = "Kubelet stopped posting node status.";
      it->lastTransitionTime = Time(now);
    }
  }
  return conditions;
}

std::vector<Taint> plan_taints(const Node& node, WallTime now, Eviction eviction) {
  std::vector<Taint> taints = node.spec.taints;
  const auto of = [&taints](const Managed& managed) {
    return std::find_if(taints.begin(), taints.end(), [&](const Taint& taint) {
      return taint.key == managed.key && taint.effect == managed.effect;
    });
  };
  const bool evicts_already = std::any_of(taints.begin(), taints.end(), is_evicting);
  for (const Managed& managed : kManaged) {
    const auto it = of(managed);
    bool wanted = wants(node, managed);
    if (managed.effect == std::string_view("NoExecute")) {
      // A node that evicts already may do so for the other reason at once.
      wanted = wanted && eviction != Eviction::kSuspended &&
               (eviction == Eviction::kNow || evicts_already);
    }
    if (!wanted && it != taints.end()) taints.erase(it);
    if (wanted && it == taints.end()) {
      Taint taint;
      taint.key = managed.key;
      taint.effect = managed.effect;
      taint.timeAdded = Time(now);
      taints.push_back(std::move(taint));
    }
  }
  return taints;
}

bool wants_eviction(const Node& node) {
  const auto& taints = node.spec.taints;
  return std::none_of(taints.begin(), taints.end(), is_evicting) &&
         std::any_of(std::begin(kManaged), std::end(kManaged), [&](const Managed& managed) {
           return managed.effect == std::string_view("NoExecute") && wants(node, managed);
         });
}

std::string zone_of(const Node& node) {
  const auto label = [&node](const char* key) {
    auto it = node.metadata.labels.find(key);
    return it == node.metadata.labels.end() ? std::string() : it->second;
  };
  const std::string region = label("topology.kubernetes.io/region");
  const std::string zone = label("topology.kubernetes.io/zone");
  return region.empty() && zone.empty() ? "" : region + ":" + zone;
}

ZoneState zone_state(size_t ready, size_t not_ready) {
  if (ready == 0 && not_ready > 0) return ZoneState::kFullDisruption;
  const bool many = not_ready > 2 && static_cast<double>(not_ready) >=
                                         kUnhealthyZone * static_cast<double>(ready + not_ready);
  return many ? ZoneState::kPartialDisruption : ZoneState::kNormal;
}

std::optional<Micros> eviction_interval(ZoneState state, size_t nodes) {
  if (state != ZoneState::kPartialDisruption) return kEvictionInterval;
  if (nodes > kLargeCluster) return kSlowEvictionInterval;
  return std::nullopt;
}

size_t ttl_step(size_t step, size_t nodes) {
  while (nodes > kTtlSteps[step].size_max) ++step;
  while (nodes < kTtlSteps[step].size_min) --step;
  return step;
}
int64_t ttl_seconds(size_t step) { return kTtlSteps[step].seconds; }

std::optional<WallTime> eviction_time(const corev1::Pod& pod, const std::vector<Taint>& taints,
                                      WallTime now) {
  std::optional<WallTime> soonest;
  for (const auto& taint : taints) {
    if (taint.effect != "NoExecute") continue;
    // A pod that came later counts from its own beginning.
    const WallTime tainted = taint.timeAdded && *taint.timeAdded ? taint.timeAdded->wall() : now;
    const WallTime since = std::max(tainted, pod.metadata.creationTimestamp.wall());
    bool tolerated = false;
    std::optional<WallTime> until;
    for (const auto& toleration : pod.spec.tolerations) {
      if (!api::tolerates(toleration, taint)) continue;
      tolerated = true;  // the first that matches decides
      if (toleration.tolerationSeconds) {
        until = since + Seconds{std::max<int64_t>(0, *toleration.tolerationSeconds)};
      }
      break;
    }
    if (!tolerated) return now;
    if (until && (!soonest || *until < *soonest)) soonest = until;
  }
  return soonest;
}

}  // namespace orch::server
