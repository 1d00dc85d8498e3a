// apps/v1 StatefulSet, DaemonSet and ControllerRevision.
#include <fmt/format.h>

#include "api/kinds/apps/workload.h"
#include "api/kinds/checks.h"
#include "orch/api/appsv1.h"
#include "orch/api/json_value.h"

namespace orch::api {
namespace {

using appsv1::DaemonSet;
using appsv1::StatefulSet;

void stateful_set_defaults(Object& object) {
  auto& spec = static_cast<StatefulSet&>(object).spec;
  default_pod_spec(spec.template_.spec);
  if (spec.podManagementPolicy.empty()) spec.podManagementPolicy = "OrderedReady";
  if (spec.updateStrategy.type.empty()) spec.updateStrategy.type = "RollingUpdate";
  if (spec.updateStrategy.type == "RollingUpdate") {
    auto& rolling = spec.updateStrategy.rollingUpdate.ensure();
    if (!rolling.partition) rolling.partition = 0;
  }
  auto& retention = spec.persistentVolumeClaimRetentionPolicy.ensure();
  if (retention.whenDeleted.empty()) retention.whenDeleted = "Retain";
  if (retention.whenScaled.empty()) retention.whenScaled = "Retain";
  if (!spec.replicas) spec.replicas = 1;
  if (!spec.revisionHistoryLimit) spec.revisionHistoryLimit = 10;
  for (auto& claim : spec.volumeClaimTemplates) {
    if (!claim.spec.volumeMode) claim.spec.volumeMode = "Filesystem";
    if (claim.status.phase.empty()) claim.status.phase = "Pending";
  }
}

void validate_stateful_strategy(const appsv1::StatefulSetUpdateStrategy& strategy,
                                FieldErrors& errors) {
  const std::string path = "spec.updateStrategy";
  if (strategy.type.empty()) {
    errors.required(path);
  } else if (strategy.type == "OnDelete") {
    if (strategy.rollingUpdate) {
      errors.invalid(path + ".rollingUpdate", go_value(strategy.rollingUpdate),
                     "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (strategy.type != "RollingUpdate") {
    errors.invalid(path, go_value(appsv1::StatefulSetUpdateStrategy::type_info(), &strategy),
                   "must be 'RollingUpdate' or 'OnDelete'");
  } else if (strategy.rollingUpdate) {
    validate_non_negative(strategy.rollingUpdate->partition.value_or(0),
                          path + ".rollingUpdate.partition", errors);
  }
}

void validate_stateful_set_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const StatefulSet&>(object).status;
  constexpr const char* kAll = "status.replicas";
  validate_counts({{"replicas", status.replicas, 0, nullptr},
                   {"readyReplicas", status.readyReplicas, status.replicas, kAll},
                   {"currentReplicas", status.currentReplicas, status.replicas, kAll},
                   {"updatedReplicas", status.updatedReplicas, status.replicas, kAll},
                   {"availableReplicas", status.availableReplicas, status.replicas, kAll},
                   {"observedGeneration", status.observedGeneration, 0, nullptr}},
                  errors);
}

void validate_stateful_set(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& spec = static_cast<const StatefulSet&>(object).spec;
  if (spec.podManagementPolicy.empty()) {
    errors.required("spec.podManagementPolicy");
  } else if (spec.podManagementPolicy != "OrderedReady" && spec.podManagementPolicy != "Parallel") {
    errors.invalid("spec.podManagementPolicy", quoted(spec.podManagementPolicy),
                   "must be 'OrderedReady' or 'Parallel'");
  }
  validate_stateful_strategy(spec.updateStrategy, errors);
  if (const auto& policy = spec.persistentVolumeClaimRetentionPolicy) {
    const std::string path = "spec.persistentVolumeClaimRetentionPolicy";
    check_one_of(policy->whenDeleted, path + ".whenDeleted", {"Retain", "Delete"}, errors);
    check_one_of(policy->whenScaled, path + ".whenScaled", {"Retain", "Delete"}, errors);
  }
  if (spec.ordinals) validate_non_negative(spec.ordinals->start, "spec.ordinals.start", errors);
  validate_non_negative(spec.replicas.value_or(0), "spec.replicas", errors);
  validate_non_negative(spec.minReadySeconds, "spec.minReadySeconds", errors);
  validate_workload_selector(spec.selector, spec.template_, "statefulset", errors);
  // Claims become volumes of the pods under their own names.
  auto pod = spec.template_;
  for (const auto& claim : spec.volumeClaimTemplates) {
    auto& volume = pod.spec.volumes.emplace_back();
    volume.name = claim.metadata.name;
    volume.emptyDir.emplace();
  }
  validate_pod_template(pod, "spec.template", errors);
  validate_always_restarts(pod, "StatefulSet", errors);
  if (old_object == nullptr) return;
  auto merged = static_cast<const StatefulSet&>(*old_object).spec;
  merged.replicas = spec.replicas;
  merged.ordinals = spec.ordinals;
  merged.template_ = spec.template_;
  merged.updateStrategy = spec.updateStrategy;
  merged.persistentVolumeClaimRetentionPolicy = spec.persistentVolumeClaimRetentionPolicy;
  merged.minReadySeconds = spec.minReadySeconds;
  if (!equal(merged, spec)) {
    errors.forbidden("spec",
                     "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                     "'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and "
                     "'minReadySeconds' are forbidden");
  }
}

void daemon_set_defaults(Object& object) {
  auto& spec = static_cast<DaemonSet&>(object).spec;
  default_pod_spec(spec.template_.spec);
  if (spec.updateStrategy.type.empty()) spec.updateStrategy.type = "RollingUpdate";
  if (spec.updateStrategy.type == "RollingUpdate") {
    auto& rolling = spec.updateStrategy.rollingUpdate.ensure();
    if (!rolling.maxUnavailable) rolling.maxUnavailable = IntOrString(1);
    if (!rolling.maxSurge) rolling.maxSurge = IntOrString(0);
  }
  if (!spec.revisionHistoryLimit) spec.revisionHistoryLimit = 10;
}

void validate_daemon_rolling(const Ptr<appsv1::RollingUpdateDaemonSet>& rolling,
                             FieldErrors& errors) {
  const std::string path = "spec.updateStrategy.rollingUpdate";
  if (!rolling) return errors.required(path);
  const auto unavailable = rolling->maxUnavailable.value_or(IntOrString(0));
  const auto surge = rolling->maxSurge.value_or(IntOrString(0));
  validate_int_or_percent(unavailable, path + ".maxUnavailable", errors);
  validate_at_most_all(unavailable, path + ".maxUnavailable", errors);
  validate_int_or_percent(surge, path + ".maxSurge", errors);
  validate_at_most_all(surge, path + ".maxSurge", errors);
  if (!is_zero(unavailable) && !is_zero(surge)) {
    errors.invalid(path + ".maxSurge", go_value(surge),
                   "may not be set when maxUnavailable is non-zero");
  } else if (is_zero(unavailable) && is_zero(surge)) {
    errors.required(path + ".maxUnavailable", "cannot be 0 when maxSurge is 0");
  }
}

void validate_daemon_set_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const DaemonSet&>(object).status;
  validate_counts({{"currentNumberScheduled", status.currentNumberScheduled, 0, nullptr},
                   {"numberMisscheduled", status.numberMisscheduled, 0, nullptr},
                   {"desiredNumberScheduled", status.desiredNumberScheduled, 0, nullptr},
                   {"numberReady", status.numberReady, 0, nullptr},
                   {"observedGeneration", status.observedGeneration, 0, nullptr},
                   {"updatedNumberScheduled", status.updatedNumberScheduled, 0, nullptr},
                   {"numberAvailable", status.numberAvailable, 0, nullptr},
                   {"numberUnavailable", status.numberUnavailable, 0, nullptr}},
                  errors);
}

void validate_daemon_set(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& spec = static_cast<const DaemonSet&>(object).spec;
  validate_workload_selector(spec.selector, spec.template_, "daemonset", errors);
  validate_pod_template(spec.template_, "spec.template", errors);
  validate_always_restarts(spec.template_, "DaemonSet", errors);
  validate_non_negative(spec.minReadySeconds, "spec.minReadySeconds", errors);
  if (spec.updateStrategy.type != "RollingUpdate" && spec.updateStrategy.type != "OnDelete") {
    errors.not_supported("spec.updateStrategy.type", spec.updateStrategy.type,
                         {"RollingUpdate", "OnDelete"});
  } else if (spec.updateStrategy.type == "RollingUpdate") {
    validate_daemon_rolling(spec.updateStrategy.rollingUpdate, errors);
  }
  validate_non_negative(spec.revisionHistoryLimit.value_or(0), "spec.revisionHistoryLimit", errors);
  if (old_object != nullptr) {
    validate_immutable_selector(spec.selector,
                                static_cast<const DaemonSet&>(*old_object).spec.selector, errors);
  }
}

bool same_json(const RawJson& a, const RawJson& b) {
  if (a == b) return true;
  const auto left = JsonValue::parse(a.text), right = JsonValue::parse(b.text);
  return left && right && left->dump_go() == right->dump_go();
}

// A patch puts the members of all objects in order. The same data in another order stays as it was
// written: revisions are told apart by their bytes.
void prepare_revision(Object& object, const Object* old_object, const StrategyContext&) {
  if (old_object == nullptr) return;
  auto& data = static_cast<appsv1::ControllerRevision&>(object).data;
  const auto& old = static_cast<const appsv1::ControllerRevision&>(*old_object).data;
  if (same_json(data, old)) data = old;
}

void validate_revision(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const appsv1::ControllerRevision&>(object);
  if (now.data.text.empty()) errors.required("data", "data is mandatory");
  validate_non_negative(now.revision, "revision", errors);
  if (old_object == nullptr) return;
  const auto& old = static_cast<const appsv1::ControllerRevision&>(*old_object);
  check_unchanged(now.data == old.data, "data", now.data.text.empty() ? "null" : now.data.text,
                  errors);
}

std::vector<Cell> daemon_set_row(const Object& object, WallTime now) {
  const auto& set = static_cast<const DaemonSet&>(object);
  std::vector<Cell> cells = {name_cell(object),
                             number(set.status.desiredNumberScheduled),
                             number(set.status.currentNumberScheduled),
                             number(set.status.numberReady),
                             number(set.status.updatedNumberScheduled),
                             number(set.status.numberAvailable),
                             text(labels_text(set.spec.template_.spec.nodeSelector)),
                             age_cell(object, now)};
  add_wide_cells(cells, set.spec.template_.spec,
                 set.spec.selector ? selector_text(*set.spec.selector) : "<none>");
  return cells;
}

}  // namespace

ResourceInfo stateful_sets_resource() {
  auto info = stored_resource<StatefulSet>("statefulsets", "statefulset", true);
  info.short_names = {"sts"};
  info.categories = {"all"};
  info.has_status = info.has_scale = true;
  info.set_defaults = stateful_set_defaults;
  info.prepare = prepare_spec_and_status<StatefulSet>;
  info.prepare_status = prepare_status_only<StatefulSet>;
  info.validate = validate_stateful_set;
  info.validate_status = validate_stateful_set_status;
  info.columns = {name_column(), column("Ready", "string", "Ready pods of those wanted."),
                  age_column(), column("Containers", "string", "Names of its containers.", 1),
                  column("Images", "string", "Images of its containers.", 1)};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& set = static_cast<const StatefulSet&>(object);
    return {name_cell(object),
            text(fmt::format("{}/{}", set.status.readyReplicas, set.spec.replicas.value_or(0))),
            age_cell(object, now), containers_cell(set.spec.template_.spec),
            images_cell(set.spec.template_.spec)};
  };
  return info;
}

ResourceInfo daemon_sets_resource() {
  auto info = stored_resource<DaemonSet>("daemonsets", "daemonset", true);
  info.short_names = {"ds"};
  info.categories = {"all"};
  info.has_status = true;
  info.set_defaults = daemon_set_defaults;
  info.prepare = prepare_spec_and_status<DaemonSet>;
  info.prepare_status = prepare_status_only<DaemonSet>;
  info.validate = validate_daemon_set;
  info.validate_status = validate_daemon_set_status;
  info.columns = {name_column(),
                  column("Desired", "integer", "Nodes that should run it."),
                  column("Current", "integer", "Nodes that run it."),
                  column("Ready", "integer", "Nodes whose pod is ready."),
                  column("Up-to-date", "integer", "Nodes with the newest template."),
                  column("Available", "integer", "Nodes whose pod is available."),
                  column("Node Selector", "string", "Labels of its nodes."),
                  age_column()};
  add_wide_columns(info);
  info.row = daemon_set_row;
  return info;
}

ResourceInfo controller_revisions_resource() {
  auto info = stored_resource<appsv1::ControllerRevision>("controllerrevisions",
                                                          "controllerrevision", true);
  info.prepare = prepare_revision;
  info.validate = validate_revision;
  info.columns = {name_column(), column("Controller", "string", "Whose revision it is."),
                  column("Revision", "string", "Its number."), age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    std::string owner = "<none>";
    for (const auto& reference : object.metadata.ownerReferences) {
      if (reference.controller.value_or(false)) owner = reference.kind + "/" + reference.name;
    }
    return {name_cell(object), text(owner),
            number(static_cast<const appsv1::ControllerRevision&>(object).revision),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
