// How far the rollout of a Deployment, DaemonSet or StatefulSet is, in kubectl's words. Pure.
#pragma once

#include <string>

#include "ctl/failure.h"
#include "orch/api/json_value.h"

namespace orch::ctl {

struct RolloutStatus {
  std::string message;  // one line
  bool done = false;
};
// `revision` 0 = any. Error: it failed, or the kind has no rollout.
Outcome<RolloutStatus> rollout_status(const api::JsonValue& object, int64_t revision);

}  // namespace orch::ctl
