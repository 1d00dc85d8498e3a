// events.k8s.io/v1 Event as core/v1 Event and back; nothing is lost.
#pragma once

#include <memory>

#include "orch/api/eventsv1.h"
#include "orch/api/object.h"

namespace orch::api {

std::unique_ptr<Object> event_to_core(const Object& object);
std::unique_ptr<Object> event_from_core(const Object& object);

}  // namespace orch::api
