#include "server/controllers/replica_set.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "orch/api/selector.h"
#include "orch/base/strings.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using appsv1::ReplicaSet;
using corev1::Pod;

namespace {

constexpr int kBurst = 500;

int64_t deletion_cost(const Pod& pod) {
  auto it = pod.metadata.annotations.find("controller.kubernetes.io/pod-deletion-cost");
  return it == pod.metadata.annotations.end() ? 0 : parse_int(it->second).value_or(0);
}

int phase_rank(const Pod& pod) {
  if (pod.status.phase == "Pending") return 0;
  return pod.status.phase == "Running" ? 2 : 1;
}

int64_t restarts(const Pod& pod) {
  int64_t most = 0;
  for (const auto& status : pod.status.containerStatuses) {
    most = std::max<int64_t>(most, status.restartCount);
  }
  return most;
}

// Smaller is deleted earlier (upstream's ActivePodsWithRanks). Times are ranked by magnitude, so
// that pods of about the same age are told apart by their restarts.
auto deletion_rank(const Pod& pod, const std::map<std::string, int>& on_node, WallTime now) {
  const auto* ready = find_condition(pod, "Ready");
  const bool is_pod_ready = ready != nullptr && ready->status == "True";
  const auto node = on_node.find(pod.spec.nodeName);
  const int crowd = pod.spec.nodeName.empty() || node == on_node.end() ? 0 : node->second;
  const auto age_rank = [now](const Time& since) {
    const std::chrono::nanoseconds age = now - since.wall();
    return age.count() <= 0 ? -1 : std::bit_width(static_cast<uint64_t>(age.count())) - 1;
  };
  return std::make_tuple(pod.spec.nodeName.empty() ? 0 : 1, phase_rank(pod), is_pod_ready ? 1 : 0,
                         deletion_cost(pod), -crowd,
                         is_pod_ready ? age_rank(ready->lastTransitionTime) : 0, -restarts(pod),
                         age_rank(pod.metadata.creationTimestamp), pod.metadata.uid);
}

const appsv1::ReplicaSetCondition* find_failure(const appsv1::ReplicaSetStatus& status) {
  for (const auto& condition : status.conditions) {
    if (condition.type == "ReplicaFailure") return &condition;
  }
  return nullptr;
}

}  // namespace

ReplicaSetPlan plan_replicas(const ReplicaSet& set, const std::vector<PodPtr>& active,
                             const std::vector<PodPtr>& related, WallTime now) {
  ReplicaSetPlan plan;
  const int wanted = set.spec.replicas.value_or(1);
  const int have = static_cast<int>(active.size());
  if (have < wanted) {
    plan.creates = std::min(wanted - have, kBurst);
  } else if (have > wanted) {
    std::map<std::string, int> on_node;
    for (const auto& pod : related) ++on_node[pod->spec.nodeName];
    plan.deletes = active;
    std::sort(plan.deletes.begin(), plan.deletes.end(), [&](const PodPtr& a, const PodPtr& b) {
      return deletion_rank(*a, on_node, now) < deletion_rank(*b, on_node, now);
    });
    plan.deletes.resize(static_cast<size_t>(std::min(have - wanted, kBurst)));
  }
  return plan;
}

appsv1::ReplicaSetStatus plan_status(const ReplicaSet& set, const std::vector<PodPtr>& active,
                                     const ReplicaFailure& failure, WallTime now) {
  appsv1::ReplicaSetStatus status;
  const Seconds min_ready{set.spec.minReadySeconds};
  const LabelSelector full = LabelSelector::of(set.spec.template_.metadata.labels);
  for (const auto& pod : active) {
    ++status.replicas;
    if (full.matches(pod->metadata.labels)) ++status.fullyLabeledReplicas;
    if (is_ready(*pod)) ++status.readyReplicas;
    if (is_available(*pod, min_ready, now)) ++status.availableReplicas;
  }
  status.observedGeneration = set.metadata.generation;
  for (const auto& condition : set.status.conditions) {
    if (condition.type != "ReplicaFailure") status.conditions.push_back(condition);
  }
  if (!failure.reason.empty()) {
    // One that stands already is kept as it is: texts that vary would be written for ever.
    if (const auto* before = find_failure(set.status)) {
      status.conditions.push_back(*before);
      return status;
    }
    appsv1::ReplicaSetCondition condition;
    condition.type = "ReplicaFailure";
    condition.status = "True";
    condition.reason = failure.reason;
    condition.message = failure.message;
    condition.lastTransitionTime = Time(now);
    status.conditions.push_back(std::move(condition));
  }
  return status;
}

appsv1::ReplicaSet as_replica_set(const corev1::ReplicationController& controller) {
  ReplicaSet set;
  set.metadata = controller.metadata;
  set.spec.replicas = controller.spec.replicas;
  set.spec.minReadySeconds = controller.spec.minReadySeconds;
  if (!controller.spec.selector.empty()) {
    set.spec.selector.ensure().matchLabels = controller.spec.selector;
  }
  if (controller.spec.template_) set.spec.template_ = *controller.spec.template_;
  set.status.replicas = controller.status.replicas;
  set.status.fullyLabeledReplicas = controller.status.fullyLabeledReplicas;
  set.status.readyReplicas = controller.status.readyReplicas;
  set.status.availableReplicas = controller.status.availableReplicas;
  set.status.observedGeneration = controller.status.observedGeneration;
  for (const auto& condition : controller.status.conditions) {
    auto& out = set.status.conditions.emplace_back();
    out.type = condition.type;
    out.status = condition.status;
    out.lastTransitionTime = condition.lastTransitionTime;
    out.reason = condition.reason;
    out.message = condition.message;
  }
  return set;
}

corev1::ReplicationControllerStatus as_controller_status(const appsv1::ReplicaSetStatus& status) {
  corev1::ReplicationControllerStatus out;
  out.replicas = status.replicas;
  out.fullyLabeledReplicas = status.fullyLabeledReplicas;
  out.readyReplicas = status.readyReplicas;
  out.availableReplicas = status.availableReplicas;
  out.observedGeneration = status.observedGeneration;
  for (const auto& condition : status.conditions) {
    auto& copy = out.conditions.emplace_back();
    copy.type = condition.type;
    copy.status = condition.status;
    copy.lastTransitionTime = condition.lastTransitionTime;
    copy.reason = condition.reason;
    copy.message = condition.message;
  }
  return out;
}

}  // namespace orch::server
