// attach and run -it: this terminal at the streams of a container that runs already.
#pragma once

#include <string>

#include "ctl/session.h"

namespace orch::ctl {

struct Attaching {
  bool stdin_ = false, tty = false, quiet = false;
};
// Attaches until the container closes its output. The exit code is 0: the container's own is in the
// pod's status.
Outcome<int> attach_to(Session& session, const api::JsonValue& pod, const std::string& container,
                       Attaching streams);
// Polls until the pod runs or is over; then its object.
Outcome<api::JsonValue> wait_running(Session& session, const Target& pod, int64_t timeout_ms);
// The exit code of its first container, once the pod is over; 0 if none is known.
Outcome<int> wait_exit_code(Session& session, const Target& pod);

}  // namespace orch::ctl
