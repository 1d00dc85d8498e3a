// The pure core of the ReplicaSet and ReplicationController controllers.
#pragma once

#include <memory>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/base/clock.h"
#include "server/controllers/pod_control.h"

namespace orch::server {

struct ReplicaSetPlan {
  int creates = 0;
  std::vector<PodPtr> deletes;  // ranked: the first is missed least
};
// `active` are the set's active pods; `related` all active pods of sets of the same owner, for
// spreading deletions over nodes. At most 500 of either a round, as upstream.
ReplicaSetPlan plan_replicas(const api::appsv1::ReplicaSet& set, const std::vector<PodPtr>& active,
                             const std::vector<PodPtr>& related, WallTime now);

// The status that `pods` (active ones) call for.
api::appsv1::ReplicaSetStatus plan_status(const api::appsv1::ReplicaSet& set,
                                          const std::vector<PodPtr>& active,
                                          const ReplicaFailure& failure, WallTime now);

// A ReplicationController seen as a ReplicaSet, and its status back.
api::appsv1::ReplicaSet as_replica_set(const api::corev1::ReplicationController& controller);
api::corev1::ReplicationControllerStatus as_controller_status(
    const api::appsv1::ReplicaSetStatus& status);

}  // namespace orch::server
