// policy/v1 PodDisruptionBudget and scheduling.k8s.io/v1 PriorityClass.
#include <fmt/format.h>

#include "api/kinds/apps/workload.h"
#include "api/kinds/checks.h"
#include "orch/api/policyv1.h"
#include "orch/api/schedulingv1.h"

namespace orch::api {
namespace {

using policyv1::PodDisruptionBudget;
using schedulingv1::PriorityClass;

constexpr int32_t kUserPriorityMax = 1'000'000'000;
constexpr int32_t kClusterCritical = 2 * kUserPriorityMax;
constexpr int32_t kNodeCritical = kClusterCritical + 1000;

void validate_budget(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const PodDisruptionBudget&>(object).spec;
  if (spec.minAvailable && spec.maxUnavailable) {
    errors.invalid("spec", go_value(policyv1::PodDisruptionBudgetSpec::type_info(), &spec),
                   "minAvailable and maxUnavailable cannot be both set");
  }
  const auto part = [&](const std::optional<IntOrString>& value, const char* path) {
    if (!value) return;
    validate_int_or_percent(*value, path, errors);
    validate_at_most_all(*value, path, errors);
  };
  part(spec.minAvailable, "spec.minAvailable");
  part(spec.maxUnavailable, "spec.maxUnavailable");
  if (spec.selector) validate_label_selector(*spec.selector, "spec.selector", errors);
  if (spec.unhealthyPodEvictionPolicy) {
    check_one_of(*spec.unhealthyPodEvictionPolicy, "spec.unhealthyPodEvictionPolicy",
                 {"AlwaysAllow", "IfHealthyBudget"}, errors);
  }
}

void validate_budget_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const PodDisruptionBudget&>(object).status;
  validate_conditions(status.conditions, "status.conditions", errors);
  validate_counts({{"disruptionsAllowed", status.disruptionsAllowed, 0, nullptr},
                   {"currentHealthy", status.currentHealthy, 0, nullptr},
                   {"desiredHealthy", status.desiredHealthy, 0, nullptr},
                   {"expectedPods", status.expectedPods, 0, nullptr}},
                  errors);
}

std::vector<Cell> budget_row(const Object& object, WallTime now) {
  const auto& budget = static_cast<const PodDisruptionBudget&>(object);
  const auto shown = [](const std::optional<IntOrString>& v) { return v ? v->str() : "N/A"; };
  return {name_cell(object), text(shown(budget.spec.minAvailable)),
          text(shown(budget.spec.maxUnavailable)), number(budget.status.disruptionsAllowed),
          age_cell(object, now)};
}

// The classes the server makes itself are as it makes them. "" = good.
std::string check_system_class(const PriorityClass& now) {
  const std::string& name = now.metadata.name;
  const int32_t value = name == "system-node-critical"      ? kNodeCritical
                        : name == "system-cluster-critical" ? kClusterCritical
                                                            : 0;
  if (value == 0) return name + " is not a known system priority class";
  if (now.value != value) {
    return fmt::format("value of {} PriorityClass must be {}", name, value);
  }
  if (now.globalDefault)
    return fmt::format("globalDefault of {} PriorityClass must be false", name);
  return "";
}

void validate_priority_class(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const PriorityClass&>(object);
  if (now.metadata.name.starts_with("system-")) {
    if (const auto why = check_system_class(now); !why.empty()) {
      errors.forbidden("metadata.name",
                       "priority class names with 'system-' prefix are reserved for system use "
                       "only. error: " +
                           why);
    }
  } else if (now.value > kUserPriorityMax) {
    errors.forbidden("value", "maximum allowed value of a user defined priority is 1000000000");
  }
  if (now.preemptionPolicy) {
    check_one_of(*now.preemptionPolicy, "preemptionPolicy", {"PreemptLowerPriority", "Never"},
                 errors);
  }
  if (old_object == nullptr) return;
  const auto& old = static_cast<const PriorityClass&>(*old_object);
  if (now.value != old.value) {
    errors.forbidden("value", "may not be changed in an update.");
  }
  check_unchanged(now.preemptionPolicy == old.preemptionPolicy, "preemptionPolicy",
                  go_value(now.preemptionPolicy), errors);
}

}  // namespace

ResourceInfo pod_disruption_budgets_resource() {
  auto info =
      stored_resource<PodDisruptionBudget>("poddisruptionbudgets", "poddisruptionbudget", true);
  info.short_names = {"pdb"};
  info.has_status = true;
  info.prepare = prepare_spec_and_status<PodDisruptionBudget>;
  info.prepare_status = prepare_status_only<PodDisruptionBudget>;
  info.validate = validate_budget;
  info.validate_status = validate_budget_status;
  info.columns = {name_column(), column("Min Available", "string", "Pods that must stay."),
                  column("Max Unavailable", "string", "Pods that may go."),
                  column("Allowed Disruptions", "integer", "Pods that may be evicted now."),
                  age_column()};
  info.row = budget_row;
  return info;
}

ResourceInfo priority_classes_resource() {
  auto info = stored_resource<PriorityClass>("priorityclasses", "priorityclass", false);
  info.short_names = {"pc"};
  info.set_defaults = [](Object& object) {
    auto& priority_class = static_cast<PriorityClass&>(object);
    if (!priority_class.preemptionPolicy) priority_class.preemptionPolicy = "PreemptLowerPriority";
  };
  info.validate = validate_priority_class;
  info.columns = {name_column(), column("Value", "integer", "The priority."),
                  column("Global-Default", "boolean", "Whether pods without a class get it."),
                  age_column(),
                  column("PreemptionPolicy", "string", "Whether its pods push others out.")};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& c = static_cast<const PriorityClass&>(object);
    return {name_cell(object), number(c.value), boolean(c.globalDefault), age_cell(object, now),
            text(c.preemptionPolicy.value_or(""))};
  };
  return info;
}

}  // namespace orch::api
