// admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy and its binding. Expressions are kept
// as they are: whoever evaluates them compiles them.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/admissionregistration/rules.h"
#include "api/kinds/checks.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace admissionregistrationv1;

constexpr size_t kAuditAnnotationsMax = 20;
constexpr size_t kValueExpressionMax = 5 * 1024;

void set_policy_defaults(Object& object) {
  auto& spec = static_cast<ValidatingAdmissionPolicy&>(object).spec;
  if (!spec.failurePolicy) spec.failurePolicy = "Fail";
  if (spec.matchConstraints) default_match_resources(*spec.matchConstraints);
}

void validate_param_kind(const ParamKind& kind, const std::string& path, FieldErrors& errors) {
  const std::string& version = kind.apiVersion;
  const std::string at = path + ".apiVersion";
  const size_t slash = version.find('/');
  if (version.empty()) {
    errors.required(at);
  } else if (std::count(version.begin(), version.end(), '/') > 1) {
    errors.invalid(at, quoted(version), "unexpected GroupVersion string: " + version);
  } else {
    const std::string group = slash == std::string::npos ? "" : version.substr(0, slash);
    const std::string rest = slash == std::string::npos ? version : version.substr(slash + 1);
    if (!group.empty()) validate_by(check_dns1123_subdomain, group, at, errors);
    if (rest.empty()) {
      errors.invalid(at, quoted(version), "version must be specified");
    } else {
      validate_by(check_dns1035_label, rest, at, errors);
    }
  }
  if (kind.kind.empty()) {
    errors.required(path + ".kind");
  } else if (const auto why = check_dns1035_label(to_lower(kind.kind)); !why.empty()) {
    errors.invalid(path + ".kind", quoted(kind.kind),
                   "may have mixed case, but should otherwise match: " + why);
  }
}

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  constexpr std::string_view kReserved[] = {
      "true",     "false",   "null",      "in",       "as",  "break",  "const",
      "continue", "else",    "for",       "function", "if",  "import", "let",
      "loop",     "package", "namespace", "return",   "var", "void",   "while"};
  return !name.empty() && letter(name.front()) && !listed(kReserved, name) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void validate_variable(const Variable& variable, const std::string& path, FieldErrors& errors) {
  if (trim(variable.name).empty()) {
    errors.required(path + ".name", "name is not specified");
  } else if (!is_identifier(variable.name)) {
    errors.invalid(path + ".name", quoted(variable.name), "name is not a valid CEL identifier");
  }
  if (trim(variable.expression).empty()) {
    errors.required(path + ".expression", "expression is not specified");
  }
}

void validate_validation(const Validation& validation, const std::string& path,
                         FieldErrors& errors) {
  if (trim(validation.expression).empty()) {
    errors.required(path + ".expression", "expression is not specified");
  }
  if (!validation.messageExpression.empty() && trim(validation.messageExpression).empty()) {
    errors.invalid(path + ".messageExpression", quoted(validation.messageExpression),
                   "must be non-empty if specified");
  }
  const auto message = trim(validation.message);
  if (!validation.message.empty() && message.empty()) {
    errors.invalid(path + ".message", quoted(validation.message),
                   "message must be non-empty if specified");
  } else if (message.find('\n') != std::string_view::npos) {
    errors.invalid(path + ".message", quoted(validation.message),
                   "message must not contain line breaks");
  }
  if (validation.reason) {
    check_one_of(*validation.reason, path + ".reason",
                 {"Forbidden", "Invalid", "RequestEntityTooLarge"}, errors);
  }
}

void validate_audit_annotations(const ValidatingAdmissionPolicy& policy, FieldErrors& errors) {
  const auto& annotations = policy.spec.auditAnnotations;
  if (annotations.size() > kAuditAnnotationsMax) {
    errors.invalid(
        "spec.auditAnnotations", fmt::format("[{} items]", annotations.size()),
        fmt::format("must not have more than {} auditAnnotations", kAuditAnnotationsMax));
  }
  std::set<std::string> keys;
  for (size_t i = 0; i < annotations.size(); ++i) {
    const std::string path = indexed("spec.auditAnnotations", i);
    const auto& annotation = annotations[i];
    if (!policy.metadata.name.empty()) {
      validate_by(check_label_key, policy.metadata.name + "/" + annotation.key, path + ".key",
                  errors);
    } else {
      validate_by(check_label_key, annotation.key, path + ".key", errors);
    }
    if (trim(annotation.valueExpression).empty()) {
      errors.required(path + ".valueExpression", "valueExpression is not specified");
    } else if (trim(annotation.valueExpression).size() > kValueExpressionMax) {
      errors.required(path + ".valueExpression",
                      fmt::format("must not exceed {} bytes in length", kValueExpressionMax));
    }
    if (!keys.insert(annotation.key).second) {
      errors.duplicate(path + ".key", quoted(annotation.key));
    }
  }
}

void validate_policy(const Object& object, const Object*, FieldErrors& errors) {
  const auto& policy = static_cast<const ValidatingAdmissionPolicy&>(object);
  const auto& spec = policy.spec;
  if (!spec.failurePolicy) {
    errors.required("spec.failurePolicy");
  } else {
    check_one_of(*spec.failurePolicy, "spec.failurePolicy", {"Fail", "Ignore"}, errors);
  }
  if (spec.paramKind) validate_param_kind(*spec.paramKind, "spec.paramKind", errors);
  if (!spec.matchConstraints) {
    errors.required("spec.matchConstraints");
  } else {
    validate_match_resources(*spec.matchConstraints, "spec.matchConstraints", errors);
    if (spec.matchConstraints->resourceRules.empty()) {
      errors.required("spec.matchConstraints.resourceRules");
    }
  }
  validate_match_conditions(spec.matchConditions, "spec.matchConditions", errors);
  for (size_t i = 0; i < spec.variables.size(); ++i) {
    validate_variable(spec.variables[i], indexed("spec.variables", i), errors);
  }
  if (spec.validations.empty() && spec.auditAnnotations.empty()) {
    constexpr const char* kOne = "validations or auditAnnotations must contain at least one item";
    errors.required("spec.validations", kOne);
    errors.required("spec.auditAnnotations", kOne);
    return;
  }
  for (size_t i = 0; i < spec.validations.size(); ++i) {
    validate_validation(spec.validations[i], indexed("spec.validations", i), errors);
  }
  validate_audit_annotations(policy, errors);
}

// ---- bindings ----

void set_binding_defaults(Object& object) {
  auto& spec = static_cast<ValidatingAdmissionPolicyBinding&>(object).spec;
  if (spec.matchResources) default_match_resources(*spec.matchResources);
  if (spec.paramRef && !spec.paramRef->parameterNotFoundAction) {
    spec.paramRef->parameterNotFoundAction = "Deny";
  }
}

void prepare_binding(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<ValidatingAdmissionPolicyBinding&>(object);
  if (old_object == nullptr) {
    now.metadata.generation = 1;
    return;
  }
  const auto& old = static_cast<const ValidatingAdmissionPolicyBinding&>(*old_object);
  now.metadata.generation = old.metadata.generation + (equal(now.spec, old.spec) ? 0 : 1);
}

void validate_param_ref(const ParamRef& ref, const std::string& path, FieldErrors& errors) {
  constexpr const char* kExclusive = "name and selector are mutually exclusive";
  if (!ref.name.empty()) {
    validate_by(check_path_segment, ref.name, path + ".name", errors);
    if (ref.selector) errors.forbidden(path + ".name", kExclusive);
  }
  if (ref.selector) {
    validate_label_selector(*ref.selector, path + ".selector", errors);
    if (!ref.name.empty()) errors.forbidden(path + ".selector", kExclusive);
  }
  if (ref.name.empty() && !ref.selector) {
    errors.required(path, "one of name or selector must be specified");
  }
  const std::string action = ref.parameterNotFoundAction.value_or("");
  if (action.empty()) {
    errors.required(path + ".parameterNotFoundAction");
  } else {
    check_one_of(action, path + ".parameterNotFoundAction", {"Deny", "Allow"}, errors);
  }
}

void validate_actions(const std::vector<std::string>& actions, const std::string& path,
                      FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < actions.size(); ++i) {
    check_one_of(actions[i], indexed(path, i), {"Audit", "Deny", "Warn"}, errors);
    if (!seen.insert(actions[i]).second) errors.duplicate(indexed(path, i), quoted(actions[i]));
  }
  if (seen.count("Deny") != 0 && seen.count("Warn") != 0) {
    errors.invalid(path, go_strings("admissionregistration.ValidationAction", actions),
                   "must not contain both Deny and Warn (repeating the same validation failure "
                   "information in the API response and headers serves no purpose)");
  }
  if (actions.empty()) errors.required(path, "at least one validation action is required");
}

void validate_binding(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const ValidatingAdmissionPolicyBinding&>(object).spec;
  if (spec.policyName.empty()) {
    errors.required("spec.policyName");
  } else {
    validate_by(check_dns1123_subdomain, spec.policyName, "spec.policyName", errors);
  }
  if (spec.paramRef) validate_param_ref(*spec.paramRef, "spec.paramRef", errors);
  if (spec.matchResources) {
    // Spelled as upstream spells it.
    validate_match_resources(*spec.matchResources, "spec.matchResouces", errors);
  }
  validate_actions(spec.validationActions, "spec.validationActions", errors);
}

std::vector<Cell> policy_row(const Object& object, WallTime now) {
  const auto& spec = static_cast<const ValidatingAdmissionPolicy&>(object).spec;
  return {name_cell(object), number(static_cast<int64_t>(spec.validations.size())),
          text(spec.paramKind ? spec.paramKind->apiVersion + "/" + spec.paramKind->kind
                              : std::string("<unset>")),
          age_cell(object, now)};
}

std::vector<Cell> binding_row(const Object& object, WallTime now) {
  const auto& spec = static_cast<const ValidatingAdmissionPolicyBinding&>(object).spec;
  std::string ref = "<unset>";
  if (spec.paramRef) {
    ref = (spec.paramRef->namespace_.empty() ? "*" : spec.paramRef->namespace_) + "/" +
          spec.paramRef->name;
  }
  return {name_cell(object), text(spec.policyName), text(ref), age_cell(object, now)};
}

}  // namespace

ResourceInfo validating_admission_policies_resource() {
  auto info = stored_resource<ValidatingAdmissionPolicy>("validatingadmissionpolicies",
                                                         "validatingadmissionpolicy", false);
  info.categories = {"api-extensions"};
  info.has_status = true;
  info.set_defaults = set_policy_defaults;
  info.prepare = prepare_spec_and_status<ValidatingAdmissionPolicy>;
  info.prepare_status = prepare_status_only<ValidatingAdmissionPolicy>;
  info.validate = validate_policy;
  info.columns = {name_column(), column("Validations", "integer", "How many validations it has."),
                  column("ParamKind", "string", "The kind of its parameters."), age_column()};
  info.row = policy_row;
  return info;
}

ResourceInfo validating_admission_policy_bindings_resource() {
  auto info = stored_resource<ValidatingAdmissionPolicyBinding>(
      "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", false);
  info.categories = {"api-extensions"};
  info.set_defaults = set_binding_defaults;
  info.prepare = prepare_binding;
  info.validate = validate_binding;
  info.columns = {name_column(), column("PolicyName", "string", "The policy it puts to use."),
                  column("ParamRef", "string", "The parameters it gives."), age_column()};
  info.row = binding_row;
  return info;
}

}  // namespace orch::api
