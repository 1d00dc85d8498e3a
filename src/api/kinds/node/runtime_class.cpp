// node.k8s.io/v1 RuntimeClass.
#include "api/kinds/checks.h"
#include "orch/api/nodev1.h"

namespace orch::api {
namespace {

using nodev1::RuntimeClass;

void validate_overhead(const std::map<std::string, Quantity>& amounts, FieldErrors& errors) {
  for (const auto& [name, value] : amounts) {
    const std::string path = keyed("overhead.limits", name);
    if (const auto why = check_label_key(name); !why.empty()) {
      errors.invalid(path, quoted(name), why);
    } else if (name.find('/') == std::string::npos && !is_container_resource(name)) {
      errors.invalid(path, quoted(name), "must be a standard resource for containers");
    }
    validate_resource_quantity(name, value, path, errors);
  }
}

void validate_class(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const RuntimeClass&>(object);
  if (old_object != nullptr) {
    check_unchanged(now.handler == static_cast<const RuntimeClass&>(*old_object).handler, "handler",
                    quoted(now.handler), errors);
    return;
  }
  validate_by(check_dns1123_label, now.handler, "handler", errors);
  if (now.overhead) validate_overhead(now.overhead->podFixed, errors);
  if (now.scheduling) {
    validate_labels(now.scheduling->nodeSelector, "scheduling.nodeSelector", errors);
    validate_tolerations(now.scheduling->tolerations, "scheduling.tolerations", errors);
  }
}

}  // namespace

ResourceInfo runtime_classes_resource() {
  auto info = stored_resource<RuntimeClass>("runtimeclasses", "runtimeclass", false);
  info.validate = validate_class;
  info.columns = {name_column(),
                  column("Handler", "string", "The configuration of the container runtime."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    return {name_cell(object), text(static_cast<const RuntimeClass&>(object).handler),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
