#include "server/controllers/deployment_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/object.h"

namespace orch::server {

using namespace api;
using appsv1::DeploymentCondition;
using appsv1::DeploymentStatus;

namespace {

const DeploymentCondition* find(const DeploymentStatus& status, std::string_view type) {
  for (const auto& condition : status.conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

void erase(DeploymentStatus& status, std::string_view type) {
  std::erase_if(status.conditions, [type](const auto& c) { return c.type == type; });
}

// Replaces the condition of its type; one that says the same keeps its times.
void put(DeploymentStatus& status, DeploymentCondition condition) {
  const auto* before = find(status, condition.type);
  if (before != nullptr) {
    if (before->status == condition.status && before->reason == condition.reason) return;
    if (before->status == condition.status) {
      condition.lastTransitionTime = before->lastTransitionTime;
    }
  }
  erase(status, condition.type);
  status.conditions.push_back(std::move(condition));
}

DeploymentCondition make(std::string_view type, bool is_true, std::string_view reason,
                         std::string message, WallTime now) {
  DeploymentCondition condition;
  condition.type = type;
  condition.status = is_true ? "True" : "False";
  condition.reason = reason;
  condition.message = std::move(message);
  condition.lastUpdateTime = condition.lastTransitionTime = Time(now);
  return condition;
}

bool has_deadline(const appsv1::Deployment& deployment) {
  const auto& seconds = deployment.spec.progressDeadlineSeconds;
  return seconds && *seconds != INT32_MAX;
}

// New pods came up, or old ones went.
bool progressed(const DeploymentStatus& before, const DeploymentStatus& now) {
  const int32_t old_before = before.replicas - before.updatedReplicas;
  const int32_t old_now = now.replicas - now.updatedReplicas;
  return now.updatedReplicas > before.updatedReplicas || old_now < old_before ||
         now.readyReplicas > before.readyReplicas ||
         now.availableReplicas > before.availableReplicas;
}

// DeploymentPaused and DeploymentResumed are neither progress nor its absence.
void pause_condition(const DeploymentInput& in, const DeploymentCondition* before,
                     DeploymentStatus& status) {
  if (before != nullptr && before->reason == "ProgressDeadlineExceeded") return;
  const bool was_paused = before != nullptr && before->reason == "DeploymentPaused";
  const bool paused = in.deployment.spec.paused;
  if (was_paused == paused) return;
  auto condition = make("Progressing", false, paused ? "DeploymentPaused" : "DeploymentResumed",
                        paused ? "Deployment is paused" : "Deployment is resumed", in.now);
  condition.status = "Unknown";
  put(status, std::move(condition));
}

void progress_condition(const DeploymentInput& in, const ReplicaSetPtr& new_set,
                        const std::optional<appsv1::ReplicaSet>& created, DeploymentStatus& status,
                        std::optional<Micros>* look_again) {
  const auto& deployment = in.deployment;
  const Seconds deadline{*deployment.spec.progressDeadlineSeconds};
  const int32_t wanted = deployment.spec.replicas.value_or(1);
  const auto* before = find(deployment.status, "Progressing");
  pause_condition(in, before, status);
  if (deployment.spec.paused || (before != nullptr && before->reason == "DeploymentPaused")) return;
  if (created) {
    put(status,
        make("Progressing", true, "NewReplicaSetCreated",
             fmt::format("Created new replica set \"{}\"", created->metadata.name), in.now));
    if (look_again) *look_again = deadline + Seconds{1};
    return;
  }
  if (before == nullptr && new_set) {
    put(status, make("Progressing", true, "FoundNewReplicaSet",
                     fmt::format("Found new replica set \"{}\"", new_set->metadata.name), in.now));
  }
  // A rollout that reached its end stays so, whatever becomes of its pods later.
  if (before != nullptr && before->reason == "NewReplicaSetAvailable" &&
      status.replicas == status.updatedReplicas) {
    return;
  }
  const std::string subject = new_set ? fmt::format("ReplicaSet \"{}\"", new_set->metadata.name)
                                      : fmt::format("Deployment \"{}\"", deployment.metadata.name);
  if (status.updatedReplicas == wanted && status.replicas == wanted &&
      status.availableReplicas == wanted && new_set) {
    put(status, make("Progressing", true, "NewReplicaSetAvailable",
                     subject + " has successfully progressed.", in.now));
    return;
  }
  if (progressed(deployment.status, status)) {
    auto condition =
        make("Progressing", true, "ReplicaSetUpdated", subject + " is progressing.", in.now);
    // Still progressing: the deadline starts anew.
    if (before != nullptr && before->status == "True") {
      condition.lastTransitionTime = before->lastTransitionTime;
    }
    erase(status, "Progressing");
    status.conditions.push_back(std::move(condition));
    if (look_again) *look_again = deadline + Seconds{1};
    return;
  }
  const auto* now = find(status, "Progressing");
  if (now == nullptr || now->reason == "NewReplicaSetAvailable" ||
      now->reason == "ProgressDeadlineExceeded") {
    return;
  }
  const Micros left = now->lastUpdateTime.wall() + deadline - in.now;
  if (left.count() >= 0) {
    if (look_again) *look_again = left + Seconds{1};
    return;
  }
  put(status, make("Progressing", false, "ProgressDeadlineExceeded",
                   subject + " has timed out progressing.", in.now));
}

}  // namespace

DeploymentStatus deployment_status(const DeploymentInput& in, const ReplicaSetPtr& new_set,
                                   const std::vector<ReplicaSetPtr>& old_sets,
                                   const std::optional<appsv1::ReplicaSet>& created,
                                   std::optional<Micros>* look_again) {
  const auto& deployment = in.deployment;
  const int32_t wanted = deployment.spec.replicas.value_or(1);
  DeploymentStatus status;
  status.observedGeneration = deployment.metadata.generation;
  status.collisionCount = deployment.status.collisionCount;
  status.conditions = deployment.status.conditions;
  int32_t asked = 0;
  const auto add = [&](const appsv1::ReplicaSet& set) {
    asked += set.spec.replicas.value_or(1);
    status.replicas += set.status.replicas;
    status.readyReplicas += set.status.readyReplicas;
    status.availableReplicas += set.status.availableReplicas;
  };
  for (const auto& set : old_sets) add(*set);
  if (new_set) {
    add(*new_set);
    status.updatedReplicas = new_set->status.replicas;
  }
  status.unavailableReplicas = std::max(0, asked - status.availableReplicas);

  if (status.availableReplicas >= wanted - rolling_limits(deployment).unavailable) {
    put(status, make("Available", true, "MinimumReplicasAvailable",
                     "Deployment has minimum availability.", in.now));
  } else {
    put(status, make("Available", false, "MinimumReplicasUnavailable",
                     "Deployment does not have minimum availability.", in.now));
  }

  erase(status, "ReplicaFailure");
  for (const auto& set : in.sets) {
    for (const auto& failure : set->status.conditions) {
      if (failure.type != "ReplicaFailure") continue;
      auto condition =
          make("ReplicaFailure", failure.status == "True", failure.reason, failure.message, in.now);
      condition.lastTransitionTime = condition.lastUpdateTime = failure.lastTransitionTime;
      erase(status, "ReplicaFailure");
      status.conditions.push_back(std::move(condition));
    }
  }
  if (!has_deadline(deployment)) {
    erase(status, "Progressing");
  } else if (!deployment.metadata.deletionTimestamp) {
    progress_condition(in, new_set, created, status, look_again);
  }
  return status;
}

}  // namespace orch::server
