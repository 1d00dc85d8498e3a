// The DaemonSet controller's pure core: which nodes get a pod, which pods go, the status.
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

using NodePtr = std::shared_ptr<const api::corev1::Node>;
using PodPtr = std::shared_ptr<const api::corev1::Pod>;

// How long after a failed pod of a node was deleted the next failed one stays.
struct FailedPodBackoff {
  Micros delay{};
  WallTime since{};
};

struct DaemonSetInput {
  const api::appsv1::DaemonSet& set;
  std::vector<NodePtr> nodes;
  std::vector<PodPtr> pods;                         // the set's own, those being deleted too
  std::string hash;                                 // of the current revision
  std::map<std::string, FailedPodBackoff> backoff;  // by node
  WallTime now;
};

struct DaemonSetPlan {
  std::vector<std::string> creates;  // nodes; at most 250 of either a round, as upstream
  std::vector<PodPtr> deletes;
  std::map<std::string, FailedPodBackoff> backoff;  // what changed of it
  struct Note {
    std::string type, reason, message;
  };
  std::vector<Note> notes;  // events
  api::appsv1::DaemonSetStatus status;
  std::optional<Micros> look_again;
};

DaemonSetPlan plan_daemon_set(const DaemonSetInput& input);

// The tolerations every daemon pod has.
void add_daemon_tolerations(api::corev1::PodSpec& spec);
struct DaemonPlace {
  bool should_run = false;  // a pod is to be made
  bool may_stay = false;    // a pod that is there is left alone
};
// `pod` is of the set's template, with the tolerations.
DaemonPlace place_of(const api::corev1::Pod& pod, const api::corev1::Node& node);
// The pod for this node: pinned by node affinity, so that the scheduler places it.
api::corev1::Pod daemon_pod(const api::appsv1::DaemonSet& set, const std::string& hash,
                            const std::string& node);
// The node a pod is on or is pinned to; "" = neither.
std::string target_node(const api::corev1::Pod& pod);

}  // namespace orch::server
