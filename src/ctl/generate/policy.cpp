// quota, poddisruptionbudget, priorityclass.
#include <fmt/format.h>

#include "ctl/generate/generate.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<JsonValue> quota(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  JsonValue out = new_object("v1", "ResourceQuota", name);
  ORCH_TRY(const JsonValue hard, map_of(flags.comma_list("hard"), "argument"));
  if (hard.size() != 0) out.set_at("spec.hard", hard);
  if (flags.given("scopes")) out.set_at("spec.scopes", list_of(flags.comma_list("scopes")));
  return out;
}

// "a=b,c" as a LabelSelector.
JsonValue selector_of(const std::string& text) {
  JsonValue out = JsonValue::object(), labels = JsonValue::object(),
            expressions = JsonValue::array();
  for (const std::string& part : split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals != std::string::npos) {
      const size_t value = part.find_first_not_of('=', equals);
      labels.set(part.substr(0, equals), value == std::string::npos ? "" : part.substr(value));
      continue;
    }
    JsonValue expression = JsonValue::object();
    const bool absent = part.starts_with("!");
    expression.set("key", absent ? part.substr(1) : part);
    expression.set("operator", absent ? "DoesNotExist" : "Exists");
    expressions.push_back(std::move(expression));
  }
  if (labels.size() != 0) out.set("matchLabels", std::move(labels));
  if (expressions.size() != 0) out.set("matchExpressions", std::move(expressions));
  return out;
}

Outcome<JsonValue> disruption_budget(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  if (!flags.given("selector")) return Err(error("a selector must be specified"));
  const bool least = flags.given("min-available"), most = flags.given("max-unavailable");
  if (!least && !most) {
    return Err(error("one of min-available or max-unavailable must be specified"));
  }
  if (least && most) {
    return Err(error("min-available and max-unavailable cannot be both specified"));
  }
  JsonValue out = new_object("policy/v1", "PodDisruptionBudget", name);
  out.set_at("spec.selector", selector_of(flags.text("selector")));
  const std::string text = flags.text(least ? "min-available" : "max-unavailable");
  const auto number = parse_int(text);
  out.set_at(least ? "spec.minAvailable" : "spec.maxUnavailable",
             number ? JsonValue(*number) : JsonValue(text));
  return out;
}

Outcome<JsonValue> priority_class(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  JsonValue out = new_object("scheduling.k8s.io/v1", "PriorityClass", name);
  ORCH_TRY(const int64_t value, flags.given("value") ? flags.number("value") : 0);
  out.set("value", value);
  if (flags.on("global-default")) out.set("globalDefault", true);
  if (flags.given("description")) out.set("description", flags.text("description"));
  out.set("preemptionPolicy", flags.given("preemption-policy") ? flags.text("preemption-policy")
                                                               : "PreemptLowerPriority");
  return out;
}

}  // namespace

std::vector<Generated> generated_policy() {
  return {
      {"quota", "resourcequota", "failed to create quota: ", quota},
      {"poddisruptionbudget", "pdb", "failed to create poddisruptionbudgets: ", disruption_budget},
      {"priorityclass", "pc", "failed to create priorityclass: ", priority_class}};
}

}  // namespace orch::ctl
