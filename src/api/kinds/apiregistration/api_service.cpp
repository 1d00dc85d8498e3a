// apiregistration.k8s.io/v1 APIService.
#include <fmt/format.h>

#include "api/kinds/checks.h"
#include "orch/api/apiregistrationv1.h"

namespace orch::api {
namespace {

using apiregistrationv1::APIService;

constexpr int32_t kGroupPriorityMax = 20000;
constexpr int32_t kVersionPriorityMax = 1000;

void set_service_defaults(Object& object) {
  auto& service = static_cast<APIService&>(object).spec.service;
  if (service && !service->port) service->port = 443;
}

void prepare(Object& object, const Object* old_object, const StrategyContext& context) {
  auto& now = static_cast<APIService&>(object);
  if (old_object != nullptr) {
    now.status = static_cast<const APIService&>(*old_object).status;
    return;
  }
  now.status = {};
  if (now.spec.service) return;
  auto& condition = now.status.conditions.emplace_back();
  condition.type = "Available";
  condition.status = "True";
  condition.lastTransitionTime = Time(context.now);
  condition.reason = "Local";
  condition.message = "Local APIServices are always available";
}

void validate_priorities(const APIService& service, FieldErrors& errors) {
  const auto& spec = service.spec;
  if (spec.groupPriorityMinimum <= 0 || spec.groupPriorityMinimum > kGroupPriorityMax) {
    errors.invalid("spec.groupPriorityMinimum", std::to_string(spec.groupPriorityMinimum),
                   "must be positive and less than 20000");
  }
  if (spec.versionPriority <= 0 || spec.versionPriority > kVersionPriorityMax) {
    errors.invalid("spec.versionPriority", std::to_string(spec.versionPriority),
                   "must be positive and less than 1000");
  }
}

void validate_backend(const APIService& service, FieldErrors& errors) {
  const auto& spec = service.spec;
  if (!spec.service) {
    if (!spec.caBundle.empty()) {
      errors.invalid("spec.caBundle", quoted(fmt::format("{} bytes", spec.caBundle.size())),
                     "local APIServices may not have a caBundle");
    }
    if (spec.insecureSkipTLSVerify) {
      errors.invalid("spec.insecureSkipTLSVerify", "true",
                     "local APIServices may not have insecureSkipTLSVerify");
    }
    return;
  }
  check_required(spec.service->namespace_, "spec.service.namespace", errors);
  check_required(spec.service->name, "spec.service.name", errors);
  const int32_t port = spec.service->port.value_or(443);
  if (port < 1 || port > 65535) {
    errors.invalid("spec.service.port", std::to_string(port),
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (spec.insecureSkipTLSVerify && !spec.caBundle.empty()) {
    errors.invalid("spec.insecureSkipTLSVerify", "true", "may not be true if caBundle is present");
  }
}

void validate_service(const Object& object, const Object*, FieldErrors& errors) {
  const auto& service = static_cast<const APIService&>(object);
  const auto& spec = service.spec;
  const std::string wanted = spec.version + "." + spec.group;
  if (service.metadata.name != wanted) {
    errors.invalid("metadata.name", quoted(service.metadata.name),
                   fmt::format("must be `spec.version+\".\"+spec.group`: {}", quoted(wanted)));
  }
  if (spec.group.empty()) {
    if (spec.version != "v1") {
      errors.required("spec.group", "only v1 may have an empty group and it better be legacy kube");
    }
  } else {
    validate_by(check_dns1123_subdomain, spec.group, "spec.group", errors);
  }
  validate_by(check_dns1035_label, spec.version, "spec.version", errors);
  validate_priorities(service, errors);
  validate_backend(service, errors);
}

void validate_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& conditions = static_cast<const APIService&>(object).status.conditions;
  for (size_t i = 0; i < conditions.size(); ++i) {
    check_one_of(conditions[i].status, indexed("status.conditions", i) + ".status",
                 {"True", "False", "Unknown"}, errors);
  }
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& service = static_cast<const APIService&>(object);
  std::string available = "Unknown";
  for (const auto& c : service.status.conditions) {
    if (c.type != "Available") continue;
    available = c.status;
    if (c.status != "True" && !c.reason.empty()) available += " (" + c.reason + ")";
  }
  return {name_cell(object),
          text(service.spec.service
                   ? service.spec.service->namespace_ + "/" + service.spec.service->name
                   : std::string("Local")),
          text(available), age_cell(object, now)};
}

}  // namespace

ResourceInfo api_services_resource() {
  auto info = stored_resource<APIService>("apiservices", "apiservice", false);
  info.categories = {"api-extensions"};
  info.has_status = true;
  info.set_defaults = set_service_defaults;
  info.prepare = prepare;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<APIService&>(object).spec = static_cast<const APIService&>(old).spec;
  };
  info.validate = validate_service;
  info.validate_status = validate_status;
  info.columns = {name_column(), column("Service", "string", "Who serves it."),
                  column("Available", "string", "Whether it can be reached."), age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
