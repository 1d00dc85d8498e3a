// networking.k8s.io/v1 Ingress.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"
#include "api/kinds/networking/networking.h"
#include "api/validation/formats.h"
#include "api/validation/go_value.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace networkingv1;

constexpr const char* kClassAnnotation = "kubernetes.io/ingress.class";

void validate_backend(const IngressBackend& backend, const std::string& path, FieldErrors& errors) {
  if (backend.resource && backend.service) {
    errors.invalid(path, "\"\"", "cannot set both resource and service backends");
  } else if (backend.resource) {
    validate_typed_reference(backend.resource->apiGroup, backend.resource->kind,
                             backend.resource->name, path + ".resource", errors);
  } else if (backend.service) {
    const auto& service = *backend.service;
    if (service.name.empty()) {
      errors.required(path + ".service.name");
    } else {
      validate_by(check_dns1035_label, service.name, path + ".service.name", errors);
    }
    if (!service.port.name.empty() && service.port.number != 0) {
      errors.invalid(path, "\"\"", "cannot set both port name & port number");
    } else if (!service.port.name.empty()) {
      validate_port_name(service.port.name, path + ".service.port.name", errors);
    } else if (service.port.number != 0) {
      validate_port_number(service.port.number, path + ".service.port.number", errors);
    } else {
      errors.required(path, "port name or number is required");
    }
  } else {
    errors.invalid(path, "\"\"", "resource or service backend is required");
  }
}

void validate_exact_path(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (!value.starts_with('/')) errors.invalid(path, quoted(value), "must be an absolute path");
  for (const char* bad : {"//", "/./", "/../", "%2f", "%2F"}) {
    if (value.find(bad) != std::string::npos) {
      errors.invalid(path, quoted(value), fmt::format("must not contain '{}'", bad));
    }
  }
  for (const char* bad : {"/..", "/."}) {
    if (value.ends_with(bad)) {
      errors.invalid(path, quoted(value), fmt::format("cannot end with '{}'", bad));
    }
  }
}

void validate_path(const HTTPIngressPath& p, const std::string& path, FieldErrors& errors) {
  if (!p.pathType) {
    errors.required(path + ".pathType", "pathType must be specified");
    return;
  }
  if (*p.pathType == "Exact" || *p.pathType == "Prefix") {
    validate_exact_path(p.path, path + ".path", errors);
  } else if (*p.pathType == "ImplementationSpecific") {
    if (!p.path.empty() && !p.path.starts_with('/')) {
      errors.invalid(path + ".path", quoted(p.path), "must be an absolute path");
    }
  } else {
    errors.not_supported(path + ".pathType", *p.pathType,
                         {"Exact", "ImplementationSpecific", "Prefix"});
  }
  validate_backend(p.backend, path + ".backend", errors);
}

void validate_host(const std::string& host, const std::string& path, FieldErrors& errors) {
  const bool wildcard = host.find('*') != std::string::npos;
  validate_by(wildcard ? check_wildcard_subdomain : check_dns1123_subdomain, host, path, errors);
}

void validate_rules(const IngressSpec& spec, FieldErrors& errors) {
  for (size_t i = 0; i < spec.rules.size(); ++i) {
    const auto& rule = spec.rules[i];
    const std::string at = indexed("spec.rules", i);
    if (!rule.host.empty()) {
      if (is_ip(rule.host)) {
        errors.invalid(at + ".host", quoted(rule.host), "must be a DNS name, not an IP address");
      }
      validate_host(rule.host, at + ".host", errors);
    }
    if (!rule.http) continue;
    if (rule.http->paths.empty()) errors.required(at + ".http.paths");
    for (size_t j = 0; j < rule.http->paths.size(); ++j) {
      validate_path(rule.http->paths[j], indexed(at + ".http.paths", j), errors);
    }
  }
}

void validate_tls(const IngressSpec& spec, FieldErrors& errors) {
  for (size_t i = 0; i < spec.tls.size(); ++i) {
    const auto& tls = spec.tls[i];
    const std::string at = indexed("spec.tls", i);
    for (size_t j = 0; j < tls.hosts.size(); ++j) {
      validate_host(tls.hosts[j], indexed(at + ".hosts", j), errors);
    }
    if (!tls.secretName.empty()) {
      validate_by(check_dns1123_subdomain, tls.secretName, at + ".secretName", errors);
    }
  }
}

void validate(const Object& object, const Object* old, FieldErrors& errors) {
  const auto& spec = static_cast<const Ingress&>(object).spec;
  if (spec.rules.empty() && !spec.defaultBackend) {
    errors.invalid("spec", "[]networking.IngressRule(nil)",
                   "either `defaultBackend` or `rules` must be specified");
  }
  if (spec.defaultBackend) validate_backend(*spec.defaultBackend, "spec.defaultBackend", errors);
  validate_rules(spec, errors);
  validate_tls(spec, errors);
  const auto& annotations = object.metadata.annotations;
  const auto class_annotation = annotations.find(kClassAnnotation);
  if (!spec.ingressClassName) return;
  validate_by(check_dns1123_subdomain, *spec.ingressClassName, "spec.ingressClassName", errors);
  if (old == nullptr && class_annotation != annotations.end() &&
      class_annotation->second != *spec.ingressClassName) {
    errors.invalid(fmt::format("annotations.{}", kClassAnnotation),
                   quoted(class_annotation->second),
                   "must match `ingressClassName` when both are specified");
  }
}

void validate_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& given = static_cast<const Ingress&>(object).status.loadBalancer.ingress;
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string at = indexed("status.loadBalancer.ingress", i);
    if (!given[i].ip.empty()) validate_by(check_ip, given[i].ip, at + ".ip", errors);
    if (given[i].hostname.empty()) continue;
    validate_by(check_dns1123_subdomain, given[i].hostname, at + ".hostname", errors);
    if (is_ip(given[i].hostname)) {
      errors.invalid(at + ".hostname", quoted(given[i].hostname),
                     "must be a DNS name, not an IP address");
    }
  }
}

std::string hosts_text(const std::vector<IngressRule>& rules) {
  constexpr size_t kShown = 3;
  std::vector<std::string> hosts;
  bool more = false;
  for (const auto& rule : rules) {
    if (hosts.size() == kShown) more = true;
    if (!more && !rule.host.empty()) hosts.push_back(rule.host);
  }
  if (hosts.empty()) return "*";
  const std::string out = join(hosts, ",");
  return more ? fmt::format("{} + {} more...", out, rules.size() - kShown) : out;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& ingress = static_cast<const Ingress&>(object);
  std::set<std::string> addresses;
  for (const auto& point : ingress.status.loadBalancer.ingress) {
    addresses.insert(point.ip.empty() ? point.hostname : point.ip);
  }
  return {name_cell(object),
          text(ingress.spec.ingressClassName.value_or("<none>")),
          text(hosts_text(ingress.spec.rules)),
          text(join({addresses.begin(), addresses.end()}, ",")),
          text(ingress.spec.tls.empty() ? "80" : "80, 443"),
          age_cell(object, now)};
}

void prepare_status(Object& object, const Object& old) {
  static_cast<Ingress&>(object).spec = static_cast<const Ingress&>(old).spec;
}

}  // namespace

ResourceInfo ingresses_resource() {
  auto info = stored_resource<Ingress>("ingresses", "ingress", true);
  info.short_names = {"ing"};
  info.has_status = true;
  info.prepare = prepare_spec_and_status<Ingress>;
  info.prepare_status = prepare_status;
  info.validate = validate;
  info.validate_status = validate_status;
  info.columns = {name_column(),
                  column("Class", "string", "Whose controller serves it."),
                  column("Hosts", "string", "Names it answers to."),
                  column("Address", "string", "Where it is reached."),
                  column("Ports", "string", "Ports it is served at."),
                  age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
