// What both forms of Event share; every Object here is a core/v1 Event.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/scheme.h"
#include "orch/base/clock.h"

namespace orch::api {

ResourceInfo events_resource();
std::vector<Cell> event_row(const Object& event, WallTime now);
std::string event_field(const Object& event, std::string_view field);
// `strict`: the request speaks events.k8s.io/v1, which asks for more and lets less change.
void validate_event(const corev1::Event& now, const corev1::Event* old, bool strict,
                    FieldErrors& errors);

}  // namespace orch::api
