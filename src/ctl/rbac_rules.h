// RBAC rules as sets of permissions: what one list of rules has that another has not. Pure.
#pragma once

#include <string>
#include <vector>

#include "orch/api/json_value.h"

namespace orch::ctl {

struct Rule {
  std::vector<std::string> verbs, groups, resources, names, urls;
};

Rule read_rule(const api::JsonValue& rule);
api::JsonValue rule_json(const Rule& rule);
// As Go prints the struct: "{Verbs:[get] APIGroups:[] Resources:[pods] ...}".
std::string rule_text(const Rule& rule);
// "deployments.apps/scale" of a compacted rule; "" for URLs.
std::string rule_resource(const Rule& rule);
// Resource rules as one a group and resource, their verbs together; URLs one by one.
std::vector<Rule> compacted(const std::vector<Rule>& rules);
// What `wanted` allows and `held` does not, compacted. "*" covers everything.
std::vector<Rule> uncovered(const std::vector<Rule>& held, const std::vector<Rule>& wanted);

}  // namespace orch::ctl
