// Which pod and container a command line means.
#pragma once

#include <string>

#include "ctl/session.h"

namespace orch::ctl {

// "web-0", "pod/web-0", "deployment/web", "service/web": of several pods a running one is taken,
// and said so on standard error.
Outcome<api::JsonValue> pick_pod(Session& session, const std::string& named);
// Pods that the selector text matches.
Outcome<std::vector<api::JsonValue>> pods_matching(Session& session, const std::string& selector);
// `given`, or the pod's default; of several the choice is said on standard error.
Outcome<std::string> pick_container(const api::JsonValue& pod, const std::string& given,
                                    bool quiet);
// Init, ordinary and ephemeral ones, in that order.
std::vector<std::string> container_names(const api::JsonValue& pod);

}  // namespace orch::ctl
