// The StatefulSet controller's pure core: from a set, its pods and claims, what to write next.
// Pods bear the ordinal in their name, and the API has one object a name: that, and never deleting
// by force, is why there is at most one pod an ordinal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;
using ClaimPtr = std::shared_ptr<const api::corev1::PersistentVolumeClaim>;

inline constexpr const char* kPodNameLabel = "statefulset.kubernetes.io/pod-name";
inline constexpr const char* kPodIndexLabel = "apps.kubernetes.io/pod-index";

struct StatefulSetInput {
  const api::appsv1::StatefulSet& set;
  std::vector<PodPtr> pods;                                     // the set's own
  std::function<ClaimPtr(const std::string& name)> find_claim;  // nullptr = there is none
  std::string current_revision, update_revision;                // names of ControllerRevisions
  api::corev1::PodTemplateSpec current_template;                // what current_revision holds
  int32_t collision_count = 0;
  WallTime now;
};

struct StatefulSetStep {
  enum class Kind : uint8_t {
    kCreateClaim,
    kUpdateClaim,
    kCreatePod,
    kUpdatePod,
    kDeletePod,
    kFail
  };
  Kind kind;
  api::corev1::Pod pod;                      // the pod, or whose claim it is
  api::corev1::PersistentVolumeClaim claim;  // of the claim steps
  std::string note;                          // kDeletePod: phase it ended in; kFail: why
};

struct StatefulSetPlan {
  std::vector<StatefulSetStep> steps;  // in order; one that fails ends the round
  api::appsv1::StatefulSetStatus status;
  std::optional<Micros> look_again;
};

StatefulSetPlan plan_stateful_set(const StatefulSetInput& input);

// The ordinal in the name of a pod of this set; nullopt = not a name of the set's.
std::optional<int64_t> ordinal_of(const api::appsv1::StatefulSet& set, const std::string& pod_name);
// The pod of this ordinal, made from the template of a revision.
api::corev1::Pod stateful_pod(const api::appsv1::StatefulSet& set,
                              const api::corev1::PodTemplateSpec& pod_template,
                              const std::string& revision, int64_t ordinal);

}  // namespace orch::server
