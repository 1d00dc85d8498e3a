// apiextensions.k8s.io/v1 CustomResourceDefinition: the object. Nothing here serves what it
// defines.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/apiextensions/schema.h"
#include "api/kinds/checks.h"
#include "api/kinds/webhook_client.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace apiextensionsv1;

constexpr std::string_view kColumnTypes[] = {"boolean", "date", "integer", "number", "string"};

void set_definition_defaults(Object& object) {
  auto& spec = static_cast<CustomResourceDefinition&>(object).spec;
  if (spec.names.singular.empty()) spec.names.singular = to_lower(spec.names.kind);
  if (spec.names.listKind.empty() && !spec.names.kind.empty()) {
    spec.names.listKind = spec.names.kind + "List";
  }
  auto& conversion = spec.conversion.ensure();
  if (conversion.strategy.empty()) conversion.strategy = "None";
  if (conversion.webhook && conversion.webhook->clientConfig &&
      conversion.webhook->clientConfig->service &&
      !conversion.webhook->clientConfig->service->port) {
    conversion.webhook->clientConfig->service->port = 443;
  }
}

// The version objects are stored in joins the list of those that may be in the store.
void remember_stored_version(CustomResourceDefinition& definition) {
  for (const auto& version : definition.spec.versions) {
    if (!version.storage) continue;
    auto& stored = definition.status.storedVersions;
    if (!listed(stored, version.name)) stored.push_back(version.name);
    return;
  }
}

void prepare(Object& object, const Object* old_object, const StrategyContext& context) {
  prepare_spec_and_status<CustomResourceDefinition>(object, old_object, context);
  remember_stored_version(static_cast<CustomResourceDefinition&>(object));
}

void check_label(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  validate_by(check_dns1035_label, value, path, errors);
}

void check_kind(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  if (const auto why = check_dns1035_label(to_lower(value)); !why.empty()) {
    errors.invalid(path, quoted(value), "may have mixed case, but should otherwise match: " + why);
  }
}

void validate_names(const CustomResourceDefinitionNames& names, const std::string& path,
                    FieldErrors& errors) {
  check_label(names.plural, path + ".plural", errors);
  check_label(names.singular, path + ".singular", errors);
  check_kind(names.kind, path + ".kind", errors);
  check_kind(names.listKind, path + ".listKind", errors);
  for (size_t i = 0; i < names.shortNames.size(); ++i) {
    validate_by(check_dns1035_label, names.shortNames[i], indexed(path + ".shortNames", i), errors);
  }
  if (!names.kind.empty() && names.kind == names.listKind) {
    errors.invalid(path + ".listKind", quoted(names.listKind),
                   "kind and listKind may not be the same");
  }
  for (size_t i = 0; i < names.categories.size(); ++i) {
    validate_by(check_dns1035_label, names.categories[i], indexed(path + ".categories", i), errors);
  }
}

void validate_columns(const std::vector<CustomResourceColumnDefinition>& columns,
                      const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string at = indexed(path, i);
    check_required(columns[i].name, at + ".name", errors);
    if (columns[i].type.empty()) {
      errors.required(at + ".type", "must be one of boolean,date,integer,number,string");
    } else if (!listed(kColumnTypes, columns[i].type)) {
      errors.invalid(at + ".type", quoted(columns[i].type),
                     "must be one of boolean,date,integer,number,string");
    }
    check_required(columns[i].jsonPath, at + ".jsonPath", errors);
  }
}

void check_path_under(const std::string& value, const char* root, const std::string& path,
                      FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  if (!value.starts_with(root)) {
    errors.invalid(path, quoted(value), fmt::format("should be a json path under {}", root));
  }
}

void validate_version(const CustomResourceDefinitionVersion& version, const std::string& path,
                      FieldErrors& errors) {
  validate_by(check_dns1035_label, version.name, path + ".name", errors);
  if (version.deprecationWarning) {
    if (!version.deprecated) {
      errors.invalid(path + ".deprecationWarning", quoted(*version.deprecationWarning),
                     "can only be set for deprecated versions");
    }
    if (version.deprecationWarning->empty()) {
      errors.invalid(path + ".deprecationWarning", "\"\"", "must not be empty if specified");
    }
  }
  const std::string schema = path + ".schema.openAPIV3Schema";
  if (!version.schema || !version.schema->openAPIV3Schema) {
    errors.required(schema, "schemas are required");
  } else {
    validate_schema(*version.schema->openAPIV3Schema, schema, errors);
  }
  validate_columns(version.additionalPrinterColumns, path + ".additionalPrinterColumns", errors);
  if (!version.subresources || !version.subresources->scale) return;
  const auto& scale = *version.subresources->scale;
  const std::string at = path + ".subresources.scale";
  check_path_under(scale.specReplicasPath, ".spec", at + ".specReplicasPath", errors);
  check_path_under(scale.statusReplicasPath, ".status", at + ".statusReplicasPath", errors);
  if (scale.labelSelectorPath && !scale.labelSelectorPath->empty() &&
      !scale.labelSelectorPath->starts_with(".spec") &&
      !scale.labelSelectorPath->starts_with(".status")) {
    errors.invalid(at + ".labelSelectorPath", quoted(*scale.labelSelectorPath),
                   "should be a json path under either .spec or .status");
  }
}

void validate_versions(const CustomResourceDefinitionSpec& spec, FieldErrors& errors) {
  std::set<std::string> names;
  std::vector<std::string> shown;
  size_t storage = 0;
  for (size_t i = 0; i < spec.versions.size(); ++i) {
    const auto& version = spec.versions[i];
    validate_version(version, indexed("spec.versions", i), errors);
    names.insert(version.name);
    shown.push_back(version.name);
    storage += version.storage ? 1 : 0;
  }
  const std::string value = go_strings("apiextensions.CustomResourceDefinitionVersion", shown);
  if (names.size() != spec.versions.size()) {
    errors.invalid("spec.versions", value, "must contain unique version names");
  }
  if (storage != 1) {
    errors.invalid("spec.versions", value,
                   "must have exactly one version marked as storage version");
  }
}

void validate_conversion(const CustomResourceConversion& conversion, FieldErrors& errors) {
  const std::string path = "spec.conversion";
  if (conversion.strategy.empty()) {
    errors.required(path + ".strategy");
  } else {
    check_one_of(conversion.strategy, path + ".strategy", {"None", "Webhook"}, errors);
  }
  const auto& webhook = conversion.webhook;
  if (conversion.strategy != "Webhook") {
    if (webhook && webhook->clientConfig) {
      errors.forbidden(path + ".webhookClientConfig",
                       "should not be set when strategy is not set to Webhook");
    }
    if (webhook && !webhook->conversionReviewVersions.empty()) {
      errors.forbidden(path + ".conversionReviewVersions",
                       "should not be set when strategy is not set to Webhook");
    }
    return;
  }
  if (!webhook || !webhook->clientConfig) {
    errors.required(path + ".webhookClientConfig", "required when strategy is set to Webhook");
  } else {
    const auto& client = *webhook->clientConfig;
    const std::string at = path + ".webhookClientConfig";
    if (client.url.has_value() == client.service.has_value()) {
      errors.required(at, "exactly one of url or service is required");
    } else if (client.url) {
      validate_webhook_url(*client.url, at + ".url", errors);
    } else {
      const auto& service = *client.service;
      validate_webhook_service(
          {service.namespace_, service.name, service.path, service.port.value_or(443)},
          at + ".service", errors);
    }
  }
  const std::string versions = path + ".conversionReviewVersions";
  if (!webhook || webhook->conversionReviewVersions.empty()) return errors.required(versions);
  const auto& list = webhook->conversionReviewVersions;
  if (!listed(list, "v1") && !listed(list, "v1beta1")) {
    errors.invalid(versions, go_value(list), "must include at least one of v1, v1beta1");
  }
}

bool established(const CustomResourceDefinition& definition) {
  for (const auto& c : definition.status.conditions) {
    if (c.type == "Established" && c.status == "True") return true;
  }
  return false;
}

void validate_update(const CustomResourceDefinitionSpec& now, const CustomResourceDefinition& was,
                     FieldErrors& errors) {
  const auto& old = was.spec;
  const auto kept = [&](const std::string& a, const std::string& b, const char* path) {
    check_unchanged(a == b, path, quoted(a), errors);
  };
  if (established(was)) {
    kept(now.scope, old.scope, "spec.scope");
    kept(now.names.kind, old.names.kind, "spec.names.kind");
  }
  kept(now.group, old.group, "spec.group");
  kept(now.names.plural, old.names.plural, "spec.names.plural");
}

void validate_stored_versions(const CustomResourceDefinition& definition, FieldErrors& errors) {
  const auto& stored = definition.status.storedVersions;
  const std::string path = "status.storedVersions";
  if (stored.empty()) {
    errors.invalid(path, "[]string{}", "must have at least one stored version");
  }
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool known = std::any_of(definition.spec.versions.begin(), definition.spec.versions.end(),
                                   [&](const auto& version) { return version.name == stored[i]; });
    if (!known) {
      errors.invalid(indexed(path, i), quoted(stored[i]), "must appear in spec.versions");
    }
  }
  for (const auto& version : definition.spec.versions) {
    if (version.storage && !stored.empty() && !listed(stored, version.name)) {
      errors.invalid(path, go_value(stored), "must have the storage version " + version.name);
    }
  }
}

// Groups of the project itself need a word on who approved the API, unless they never had one.
void validate_approval(const CustomResourceDefinition& now, const CustomResourceDefinition* old,
                       FieldErrors& errors) {
  constexpr const char* kApproved = "api-approved.kubernetes.io";
  constexpr const char* kSee = "see https://github.com/kubernetes/enhancements/pull/1111";
  const std::string& group = now.spec.group;
  if (group != "k8s.io" && group != "kubernetes.io" && !group.ends_with(".k8s.io") &&
      !group.ends_with(".kubernetes.io")) {
    return;
  }
  const auto value_of = [&](const CustomResourceDefinition& definition) -> std::string {
    const auto it = definition.metadata.annotations.find(kApproved);
    return it == definition.metadata.annotations.end() ? std::string() : it->second;
  };
  const std::string value = value_of(now);
  if (old != nullptr && value_of(*old) == value) return;
  const std::string path = keyed("metadata.annotations", kApproved);
  if (value.empty()) {
    errors.required(path, fmt::format("protected groups must have approval annotation \"{}\", {}",
                                      kApproved, kSee));
  } else if (!value.starts_with("unapproved") && value.find("://") == std::string::npos) {
    errors.invalid(path, quoted(value),
                   fmt::format("protected groups must have approval annotation \"{}\" with either "
                               "a URL or a reason starting with \"unapproved\", {}",
                               kApproved, kSee));
  }
}

void validate_definition(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CustomResourceDefinition&>(object);
  const auto& spec = now.spec;
  if (now.metadata.name != spec.names.plural + "." + spec.group) {
    errors.invalid("metadata.name", quoted(now.metadata.name),
                   "must be spec.names.plural+\".\"+spec.group");
  }
  if (spec.group.empty()) {
    errors.required("spec.group");
  } else if (const auto why = check_dns1123_subdomain(spec.group); !why.empty()) {
    errors.invalid("spec.group", quoted(spec.group), why);
  } else if (spec.group.find('.') == std::string::npos) {
    errors.invalid("spec.group", quoted(spec.group), "should be a domain with at least one dot");
  }
  if (spec.scope.empty()) {
    errors.required("spec.scope");
  } else {
    check_one_of(spec.scope, "spec.scope", {"Cluster", "Namespaced"}, errors);
  }
  if (spec.preserveUnknownFields) {
    errors.invalid("spec.preserveUnknownFields", "true",
                   "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                   "spec.versions[*].schema instead");
  }
  validate_versions(spec, errors);
  validate_names(spec.names, "spec.names", errors);
  if (spec.conversion) validate_conversion(*spec.conversion, errors);
  const auto* old = static_cast<const CustomResourceDefinition*>(old_object);
  validate_approval(now, old, errors);
  if (old != nullptr) {
    validate_update(spec, *old, errors);
    validate_stored_versions(now, errors);
  }
}

}  // namespace

ResourceInfo custom_resource_definitions_resource() {
  auto info = stored_resource<CustomResourceDefinition>("customresourcedefinitions",
                                                        "customresourcedefinition", false);
  info.short_names = {"crd", "crds"};
  info.categories = {"api-extensions"};
  info.has_status = true;
  info.set_defaults = set_definition_defaults;
  info.prepare = prepare;
  info.prepare_status = prepare_status_only<CustomResourceDefinition>;
  info.validate = validate_definition;
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_stored_versions(static_cast<const CustomResourceDefinition&>(now), errors);
  };
  info.columns = {name_column(), column("Created At", "date", "When it was created.")};
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    return {name_cell(object), text(object.metadata.creationTimestamp.str())};
  };
  return info;
}

}  // namespace orch::api
