// admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration and MutatingWebhookConfiguration.
#include <algorithm>

#include "api/kinds/admissionregistration/rules.h"
#include "api/kinds/checks.h"
#include "api/kinds/webhook_client.h"

namespace orch::api {
namespace {

using namespace admissionregistrationv1;

constexpr int32_t kTimeoutSeconds = 10;
constexpr int32_t kTimeoutSecondsMax = 30;

bool accepted_version(std::string_view version) { return version == "v1" || version == "v1beta1"; }

bool quiet(const std::optional<std::string>& effects) {
  return effects == "None" || effects == "NoneOnDryRun";
}

template <class Webhook>
void default_webhook(Webhook& hook) {
  if (!hook.failurePolicy) hook.failurePolicy = "Fail";
  if (!hook.matchPolicy) hook.matchPolicy = "Equivalent";
  hook.namespaceSelector.ensure();
  hook.objectSelector.ensure();
  if (!hook.timeoutSeconds) hook.timeoutSeconds = kTimeoutSeconds;
  if (hook.clientConfig.service && !hook.clientConfig.service->port) {
    hook.clientConfig.service->port = 443;
  }
  for (auto& rule : hook.rules) default_rule(rule);
  if constexpr (requires { hook.reinvocationPolicy; }) {
    if (!hook.reinvocationPolicy) hook.reinvocationPolicy = "Never";
  }
}

template <class Configuration>
void set_configuration_defaults(Object& object) {
  for (auto& hook : static_cast<Configuration&>(object).webhooks) default_webhook(hook);
}

template <class Configuration>
void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<Configuration&>(object);
  if (old_object == nullptr) {
    now.metadata.generation = 1;
    return;
  }
  const auto& old = static_cast<const Configuration&>(*old_object);
  now.metadata.generation =
      old.metadata.generation + (same_list(now.webhooks, old.webhooks) ? 0 : 1);
}

// What stored objects may keep although it is no longer accepted.
struct Leniency {
  bool side_effects = false, versions = false, names = false;
};

void validate_versions(const std::vector<std::string>& versions, bool lenient,
                       const std::string& path, FieldErrors& errors) {
  if (versions.empty()) return errors.required(path, "must specify one of v1, v1beta1");
  std::set<std::string> seen;
  for (size_t i = 0; i < versions.size(); ++i) {
    if (!seen.insert(versions[i]).second) {
      errors.invalid(indexed(path, i), quoted(versions[i]), "duplicate version");
      continue;
    }
    validate_by(check_dns1035_label, versions[i], indexed(path, i), errors);
  }
  if (!lenient && std::none_of(versions.begin(), versions.end(), accepted_version)) {
    errors.invalid(path, go_value(versions), "must include at least one of v1, v1beta1");
  }
}

void validate_client(const WebhookClientConfig& client, const std::string& path,
                     FieldErrors& errors) {
  if (client.url.has_value() == client.service.has_value()) {
    errors.required(path, "exactly one of url or service is required");
  } else if (client.url) {
    validate_webhook_url(*client.url, path + ".url", errors);
  } else {
    const auto& service = *client.service;
    validate_webhook_service(
        {service.namespace_, service.name, service.path, service.port.value_or(443)},
        path + ".service", errors);
  }
}

void validate_side_effects(const std::optional<std::string>& effects, bool lenient,
                           const std::string& path, FieldErrors& errors) {
  if (!effects) {
    return errors.required(path, lenient ? "must specify one of None, NoneOnDryRun, Some, Unknown"
                                         : "must specify one of None, NoneOnDryRun");
  }
  if (lenient) {
    check_one_of(*effects, path, {"None", "NoneOnDryRun", "Some", "Unknown"}, errors);
  } else {
    check_one_of(*effects, path, {"None", "NoneOnDryRun"}, errors);
  }
}

template <class Webhook>
void validate_webhook(const Webhook& hook, const Leniency& lenient, const std::string& path,
                      FieldErrors& errors) {
  check_fully_qualified(hook.name, path + ".name", errors);
  for (size_t i = 0; i < hook.rules.size(); ++i) {
    validate_rule(hook.rules[i], indexed(path + ".rules", i), errors);
  }
  if (hook.failurePolicy) {
    check_one_of(*hook.failurePolicy, path + ".failurePolicy", {"Fail", "Ignore"}, errors);
  }
  if (hook.matchPolicy) {
    check_one_of(*hook.matchPolicy, path + ".matchPolicy", {"Equivalent", "Exact"}, errors);
  }
  validate_side_effects(hook.sideEffects, lenient.side_effects, path + ".sideEffects", errors);
  if (hook.timeoutSeconds &&
      (*hook.timeoutSeconds < 1 || *hook.timeoutSeconds > kTimeoutSecondsMax)) {
    errors.invalid(path + ".timeoutSeconds", std::to_string(*hook.timeoutSeconds),
                   "the timeout value must be between 1 and 30 seconds");
  }
  if (hook.namespaceSelector) {
    validate_label_selector(*hook.namespaceSelector, path + ".namespaceSelector", errors);
  }
  if (hook.objectSelector) {
    validate_label_selector(*hook.objectSelector, path + ".objectSelector", errors);
  }
  if constexpr (requires { hook.reinvocationPolicy; }) {
    if (hook.reinvocationPolicy) {
      check_one_of(*hook.reinvocationPolicy, path + ".reinvocationPolicy", {"IfNeeded", "Never"},
                   errors);
    }
  }
  validate_client(hook.clientConfig, path + ".clientConfig", errors);
  validate_match_conditions(hook.matchConditions, path + ".matchConditions", errors);
  validate_versions(hook.admissionReviewVersions, lenient.versions,
                    path + ".admissionReviewVersions", errors);
}

template <class Configuration>
Leniency leniency_of(const Configuration& old) {
  Leniency out;
  std::set<std::string> names;
  for (const auto& hook : old.webhooks) {
    const auto& versions = hook.admissionReviewVersions;
    out.side_effects = out.side_effects || !quiet(hook.sideEffects);
    out.versions =
        out.versions ||
        (!versions.empty() && std::none_of(versions.begin(), versions.end(), accepted_version));
    out.names = out.names || !names.insert(hook.name).second;
  }
  return out;
}

template <class Configuration>
void validate_configuration(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& webhooks = static_cast<const Configuration&>(object).webhooks;
  Leniency lenient;
  if (old_object != nullptr) {
    lenient = leniency_of(static_cast<const Configuration&>(*old_object));
  }
  std::set<std::string> names;
  for (size_t i = 0; i < webhooks.size(); ++i) {
    const std::string path = indexed("webhooks", i);
    validate_webhook(webhooks[i], lenient, path, errors);
    if (webhooks[i].name.empty() || names.insert(webhooks[i].name).second) continue;
    if (!lenient.names) errors.duplicate(path + ".name", quoted(webhooks[i].name));
  }
}

template <class Configuration>
ResourceInfo configurations(std::string_view plural, std::string_view singular) {
  auto info = stored_resource<Configuration>(plural, singular, false);
  info.categories = {"api-extensions"};
  info.set_defaults = set_configuration_defaults<Configuration>;
  info.prepare = prepare<Configuration>;
  info.validate = validate_configuration<Configuration>;
  info.columns = {name_column(), column("Webhooks", "integer", "How many webhooks there are."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& webhooks = static_cast<const Configuration&>(object).webhooks;
    return {name_cell(object), number(static_cast<int64_t>(webhooks.size())),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace

ResourceInfo mutating_webhook_configurations_resource() {
  return configurations<MutatingWebhookConfiguration>("mutatingwebhookconfigurations",
                                                      "mutatingwebhookconfiguration");
}

ResourceInfo validating_webhook_configurations_resource() {
  return configurations<ValidatingWebhookConfiguration>("validatingwebhookconfigurations",
                                                        "validatingwebhookconfiguration");
}

}  // namespace orch::api
