// The ReplicaSet controller's pure core.
#pragma once

#include <memory>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;

struct ReplicaSetPlan {
  int creates = 0;
  std::vector<PodPtr> deletes;  // ranked: the first is missed least
};
// `active` are the set's active pods; `related` all active pods of sets of the same owner, for
// spreading deletions over nodes. At most 500 of either a round, as upstream.
ReplicaSetPlan plan_replicas(const api::appsv1::ReplicaSet& set, const std::vector<PodPtr>& active,
                             const std::vector<PodPtr>& related, WallTime now);

// The status that `pods` (active ones) call for; `failure` is the message of a failed create or
// delete, "" = none.
struct ReplicaFailure {
  std::string reason, message;  // FailedCreate or FailedDelete
};
api::appsv1::ReplicaSetStatus plan_status(const api::appsv1::ReplicaSet& set,
                                          const std::vector<PodPtr>& active,
                                          const ReplicaFailure& failure, WallTime now);

}  // namespace orch::server
