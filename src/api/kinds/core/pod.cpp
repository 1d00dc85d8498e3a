// core/v1 Pod.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/core/pod_parts.h"
#include "orch/api/qos.h"

namespace orch::api {

std::string qos_class(const corev1::PodSpec& spec) {
  bool any = false, guaranteed = true;
  const auto look = [&](const std::vector<corev1::Container>& containers) {
    for (const auto& c : containers) {
      for (const char* name : {"cpu", "memory"}) {
        const auto request = c.resources.requests.find(name);
        const auto limit = c.resources.limits.find(name);
        const bool has_request =
            request != c.resources.requests.end() && !request->second.is_zero();
        const bool has_limit = limit != c.resources.limits.end() && !limit->second.is_zero();
        any = any || has_request || has_limit;
        if (!has_limit || (has_request && request->second != limit->second)) guaranteed = false;
      }
    }
  };
  look(spec.containers);
  look(spec.initContainers);
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

namespace {

using corev1::Pod;

void defaults(Object& object) { default_pod(static_cast<Pod&>(object).spec); }

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& pod = static_cast<Pod&>(object);
  if (old_object != nullptr) {
    pod.status = static_cast<const Pod*>(old_object)->status;
    return;
  }
  pod.status = {};
  pod.status.phase = "Pending";
  pod.status.qosClass = qos_class(pod.spec);
  if (!pod.spec.schedulingGates.empty()) {
    auto& condition = pod.status.conditions.emplace_back();
    condition.type = "PodScheduled";
    condition.status = "False";
    condition.reason = "SchedulingGated";
    condition.message = "Scheduling is blocked due to non-empty scheduling gates";
  }
}

void prepare_status(Object& object, const Object& old_object) {
  auto& pod = static_cast<Pod&>(object);
  const auto& old = static_cast<const Pod&>(old_object);
  pod.spec = old.spec;
  pod.metadata.deletionTimestamp = old.metadata.deletionTimestamp;
  pod.metadata.ownerReferences = old.metadata.ownerReferences;
  pod.status.qosClass = old.status.qosClass;
  // podIP is from when there was one address: where the two differ it counts, as old agents know
  // no other.
  auto& addresses = pod.status.podIPs;
  if (pod.status.podIP.empty()) {
    if (!addresses.empty()) pod.status.podIP = addresses[0].ip;
  } else if (addresses.empty() || addresses[0].ip != pod.status.podIP) {
    addresses.clear();
    addresses.emplace_back().ip = pod.status.podIP;
  }
}

void validate_status(const Object& now, const Object& old, FieldErrors& errors) {
  validate_pod_status(static_cast<const Pod&>(now), static_cast<const Pod&>(old), errors);
}

// Mirror Pods show what a node runs by itself: there is no scheduling them.
void validate_mirror(const Pod& pod, FieldErrors& errors) {
  constexpr const char* kMirror = "kubernetes.io/config.mirror";
  const auto mirror = pod.metadata.annotations.find(kMirror);
  if (mirror == pod.metadata.annotations.end() || !pod.spec.nodeName.empty()) return;
  errors.invalid(keyed("metadata.annotations", kMirror), go_quoted(mirror->second),
                 "must set spec.nodeName if mirror pod annotation is set");
}

void validate(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const Pod&>(object);
  if (old_object == nullptr) validate_mirror(now, errors);
  validate_pod_spec(now.spec, "spec", errors);
  validate_images(now.spec, errors);
  if (old_object != nullptr) {
    validate_pod_update(now, static_cast<const Pod&>(*old_object), errors);
  } else if (!now.spec.ephemeralContainers.empty()) {
    errors.forbidden("spec.ephemeralContainers", "cannot be set on create");
  } else if (!now.spec.schedulingGates.empty() && !now.spec.nodeName.empty()) {
    errors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
  }
}

std::string field_value(const Object& object, std::string_view field) {
  const auto& pod = static_cast<const Pod&>(object);
  if (field == "spec.nodeName" || field == "spec.host") return pod.spec.nodeName;
  if (field == "spec.restartPolicy") return pod.spec.restartPolicy;
  if (field == "spec.schedulerName") return pod.spec.schedulerName;
  if (field == "spec.serviceAccountName") return pod.spec.serviceAccountName;
  if (field == "spec.hostNetwork") return pod.spec.hostNetwork ? "true" : "false";
  if (field == "status.phase") return pod.status.phase;
  if (field == "status.podIP") return pod.status.podIP;
  if (field == "status.podIPs") return "";  // accepted upstream, and empty for every Pod
  return pod.status.nominatedNodeName;
}

}  // namespace

ResourceInfo pods_resource() {
  auto info = stored_resource<Pod>("pods", "pod", true);
  info.short_names = {"po"};
  info.categories = {"all"};
  info.has_status = true;
  info.set_defaults = defaults;
  info.prepare = prepare;
  info.prepare_status = prepare_status;
  info.validate = validate;
  info.validate_status = validate_status;
  info.selectable_fields = {"spec.nodeName",      "spec.host",
                            "spec.restartPolicy", "spec.schedulerName",
                            "spec.hostNetwork",   "spec.serviceAccountName",
                            "status.phase",       "status.podIP",
                            "status.podIPs",      "status.nominatedNodeName"};
  info.field_value = field_value;
  info.columns = pod_columns();
  info.row = pod_row;
  return info;
}

ResourceInfo pod_templates_resource() {
  auto info = stored_resource<corev1::PodTemplate>("podtemplates", "podtemplate", true);
  info.set_defaults = [](Object& object) {
    default_pod_spec(static_cast<corev1::PodTemplate&>(object).template_.spec);
  };
  info.prepare = [](Object& object, const Object* old, const StrategyContext&) {
    auto& now = static_cast<corev1::PodTemplate&>(object);
    if (old == nullptr) {
      now.metadata.generation = 1;
      return;
    }
    const auto& before = static_cast<const corev1::PodTemplate&>(*old);
    now.metadata.generation =
        before.metadata.generation + (equal(now.template_, before.template_) ? 0 : 1);
  };
  info.validate = [](const Object& object, const Object*, FieldErrors& errors) {
    validate_pod_template(static_cast<const corev1::PodTemplate&>(object).template_, "template",
                          errors);
  };
  info.columns = {name_column(), column("Containers", "string", "Names of the containers."),
                  column("Images", "string", "Images of the containers."),
                  column("Pod Labels", "string", "Labels of the pods.")};
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    const auto& pod = static_cast<const corev1::PodTemplate&>(object).template_;
    return {name_cell(object), containers_cell(pod.spec), images_cell(pod.spec),
            text(labels_text(pod.metadata.labels))};
  };
  return info;
}

}  // namespace orch::api
