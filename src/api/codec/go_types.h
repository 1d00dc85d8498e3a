// Names of Go's types, as messages of Kubernetes' decoders and validators show them. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "orch/api/type_info.h"

namespace orch::api::codec {

// Decoders fill the versioned types ("v1.Pod"), validators see the internal ones, whose Go package
// is the group's name ("core.Pod"); metav1 is one and the same.
enum class GoTypes : uint8_t { kVersioned, kInternal };

std::string go_type(const TypeInfo& type, GoTypes which);
// Of one value of the field: of a list's or map's element.
std::string go_element_type(const FieldInfo& field, GoTypes which);

}  // namespace orch::api::codec
