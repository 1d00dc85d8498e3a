#include "api/validation/object_meta.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/validation/formats.h"
#include "api/validation/go_value.h"
#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

constexpr size_t kAnnotationsBytesMax = 256 * 1024;

void validate_owners(const std::vector<metav1::OwnerReference>& owners, FieldErrors& errors) {
  const std::string path = "metadata.ownerReferences";
  std::string controller;
  for (const auto& owner : owners) {
    const auto filled = [&](const std::string& value, const char* field, const char* why) {
      if (value.empty()) errors.invalid(path + field, "\"\"", why);
    };
    const size_t slash = owner.apiVersion.find('/');
    const bool versioned = !owner.apiVersion.empty() && slash != owner.apiVersion.size() - 1;
    filled(versioned ? owner.apiVersion : "", ".apiVersion", "version must not be empty");
    filled(owner.kind, ".kind", "must not be empty");
    filled(owner.name, ".name", "must not be empty");
    filled(owner.uid, ".uid", "must not be empty");
    if (owner.apiVersion == "v1" && owner.kind == "Event") {
      errors.invalid(path, go_value(metav1::OwnerReference::type_info(), &owner),
                     "/v1, Kind=Event is disallowed from being an owner");
    }
    if (!owner.controller.value_or(false)) continue;
    const std::string named = owner.kind + "/" + owner.name;
    if (controller.empty()) {
      controller = named;
      continue;
    }
    errors.invalid(path, quoted(named),
                   fmt::format("Only one reference can have Controller set to true. Found \"true\" "
                               "in references for {} and {}",
                               controller, named));
  }
}

bool standard_finalizer(std::string_view name) {
  return name == "kubernetes" || name == "orphan" || name == "foregroundDeletion";
}

void validate_finalizers(const std::vector<std::string>& finalizers, FieldErrors& errors) {
  constexpr const char* kPath = "metadata.finalizers";
  bool orphan = false, foreground = false;
  for (const auto& name : finalizers) {
    orphan = orphan || name == "orphan";
    foreground = foreground || name == "foregroundDeletion";
    validate_qualified_name(name, kPath, errors);
  }
  if (orphan && foreground) {
    errors.invalid(kPath, go_value(finalizers),
                   "finalizer orphan and foregroundDeletion cannot be both set");
  }
  for (size_t i = 0; i < finalizers.size(); ++i) {
    validate_kube_finalizer(finalizers[i], indexed(kPath, i), errors);
  }
}

void validate_name(const ResourceInfo& resource, const Object& now, FieldErrors& errors) {
  const auto& meta = now.metadata;
  const NameRule rule = name_rule(resource);
  if (!meta.generateName.empty()) {
    // A trailing dash is fine: characters follow.
    std::string prefix = meta.generateName;
    if (prefix.size() > 1 && prefix.back() == '-') prefix.back() = 'a';
    if (auto why = rule(prefix); !why.empty()) {
      errors.invalid("metadata.generateName", quoted(meta.generateName), why);
    }
  }
  if (meta.name.empty()) {
    errors.required("metadata.name", "name or generateName is required");
  } else if (auto why = rule(meta.name); !why.empty()) {
    errors.invalid("metadata.name", quoted(meta.name), why);
  }
}

void validate_unchanged(const Object& now, const Object& old, FieldErrors& errors) {
  const auto& a = now.metadata;
  const auto& b = old.metadata;
  const auto same = [&](std::string_view field, const std::string& x, const std::string& y) {
    if (x != y) errors.invalid(fmt::format("metadata.{}", field), quoted(x), kImmutable);
  };
  same("name", a.name, b.name);
  same("namespace", a.namespace_, b.namespace_);
  same("uid", a.uid, b.uid);
  if (!b.deletionTimestamp) return;
  std::vector<std::string> added;
  for (const auto& finalizer : a.finalizers) {
    if (std::find(b.finalizers.begin(), b.finalizers.end(), finalizer) == b.finalizers.end()) {
      added.push_back(finalizer);
    }
  }
  if (added.empty()) return;
  std::sort(added.begin(), added.end());
  errors.forbidden("metadata.finalizers",
                   "no new finalizers can be added if the object is being deleted, found new "
                   "finalizers " +
                       go_value(added));
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}
std::string indexed(std::string_view path, size_t i) { return fmt::format("{}[{}]", path, i); }
std::string keyed(std::string_view path, std::string_view key) {
  return fmt::format("{}[{}]", path, key);
}

void validate_kube_finalizer(const std::string& name, const std::string& path,
                             FieldErrors& errors) {
  if (name.find('/') == std::string::npos && !standard_finalizer(name)) {
    errors.invalid(path, quoted(name),
                   "name is neither a standard finalizer name nor is it fully qualified");
  }
}

std::string check_path_segment(std::string_view name) {
  if (name == "." || name == "..") return fmt::format("may not be '{}'", name);
  for (char bad : {'/', '%'}) {
    if (name.find(bad) != std::string_view::npos) return fmt::format("may not contain '{}'", bad);
  }
  return "";
}

NameRule name_rule(const ResourceInfo& resource) {
  if (resource.plural == "events") return check_path_segment;
  if (resource.group == "rbac.authorization.k8s.io") return check_path_segment;
  if (resource.group == "certificates.k8s.io") return check_path_segment;
  if (resource.group == "apiregistration.k8s.io") return check_path_segment;
  if (resource.plural == "namespaces") return check_dns1123_label;
  if (resource.plural == "services") return check_dns1035_label;
  return check_dns1123_subdomain;
}

void validate_labels(const std::map<std::string, std::string>& labels, const std::string& path,
                     FieldErrors& errors) {
  for (const auto& [key, value] : labels) {
    validate_qualified_name(key, path, errors);
    if (auto why = check_label_value(value); !why.empty()) errors.invalid(path, quoted(value), why);
  }
}

void validate_annotations(const std::map<std::string, std::string>& annotations,
                          const std::string& path, FieldErrors& errors) {
  size_t bytes = 0;
  for (const auto& [key, value] : annotations) {
    for (const auto& why : label_key_problems(to_lower(key))) {
      errors.invalid(path, quoted(key), why);
    }
    bytes += key.size() + value.size();
  }
  if (bytes > kAnnotationsBytesMax) {
    errors.too_long(path, static_cast<int64_t>(kAnnotationsBytesMax));
  }
}

void validate_label_selector(const metav1::LabelSelector& selector, const std::string& path,
                             FieldErrors& errors) {
  validate_labels(selector.matchLabels, path + ".matchLabels", errors);
  for (size_t i = 0; i < selector.matchExpressions.size(); ++i) {
    const auto& e = selector.matchExpressions[i];
    const std::string at = indexed(path + ".matchExpressions", i);
    if (e.operator_ == "In" || e.operator_ == "NotIn") {
      if (e.values.empty()) {
        errors.required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (e.operator_ == "Exists" || e.operator_ == "DoesNotExist") {
      if (!e.values.empty()) {
        errors.forbidden(at + ".values",
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.invalid(at + ".operator", quoted(e.operator_), "not a valid selector operator");
    }
    validate_qualified_name(e.key, at + ".key", errors);
    for (size_t j = 0; j < e.values.size(); ++j) {
      if (auto why = check_label_value(e.values[j]); !why.empty()) {
        errors.invalid(indexed(at + ".values", j), quoted(e.values[j]), why);
      }
    }
  }
}

void validate_non_negative(int64_t value, const std::string& path, FieldErrors& errors) {
  if (value < 0) {
    errors.invalid(path, std::to_string(value), "must be greater than or equal to 0");
  }
}

void validate_object_meta(const ResourceInfo& resource, const Object& now, const Object* old,
                          FieldErrors& errors) {
  const auto& meta = now.metadata;
  if (old == nullptr) validate_name(resource, now, errors);
  if (resource.namespaced) {
    if (meta.namespace_.empty()) {
      errors.required("metadata.namespace");
    } else if (auto why = check_dns1123_label(meta.namespace_); !why.empty()) {
      errors.invalid("metadata.namespace", quoted(meta.namespace_), why);
    }
  } else if (!meta.namespace_.empty()) {
    errors.forbidden("metadata.namespace", "not allowed on this type");
  }
  validate_labels(meta.labels, "metadata.labels", errors);
  validate_annotations(meta.annotations, "metadata.annotations", errors);
  validate_owners(meta.ownerReferences, errors);
  validate_finalizers(meta.finalizers, errors);
  if (old != nullptr) validate_unchanged(now, *old, errors);
}

}  // namespace orch::api
