// What FlowSchema and PriorityLevelConfiguration share.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "api/kinds/common.h"

namespace orch::api {

// Conditions have a type, and one of each.
template <class Condition>
void validate_condition_types(const std::vector<Condition>& conditions, FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const std::string path = indexed("status.conditions", i) + ".type";
    const std::string& type = conditions[i].type;
    if (!seen.insert(type).second) errors.duplicate(path, quoted(type));
    if (type.empty()) errors.required(path, "must not be empty");
  }
}

}  // namespace orch::api
