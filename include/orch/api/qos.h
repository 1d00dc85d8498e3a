// The quality of service class of a Pod. Pure; any thread.
#pragma once

#include <string>

#include "orch/api/corev1.h"  // generated

namespace orch::api {

// Guaranteed, Burstable or BestEffort: follows from the containers' requests and limits.
std::string qos_class(const corev1::PodSpec& spec);

}  // namespace orch::api
