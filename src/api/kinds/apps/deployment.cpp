// apps/v1 Deployment and ReplicaSet, core/v1 ReplicationController.
#include <fmt/format.h>

#include "api/kinds/apps/workload.h"
#include "api/validation/go_value.h"
#include "orch/api/appsv1.h"
#include "orch/api/selector.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using corev1::ReplicationController;

void deployment_defaults(Object& object) {
  auto& spec = static_cast<Deployment&>(object).spec;
  default_pod_spec(spec.template_.spec);
  if (!spec.replicas) spec.replicas = 1;
  if (spec.strategy.type.empty()) spec.strategy.type = "RollingUpdate";
  if (spec.strategy.type == "RollingUpdate") {
    auto& rolling = spec.strategy.rollingUpdate.ensure();
    if (!rolling.maxUnavailable) rolling.maxUnavailable = IntOrString(std::string("25%"));
    if (!rolling.maxSurge) rolling.maxSurge = IntOrString(std::string("25%"));
  }
  if (!spec.revisionHistoryLimit) spec.revisionHistoryLimit = 10;
  if (!spec.progressDeadlineSeconds) spec.progressDeadlineSeconds = 600;
}

// Changed annotations count as a new generation too: the controller copies them to its sets.
void prepare_deployment(Object& object, const Object* old, const StrategyContext& context) {
  prepare_spec_and_status<Deployment>(object, old, context);
  auto& meta = object.metadata;
  if (old != nullptr && meta.generation == old->metadata.generation &&
      meta.annotations != old->metadata.annotations) {
    ++meta.generation;
  }
}

void validate_strategy(const appsv1::DeploymentSpec& spec, FieldErrors& errors) {
  const auto& strategy = spec.strategy;
  if (strategy.type == "Recreate") {
    if (strategy.rollingUpdate) {
      errors.forbidden("spec.strategy.rollingUpdate",
                       "may not be specified when strategy `type` is 'Recreate'");
    }
    return;
  }
  if (strategy.type != "RollingUpdate") {
    errors.not_supported("spec.strategy.type", strategy.type, {"Recreate", "RollingUpdate"});
    return;
  }
  if (!strategy.rollingUpdate) {
    errors.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil");
    return;
  }
  const std::string path = "spec.strategy.rollingUpdate";
  const auto unavailable = strategy.rollingUpdate->maxUnavailable.value_or(IntOrString(0));
  const auto surge = strategy.rollingUpdate->maxSurge.value_or(IntOrString(0));
  validate_int_or_percent(unavailable, path + ".maxUnavailable", errors);
  validate_int_or_percent(surge, path + ".maxSurge", errors);
  validate_at_most_all(unavailable, path + ".maxUnavailable", errors);
  if (is_zero(unavailable) && is_zero(surge)) {
    errors.invalid(path + ".maxUnavailable", go_value(unavailable),
                   "may not be 0 when `maxSurge` is 0");
  }
}

void validate_deployment(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& spec = static_cast<const Deployment&>(object).spec;
  validate_non_negative(spec.replicas.value_or(0), "spec.replicas", errors);
  validate_workload_selector(spec.selector, spec.template_, "deployment", errors);
  validate_pod_template(spec.template_, "spec.template", errors);
  validate_always_restarts(spec.template_, "ReplicaSet", errors);
  validate_strategy(spec, errors);
  validate_non_negative(spec.minReadySeconds, "spec.minReadySeconds", errors);
  if (spec.revisionHistoryLimit) {
    validate_non_negative(*spec.revisionHistoryLimit, "spec.revisionHistoryLimit", errors);
  }
  if (spec.progressDeadlineSeconds) {
    validate_non_negative(*spec.progressDeadlineSeconds, "spec.progressDeadlineSeconds", errors);
    if (*spec.progressDeadlineSeconds <= spec.minReadySeconds) {
      errors.invalid("spec.progressDeadlineSeconds", std::to_string(*spec.progressDeadlineSeconds),
                     "must be greater than minReadySeconds");
    }
  }
  if (old_object != nullptr) {
    validate_immutable_selector(spec.selector,
                                static_cast<const Deployment&>(*old_object).spec.selector, errors);
  }
}

std::vector<Cell> deployment_row(const Object& object, WallTime now) {
  const auto& deployment = static_cast<const Deployment&>(object);
  std::vector<Cell> cells = {name_cell(object),
                             text(fmt::format("{}/{}", deployment.status.readyReplicas,
                                              deployment.spec.replicas.value_or(0))),
                             number(deployment.status.updatedReplicas),
                             number(deployment.status.availableReplicas), age_cell(object, now)};
  add_wide_cells(cells, deployment.spec.template_.spec,
                 deployment.spec.selector ? selector_text(*deployment.spec.selector) : "<none>");
  return cells;
}

void replica_set_defaults(Object& object) {
  auto& set = static_cast<ReplicaSet&>(object);
  default_pod_spec(set.spec.template_.spec);
  if (!set.spec.replicas) set.spec.replicas = 1;
}

void validate_replica_set(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& spec = static_cast<const ReplicaSet&>(object).spec;
  validate_non_negative(spec.replicas.value_or(0), "spec.replicas", errors);
  validate_non_negative(spec.minReadySeconds, "spec.minReadySeconds", errors);
  validate_workload_selector(spec.selector, spec.template_, "deployment", errors);
  validate_pod_template(spec.template_, "spec.template", errors);
  validate_always_restarts(spec.template_, "ReplicaSet", errors);
  if (old_object != nullptr) {
    validate_immutable_selector(spec.selector,
                                static_cast<const ReplicaSet&>(*old_object).spec.selector, errors);
  }
}

// Of ReplicaSets and ReplicationControllers.
template <class T>
void validate_replica_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const T&>(object).status;
  constexpr const char* kAll = "status.replicas";
  validate_counts({{"replicas", status.replicas, 0, nullptr},
                   {"fullyLabeledReplicas", status.fullyLabeledReplicas, status.replicas, kAll},
                   {"readyReplicas", status.readyReplicas, status.replicas, kAll},
                   {"availableReplicas", status.availableReplicas, status.replicas, kAll},
                   {"observedGeneration", status.observedGeneration, 0, nullptr}},
                  errors);
  if (status.availableReplicas > status.readyReplicas) {
    errors.invalid("status.availableReplicas", std::to_string(status.availableReplicas),
                   "cannot be greater than readyReplicas");
  }
}

void validate_deployment_status(const Object& object, const Object& old, FieldErrors& errors) {
  const auto& status = static_cast<const Deployment&>(object).status;
  constexpr const char* kAll = "status.replicas";
  validate_counts({{"observedGeneration", status.observedGeneration, 0, nullptr},
                   {"replicas", status.replicas, 0, nullptr},
                   {"updatedReplicas", status.updatedReplicas, status.replicas, kAll},
                   {"readyReplicas", status.readyReplicas, status.replicas, kAll},
                   {"availableReplicas", status.availableReplicas, status.replicas, kAll},
                   {"unavailableReplicas", status.unavailableReplicas, 0, nullptr}},
                  errors);
  if (status.availableReplicas > status.readyReplicas) {
    errors.invalid("status.availableReplicas", std::to_string(status.availableReplicas),
                   "cannot be greater than readyReplicas");
  }
  const auto before = static_cast<const Deployment&>(old).status.collisionCount;
  if (!before) return;
  if (!status.collisionCount || *status.collisionCount < *before) {
    errors.invalid("status.collisionCount",
                   status.collisionCount ? std::to_string(*status.collisionCount) : "null",
                   "cannot be decremented");
  }
}

std::vector<Column> replica_columns() {
  return {name_column(), column("Desired", "integer", "Pods wanted."),
          column("Current", "integer", "Pods there."),
          column("Ready", "integer", "Pods that are ready."), age_column()};
}

void replication_controller_defaults(Object& object) {
  auto& controller = static_cast<ReplicationController&>(object);
  auto& spec = controller.spec;
  if (!spec.replicas) spec.replicas = 1;
  if (!spec.template_) return;
  default_pod_spec(spec.template_->spec);
  if (spec.selector.empty()) spec.selector = spec.template_->metadata.labels;
  if (controller.metadata.labels.empty()) {
    controller.metadata.labels = spec.template_->metadata.labels;
  }
}

void validate_replication_controller(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const ReplicationController&>(object).spec;
  validate_non_negative(spec.minReadySeconds, "spec.minReadySeconds", errors);
  if (spec.selector.empty()) errors.required("spec.selector");
  validate_non_negative(spec.replicas.value_or(0), "spec.replicas", errors);
  if (!spec.template_) {
    errors.required("spec.template");
    return;
  }
  if (!spec.selector.empty() &&
      !LabelSelector::of(spec.selector).matches(spec.template_->metadata.labels)) {
    errors.invalid("spec.template.metadata.labels", go_value(spec.template_->metadata.labels),
                   "`selector` does not match template `labels`");
  }
  validate_pod_template(*spec.template_, "spec.template", errors);
  validate_always_restarts(*spec.template_, "ReplicationController", errors);
}

}  // namespace

ResourceInfo deployments_resource() {
  auto info = stored_resource<Deployment>("deployments", "deployment", true);
  info.short_names = {"deploy"};
  info.categories = {"all"};
  info.has_status = info.has_scale = true;
  info.set_defaults = deployment_defaults;
  info.prepare = prepare_deployment;
  info.prepare_status = prepare_status_only<Deployment>;
  info.validate = validate_deployment;
  info.validate_status = validate_deployment_status;
  info.columns = {name_column(), column("Ready", "string", "Ready pods of those wanted."),
                  column("Up-to-date", "integer", "Pods of the newest template."),
                  column("Available", "integer", "Pods available to users."), age_column()};
  add_wide_columns(info);
  info.row = deployment_row;
  return info;
}

ResourceInfo replica_sets_resource() {
  auto info = stored_resource<ReplicaSet>("replicasets", "replicaset", true);
  info.short_names = {"rs"};
  info.categories = {"all"};
  info.has_status = info.has_scale = true;
  info.set_defaults = replica_set_defaults;
  info.prepare = prepare_spec_and_status<ReplicaSet>;
  info.prepare_status = prepare_status_only<ReplicaSet>;
  info.validate = validate_replica_set;
  info.validate_status = validate_replica_status<ReplicaSet>;
  info.selectable_fields = {"status.replicas"};
  info.field_value = [](const Object& object, std::string_view) {
    return std::to_string(static_cast<const ReplicaSet&>(object).status.replicas);
  };
  info.columns = replica_columns();
  add_wide_columns(info);
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& set = static_cast<const ReplicaSet&>(object);
    std::vector<Cell> cells = {name_cell(object), number(set.spec.replicas.value_or(0)),
                               number(set.status.replicas), number(set.status.readyReplicas),
                               age_cell(object, now)};
    add_wide_cells(cells, set.spec.template_.spec,
                   set.spec.selector ? selector_text(*set.spec.selector) : "<none>");
    return cells;
  };
  return info;
}

ResourceInfo replication_controllers_resource() {
  auto info = stored_resource<ReplicationController>("replicationcontrollers",
                                                     "replicationcontroller", true);
  info.short_names = {"rc"};
  info.categories = {"all"};
  info.has_status = info.has_scale = true;
  info.set_defaults = replication_controller_defaults;
  info.prepare = prepare_spec_and_status<ReplicationController>;
  info.prepare_status = prepare_status_only<ReplicationController>;
  info.validate = validate_replication_controller;
  info.validate_status = validate_replica_status<ReplicationController>;
  info.selectable_fields = {"status.replicas"};
  info.field_value = [](const Object& object, std::string_view) {
    return std::to_string(static_cast<const ReplicationController&>(object).status.replicas);
  };
  info.columns = replica_columns();
  add_wide_columns(info);
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& controller = static_cast<const ReplicationController&>(object);
    std::vector<Cell> cells = {name_cell(object), number(controller.spec.replicas.value_or(0)),
                               number(controller.status.replicas),
                               number(controller.status.readyReplicas), age_cell(object, now)};
    static const corev1::PodSpec kNone;
    add_wide_cells(cells, controller.spec.template_ ? controller.spec.template_->spec : kNone,
                   labels_text(controller.spec.selector));
    return cells;
  };
  return info;
}

}  // namespace orch::api
