// Deleting a pod for a reason that is not the pod's: it says so in its status first. Shared by
// taint eviction and the pod garbage collector.
#pragma once

#include <string>

#include "orch/api/corev1.h"
#include "orch/client/reconciler.h"

namespace orch::server {

struct PodRemoval {
  std::string reason, message;  // of the DisruptionTarget condition; "" = none
  bool force = false;  // nobody is left to confirm the end: no grace, and the pod has failed
};
// Never another pod of the same name. One that is gone already is no error.
Result<Unit, client::ReconcileError> remove_pod(const client::ControllerContext& context,
                                                const api::corev1::Pod& pod,
                                                const PodRemoval& removal);

}  // namespace orch::server
