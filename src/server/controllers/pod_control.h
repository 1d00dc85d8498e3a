// What controllers that own pods share: claiming pods by selector, creating and deleting them with
// upstream's events and expectations, and waking the owner of a pod that changed.
//
// Errors: those of the API. Used from a reconciler's strand; the watches from informers' strands.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/selector.h"
#include "orch/client/reconciler.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;

// Why pods could not be made or deleted: FailedCreate or FailedDelete; reason "" = all went well.
struct ReplicaFailure {
  std::string reason, message;
};

// The selector of a workload; an invalid one is a terminal error, a missing one matches nothing.
Result<api::LabelSelector, client::ReconcileError> workload_selector(
    const api::Ptr<api::metav1::LabelSelector>& selector);

// The pods that an owner may have a say in: its own and the namespace's orphans. A namespace may
// hold a hundred thousand others.
std::vector<PodPtr> pods_to_claim(const client::Lister<api::corev1::Pod>& pods,
                                  const api::Object& owner);

// When expectations (client::Expectations) that were not met are given up. Whoever waits for them
// looks again then: after a lost answer nothing else may wake it.
inline constexpr Seconds kExpectationsEnd{5 * 60 + 1};
inline std::optional<Micros> no_later(std::optional<Micros> look_again, bool may_act) {
  if (may_act) return look_again;
  return std::min<Micros>(look_again.value_or(kExpectationsEnd), kExpectationsEnd);
}

class PodControl {
 public:
  PodControl(client::ControllerContext& context, std::shared_ptr<client::Expectations> expectations)
      : context_(context), expectations_(std::move(expectations)) {}

  // Those of `pods` that are the owner's, after adopting orphans that match and releasing pods that
  // no longer do. Pods that `wanted` refuses are passed over.
  Result<std::vector<PodPtr>, client::ReconcileError> claim(
      const api::Object& owner, const api::LabelSelector& selector, const std::vector<PodPtr>& pods,
      const std::function<bool(const api::corev1::Pod&)>& wanted);

  // Creates pod_at(0..count-1) in doubling batches: what fails for one pod (a quota, a refusing
  // admission) fails for all, and is then asked once or twice instead of hundreds of times.
  ReplicaFailure create(const api::Object& owner, int count,
                        const std::function<api::corev1::Pod(int)>& pod_at);
  ReplicaFailure remove(const api::Object& owner, const std::vector<PodPtr>& victims);

 private:
  Result<Unit, client::ReconcileError> patch(const api::corev1::Pod& pod, std::string body);

  client::ControllerContext context_;
  std::shared_ptr<client::Expectations> expectations_;
};

// Whether the request failed because the namespace is being deleted.
bool is_namespace_terminating(const api::Error& error);

// Pods tell their owner (of this resource) what became of what it expected; orphans wake whoever
// selects them. `expectations` may be null. `selects` tells whether an owner would want the pod.
client::Watch watch_owned_pods(
    client::ControllerContext& context, const api::ResourceInfo& owners,
    std::shared_ptr<client::Expectations> expectations,
    std::function<bool(const api::Object& owner, const api::Object& pod)> selects);

// Whether the label selector, as the API has it, matches; a missing or bad one matches nothing.
bool selector_matches(const api::Ptr<api::metav1::LabelSelector>& selector,
                      const api::Labels& labels);

}  // namespace orch::server
