// networking.k8s.io/v1 IngressClass.
#include "api/kinds/checks.h"
#include "api/kinds/networking/networking.h"
#include "api/validation/formats.h"

namespace orch::api {

void validate_typed_reference(const std::optional<std::string>& group, const std::string& kind,
                              const std::string& name, const std::string& path,
                              FieldErrors& errors) {
  if (group) validate_by(check_dns1123_subdomain, *group, path + ".apiGroup", errors);
  const auto segment = [&](const std::string& value, const char* field) {
    if (value.empty()) {
      errors.required(path + "." + field, std::string(field) + " is required");
    } else {
      validate_by(check_path_segment, value, path + "." + field, errors);
    }
  };
  segment(kind, "kind");
  segment(name, "name");
}

namespace {

using networkingv1::IngressClass;
using networkingv1::IngressClassParametersReference;

constexpr size_t kControllerBytesMax = 250;

void defaults(Object& object) {
  auto& parameters = static_cast<IngressClass&>(object).spec.parameters;
  if (parameters && !parameters->scope) parameters->scope = "Cluster";
}

void validate_parameters(const IngressClassParametersReference& parameters, const std::string& path,
                         FieldErrors& errors) {
  validate_typed_reference(parameters.apiGroup, parameters.kind, parameters.name, path, errors);
  if (!parameters.scope) return errors.required(path + ".scope");
  if (*parameters.scope == "Namespace") {
    if (!parameters.namespace_) {
      errors.required(path + ".namespace", "`parameters.scope` is set to 'Namespace'");
    } else {
      validate_by(check_dns1123_label, *parameters.namespace_, path + ".namespace", errors);
    }
  } else if (*parameters.scope == "Cluster") {
    if (parameters.namespace_) {
      errors.forbidden(path + ".namespace", "`parameters.scope` is set to 'Cluster'");
    }
  } else {
    errors.not_supported(path + ".scope", *parameters.scope, {"Cluster", "Namespace"});
  }
}

void validate(const Object& object, const Object* old, FieldErrors& errors) {
  const auto& spec = static_cast<const IngressClass&>(object).spec;
  if (spec.controller.size() > kControllerBytesMax) {
    errors.too_long("spec.controller", kControllerBytesMax);
  }
  validate_domain_prefixed_path(spec.controller, "spec.controller", errors);
  if (spec.parameters) validate_parameters(*spec.parameters, "spec.parameters", errors);
  if (old != nullptr) {
    check_unchanged(spec.controller == static_cast<const IngressClass&>(*old).spec.controller,
                    "spec.controller", quoted(spec.controller), errors);
  }
}

std::string parameters_text(const Ptr<IngressClassParametersReference>& parameters) {
  if (!parameters) return "<none>";
  std::string out = parameters->kind;
  if (parameters->apiGroup) out += "." + *parameters->apiGroup;
  return out + "/" + parameters->name;
}

}  // namespace

ResourceInfo ingress_classes_resource() {
  auto info = stored_resource<IngressClass>("ingressclasses", "ingressclass", false);
  info.set_defaults = defaults;
  info.prepare = prepare_spec_only<IngressClass>;
  info.validate = validate;
  info.columns = {name_column(), column("Controller", "string", "Which controller serves it."),
                  column("Parameters", "string", "Where its settings are."), age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& spec = static_cast<const IngressClass&>(object).spec;
    return {name_cell(object), text(spec.controller), text(parameters_text(spec.parameters)),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
