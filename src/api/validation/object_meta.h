// Validation of metadata and of the small parts many kinds share. Field paths and texts as
// upstream. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "orch/api/error.h"
#include "orch/api/object.h"
#include "orch/api/scheme.h"

namespace orch::api {

// How a resource's names are checked.
using NameRule = std::string (*)(std::string_view);
// The rule of this resource: subdomain but where upstream is stricter or laxer.
NameRule name_rule(const ResourceInfo& resource);
// RBAC names and the like: anything that is one path segment.
std::string check_path_segment(std::string_view name);

void validate_object_meta(const ResourceInfo& resource, const Object& now, const Object* old,
                          FieldErrors& errors);
void validate_labels(const std::map<std::string, std::string>& labels, const std::string& path,
                     FieldErrors& errors);
// A finalizer without a domain must be one Kubernetes knows.
void validate_kube_finalizer(const std::string& name, const std::string& path, FieldErrors& errors);
void validate_annotations(const std::map<std::string, std::string>& annotations,
                          const std::string& path, FieldErrors& errors);
void validate_label_selector(const metav1::LabelSelector& selector, const std::string& path,
                             FieldErrors& errors);
void validate_non_negative(int64_t value, const std::string& path, FieldErrors& errors);
// Text in quotes, as field errors show strings.
std::string quoted(std::string_view text);
std::string indexed(std::string_view path, size_t i);            // "a[2]"
std::string keyed(std::string_view path, std::string_view key);  // "a[key]"
inline constexpr std::string_view kImmutable = "field is immutable";

}  // namespace orch::api
