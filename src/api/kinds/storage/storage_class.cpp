// storage.k8s.io/v1 StorageClass.
#include <set>

#include "api/kinds/checks.h"
#include "orch/api/storagev1.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using storagev1::StorageClass;

constexpr size_t kParametersMax = 512;
constexpr size_t kParametersBytesMax = 256 * 1024;

void set_class_defaults(Object& object) {
  auto& c = static_cast<StorageClass&>(object);
  if (!c.reclaimPolicy) c.reclaimPolicy = "Delete";
  if (!c.volumeBindingMode) c.volumeBindingMode = "Immediate";
}

void validate_parameters(const std::map<std::string, std::string>& parameters,
                         FieldErrors& errors) {
  if (parameters.size() > kParametersMax) {
    return errors.too_long("parameters", static_cast<int64_t>(kParametersMax));
  }
  size_t bytes = 0;
  for (const auto& [key, value] : parameters) {
    if (key.empty()) errors.invalid("parameters", "\"\"", "field can not be empty.");
    bytes += key.size() + value.size();
  }
  if (bytes > kParametersBytesMax) {
    errors.too_long("parameters", static_cast<int64_t>(kParametersBytesMax));
  }
}

// Terms and keys within a term are sets, and so are the values of a key.
void validate_topologies(const std::vector<corev1::TopologySelectorTerm>& terms,
                         FieldErrors& errors) {
  std::set<std::map<std::string, std::set<std::string>>> seen;
  for (size_t i = 0; i < terms.size(); ++i) {
    const std::string path = indexed("allowedTopologies", i);
    std::map<std::string, std::set<std::string>> term;
    for (size_t j = 0; j < terms[i].matchLabelExpressions.size(); ++j) {
      const auto& e = terms[i].matchLabelExpressions[j];
      const std::string at = indexed(path + ".matchLabelExpressions", j);
      if (e.values.empty()) errors.required(at + ".values");
      std::set<std::string> values;
      for (size_t k = 0; k < e.values.size(); ++k) {
        if (!values.insert(e.values[k]).second) {
          errors.duplicate(indexed(at + ".values", k), quoted(e.values[k]));
        }
      }
      validate_by(check_label_key, e.key, at + ".key", errors);
      if (!term.emplace(e.key, values).second) errors.duplicate(at + ".key", quoted(e.key));
    }
    if (!seen.insert(term).second) errors.duplicate(path + ".matchLabelExpressions", "\"\"");
  }
}

void validate_class(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const StorageClass&>(object);
  if (old_object != nullptr) {
    const auto& old = static_cast<const StorageClass&>(*old_object);
    const auto kept = [&](bool same, const char* field) {
      if (!same) {
        errors.forbidden(field, std::string("updates to ") + field + " are forbidden.");
      }
    };
    kept(now.parameters == old.parameters, "parameters");
    kept(now.provisioner == old.provisioner, "provisioner");
    kept(now.reclaimPolicy == old.reclaimPolicy, "reclaimPolicy");
    check_unchanged(now.volumeBindingMode == old.volumeBindingMode, "volumeBindingMode",
                    quoted(now.volumeBindingMode.value_or("")), errors);
  }
  if (now.provisioner.empty()) {
    errors.required("provisioner");
  } else if (const auto why = check_label_key(to_lower(now.provisioner)); !why.empty()) {
    errors.invalid("provisioner", quoted(now.provisioner), why);
  }
  validate_parameters(now.parameters, errors);
  if (now.reclaimPolicy && !now.reclaimPolicy->empty()) {
    check_one_of(*now.reclaimPolicy, "reclaimPolicy", {"Delete", "Retain"}, errors);
  }
  if (!now.volumeBindingMode) {
    errors.required("volumeBindingMode");
  } else {
    check_one_of(*now.volumeBindingMode, "volumeBindingMode", {"Immediate", "WaitForFirstConsumer"},
                 errors);
  }
  validate_topologies(now.allowedTopologies, errors);
}

bool is_default(const StorageClass& c) {
  for (const char* key : {"storageclass.kubernetes.io/is-default-class",
                          "storageclass.beta.kubernetes.io/is-default-class"}) {
    const auto it = c.metadata.annotations.find(key);
    if (it != c.metadata.annotations.end() && it->second == "true") return true;
  }
  return false;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& c = static_cast<const StorageClass&>(object);
  return {text(c.metadata.name + (is_default(c) ? " (default)" : "")),
          text(c.provisioner),
          text(c.reclaimPolicy.value_or("Delete")),
          text(c.volumeBindingMode.value_or("Immediate")),
          boolean(c.allowVolumeExpansion.value_or(false)),
          age_cell(object, now)};
}

}  // namespace

ResourceInfo storage_classes_resource() {
  auto info = stored_resource<StorageClass>("storageclasses", "storageclass", false);
  info.short_names = {"sc"};
  info.set_defaults = set_class_defaults;
  info.validate = validate_class;
  info.columns = {
      name_column(),
      column("Provisioner", "string", "The driver that makes the volumes."),
      column("ReclaimPolicy", "string", "What happens to a volume once its claim is gone."),
      column("VolumeBindingMode", "string", "When a claim gets its volume."),
      column("AllowVolumeExpansion", "string", "Whether claims may be enlarged."),
      age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
