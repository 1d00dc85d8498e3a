// What the kinds' files share: building a ResourceInfo, table cells, and the pieces of a Pod that
// workloads embed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/validation/object_meta.h"
#include "orch/api/corev1.h"
#include "orch/api/scheme.h"

namespace orch::api {

// A ResourceInfo with the eight verbs of a stored resource and names taken from T.
template <class T>
ResourceInfo stored_resource(std::string_view plural, std::string_view singular, bool namespaced) {
  ResourceInfo info;
  const TypeInfo& type = T::type_info();
  info.group = type.group;
  info.version = type.version;
  info.kind = type.kind;
  info.plural = plural;
  info.singular = singular;
  info.namespaced = namespaced;
  info.type = &type;
  info.verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  return info;
}
// A review kind: created, answered, never stored.
template <class T>
ResourceInfo review_resource(std::string_view plural, std::string_view singular, bool namespaced) {
  ResourceInfo info = stored_resource<T>(plural, singular, namespaced);
  info.verbs = {"create"};
  info.stored = false;
  return info;
}

// `prepare` for kinds with spec and status: status cannot be set through the object, and
// metadata.generation counts changes of everything but metadata and status.
template <class T>
void prepare_spec_and_status(Object& now_object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<T&>(now_object);
  if (old_object == nullptr) {
    now.status = {};
    now.metadata.generation = 1;
    return;
  }
  const auto& old = static_cast<const T&>(*old_object);
  now.status = old.status;
  now.metadata.generation = old.metadata.generation + (equal(now.spec, old.spec) ? 0 : 1);
}
// `prepare_status`: only status (and what metadata the caller may touch) comes from the new object.
template <class T>
void prepare_status_only(Object& now_object, const Object& old_object) {
  auto& now = static_cast<T&>(now_object);
  const auto& old = static_cast<const T&>(old_object);
  now.spec = old.spec;
  now.metadata.labels = old.metadata.labels;
}

// ---- tables ----

Column name_column();
Column age_column();
Column column(std::string_view name, std::string_view type, std::string_view description,
              int priority = 0);
Cell text(std::string value);
Cell number(int64_t value);
Cell name_cell(const Object& object);
Cell age_cell(const Object& object, WallTime now);
// "5m30s", "3d4h": kubectl's duration.HumanDuration.
std::string human_duration(Seconds duration);
std::string age_of(const Time& since, WallTime now);  // "<unknown>" when unset
std::string labels_text(const std::map<std::string, std::string>& labels);  // "<none>" when empty
std::string selector_text(const metav1::LabelSelector& selector);
// "name1,name2" and "image1,image2" of a pod template's containers.
Cell containers_cell(const corev1::PodSpec& spec);
Cell images_cell(const corev1::PodSpec& spec);

// ---- pods ----

void default_pod_spec(corev1::PodSpec& spec);
// The same and what only Pods themselves get, not the templates of workloads.
void default_pod(corev1::PodSpec& spec);
void validate_pod_spec(const corev1::PodSpec& spec, const std::string& path, FieldErrors& errors);
void validate_pod_template(const corev1::PodTemplateSpec& pod, const std::string& path,
                           FieldErrors& errors);
// kubectl's STATUS of a Pod: "Running", "CrashLoopBackOff", "Init:0/1" ...
std::vector<Cell> pod_row(const Object& object, WallTime now);
std::vector<Column> pod_columns();

}  // namespace orch::api
