// A Deployment's status and conditions from its sets. Pure.
#pragma once

#include "server/controllers/deployment.h"

namespace orch::server {

// `created` is the new set that is about to be made, if any. `look_again` is set to when the
// progress deadline strikes, if it may.
api::appsv1::DeploymentStatus deployment_status(
    const DeploymentInput& input, const ReplicaSetPtr& new_set,
    const std::vector<ReplicaSetPtr>& old_sets,
    const std::optional<api::appsv1::ReplicaSet>& created, std::optional<Micros>* look_again);

}  // namespace orch::server
