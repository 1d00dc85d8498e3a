// What client-side apply sends: the patch that makes the live object what the new configuration
// says, and takes away what the last configuration said and this one does not. Pure.
#pragma once

#include <string>

#include "orch/api/json_value.h"
#include "orch/api/type_info.h"

namespace orch::ctl {

inline constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";

// `last`: null if unknown. `type` null: a JSON merge patch (RFC 7386); else a strategic merge patch
// by its merge keys. An empty object = nothing to do.
api::JsonValue three_way_patch(const api::JsonValue& last, const api::JsonValue& now,
                               const api::JsonValue& live, const api::TypeInfo* type);

// The object's own JSON for the annotation: without the annotation, and with a newline.
std::string last_applied_text(const api::JsonValue& object);
// The object with that annotation set.
api::JsonValue with_last_applied(const api::JsonValue& object);

}  // namespace orch::ctl
