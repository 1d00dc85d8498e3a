#include "api/kinds/admissionregistration/rules.h"

#include <fmt/format.h>

#include "api/kinds/checks.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace admissionregistrationv1;

constexpr size_t kMatchConditionsMax = 64;

void validate_resources(const std::vector<std::string>& resources, const std::string& path,
                        FieldErrors& errors) {
  if (resources.empty()) errors.required(path);
  std::set<std::string> whole_resources, whole_subresources;  // x of x/*, and of */x
  bool star = false, plain = false;
  for (size_t i = 0; i < resources.size(); ++i) {
    const std::string& name = resources[i];
    const std::string at = indexed(path, i);
    if (name.empty()) {
      errors.required(at);
      continue;
    }
    star = star || name == "*";
    const size_t slash = name.find('/');
    if (slash == std::string::npos) {
      plain = name != "*";
      continue;
    }
    const std::string resource = name.substr(0, slash), sub = name.substr(slash + 1);
    const auto covered = [&](const std::string& by) {
      errors.invalid(at, quoted(name),
                     fmt::format("if '{}' is present, must not specify {}", by, name));
    };
    if (whole_resources.count(resource) != 0) covered(resource + "/*");
    if (whole_subresources.count(sub) != 0) covered("*/" + sub);
    if (sub == "*") whole_resources.insert(resource);
    if (resource == "*") whole_subresources.insert(sub);
  }
  if (resources.size() > 1 && listed(resources, "*/*")) {
    errors.invalid(path, go_value(resources),
                   "if '*/*' is present, must not specify other resources");
  }
  if (star && plain) {
    errors.invalid(path, go_value(resources),
                   "if '*' is present, must not specify other resources without subresources");
  }
}

void validate_star(const std::vector<std::string>& values, const std::string& path,
                   const char* what, FieldErrors& errors) {
  if (values.empty()) errors.required(path);
  if (values.size() < 2 || !listed(values, "*")) return;
  errors.invalid(path, go_value(values),
                 fmt::format("if '*' is present, must not specify other {}", what));
}

void validate_named_rules(const std::vector<NamedRuleWithOperations>& rules,
                          const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string at = indexed(path, i);
    std::set<std::string> seen;
    for (size_t j = 0; j < rules[i].resourceNames.size(); ++j) {
      const std::string& name = rules[i].resourceNames[j];
      const std::string where = indexed(at + ".resourceNames", j);
      validate_by(check_path_segment, name, where, errors);
      if (!seen.insert(name).second) errors.duplicate(where, quoted(name));
    }
    validate_rule(rules[i], at, errors);
  }
}

}  // namespace

void default_rule(Rule& rule) {
  if (!rule.scope) rule.scope = "*";
}

void validate_rule(const RuleWithOperations& rule, const std::string& path, FieldErrors& errors) {
  validate_star(rule.operations, path + ".operations", "operations", errors);
  for (size_t i = 0; i < rule.operations.size(); ++i) {
    check_one_of(rule.operations[i], indexed(path + ".operations", i),
                 {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"}, errors);
  }
  validate_star(rule.apiGroups, path + ".apiGroups", "API groups", errors);
  validate_star(rule.apiVersions, path + ".apiVersions", "API versions", errors);
  for (size_t i = 0; i < rule.apiVersions.size(); ++i) {
    check_required(rule.apiVersions[i], indexed(path + ".apiVersions", i), errors);
  }
  validate_resources(rule.resources, path + ".resources", errors);
  if (rule.scope) {
    check_one_of(*rule.scope, path + ".scope", {"*", "Cluster", "Namespaced"}, errors);
  }
}

void validate_match_conditions(const std::vector<MatchCondition>& conditions,
                               const std::string& path, FieldErrors& errors) {
  if (conditions.size() > kMatchConditionsMax) {
    errors.too_many(path, static_cast<int64_t>(conditions.size()),
                    static_cast<int64_t>(kMatchConditionsMax));
  }
  std::set<std::string> names;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const std::string at = indexed(path, i);
    if (trim(conditions[i].expression).empty()) errors.required(at + ".expression");
    const std::string& name = conditions[i].name;
    if (name.empty()) {
      errors.required(at + ".name");
      continue;
    }
    validate_by(check_label_key, name, at + ".name", errors);
    if (!names.insert(name).second) errors.duplicate(at + ".name", quoted(name));
  }
}

void default_match_resources(MatchResources& match) {
  if (!match.matchPolicy) match.matchPolicy = "Equivalent";
  match.namespaceSelector.ensure();
  match.objectSelector.ensure();
  for (auto& rule : match.resourceRules) default_rule(rule);
  for (auto& rule : match.excludeResourceRules) default_rule(rule);
}

void validate_match_resources(const MatchResources& match, const std::string& path,
                              FieldErrors& errors) {
  if (!match.matchPolicy) {
    errors.required(path + ".matchPolicy");
  } else {
    check_one_of(*match.matchPolicy, path + ".matchPolicy", {"Equivalent", "Exact"}, errors);
  }
  if (!match.namespaceSelector) {
    errors.required(path + ".namespaceSelector");
  } else {
    validate_label_selector(*match.namespaceSelector, path + ".namespaceSelector", errors);
  }
  if (!match.objectSelector) {
    errors.required(path + ".objectSelector");
  } else {
    validate_label_selector(*match.objectSelector, path + ".objectSelector", errors);
  }
  validate_named_rules(match.resourceRules, path + ".resourceRules", errors);
  validate_named_rules(match.excludeResourceRules, path + ".excludeResourceRules", errors);
}

}  // namespace orch::api
