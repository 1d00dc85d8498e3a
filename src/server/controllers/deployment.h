// The Deployment controller's pure core: from a Deployment, its ReplicaSets and their pods, what to
// write next. One step a call; the next call sees its effect.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

using ReplicaSetPtr = std::shared_ptr<const api::appsv1::ReplicaSet>;

inline constexpr const char* kRevision = "deployment.kubernetes.io/revision";
inline constexpr const char* kRevisionHistory = "deployment.kubernetes.io/revision-history";
inline constexpr const char* kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
inline constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";
inline constexpr const char* kTemplateHash = "pod-template-hash";

struct DeploymentInput {
  const api::appsv1::Deployment& deployment;
  std::vector<ReplicaSetPtr> sets;  // owned by the deployment
  // Whether any pod of an old set still runs, by set uid (Recreate waits for them).
  std::map<std::string, bool> has_running_pods;
  WallTime now;
};

struct ScaleStep {
  ReplicaSetPtr set;
  int32_t replicas = 0;
  bool up = false;
  bool annotate_only = false;  // replicas stay; only the size annotations are brought up to date
};

struct DeploymentPlan {
  std::optional<api::appsv1::ReplicaSet> create;  // the new set
  std::vector<api::appsv1::ReplicaSet> update;    // sets whose annotations or minReady changed
  std::vector<ScaleStep> scale;
  std::vector<ReplicaSetPtr> cleanup;   // old sets beyond the history limit
  std::optional<std::string> revision;  // the deployment's revision annotation
  api::appsv1::DeploymentStatus status;
  std::optional<Micros> look_again;  // progress deadline
};

DeploymentPlan plan_deployment(const DeploymentInput& input);

// The hash in the new set's name and labels, of template and collision count.
std::string template_hash(const api::corev1::PodTemplateSpec& pod_template,
                          const std::optional<int32_t>& collision_count);
// The set with the deployment's template; nullptr if there is none. The oldest, if several.
ReplicaSetPtr find_new_set(const api::appsv1::Deployment& deployment,
                           const std::vector<ReplicaSetPtr>& sets);
// Absolute numbers of maxSurge (rounded up) and maxUnavailable (rounded down), never both 0.
struct RollingLimits {
  int32_t surge = 0, unavailable = 0;
};
RollingLimits rolling_limits(const api::appsv1::Deployment& deployment);

}  // namespace orch::server
