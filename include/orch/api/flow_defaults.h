// The FlowSchemas and PriorityLevelConfigurations every API server has, as data. Mandatory ones
// are fixed; suggested ones are kept as here while their annotation says so. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "orch/api/flowcontrolv1.h"  // generated

namespace orch::api {

inline constexpr std::string_view kAutoUpdateSpec = "apf.kubernetes.io/autoupdate-spec";

// With all defaults filled in; without the annotation.
std::vector<flowcontrolv1::FlowSchema> mandatory_flow_schemas();
std::vector<flowcontrolv1::FlowSchema> suggested_flow_schemas();
std::vector<flowcontrolv1::PriorityLevelConfiguration> mandatory_priority_levels();
std::vector<flowcontrolv1::PriorityLevelConfiguration> suggested_priority_levels();

}  // namespace orch::api
