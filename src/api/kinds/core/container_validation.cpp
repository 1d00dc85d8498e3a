// Containers: names, images, ports, env, probes, hooks, resources, mounts, security context.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/common.h"

namespace orch::api {
namespace {

using namespace corev1;

void one_of(const std::string& value, const std::string& path,
            const std::vector<std::string>& supported, FieldErrors& errors) {
  if (value.empty()) {
    errors.required(path);
  } else if (std::find(supported.begin(), supported.end(), value) == supported.end()) {
    errors.not_supported(path, value, supported);
  }
}

void port_number(int64_t port, const std::string& path, FieldErrors& errors) {
  if (port < 1 || port > 65535) {
    errors.invalid(path, std::to_string(port), "must be between 1 and 65535, inclusive");
  }
}

std::string check_port_name(std::string_view name) {
  if (name.size() > 15) return "must be no more than 15 characters";
  const bool legal = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!legal) return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  const bool letter =
      std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (!letter) return "must contain at least one letter (a-z)";
  if (name.find("--") != std::string_view::npos) return "must not contain consecutive hyphens";
  if (name.front() == '-' || name.back() == '-') return "must not begin or end with a hyphen";
  return "";
}

void validate_port_reference(const IntOrString& port, const std::string& path,
                             FieldErrors& errors) {
  if (!port.is_string) return port_number(port.int_value, path, errors);
  if (auto why = check_port_name(port.string_value); port.string_value.empty() || !why.empty()) {
    errors.invalid(path, quoted(port.string_value), why.empty() ? "must not be empty" : why);
  }
}

void validate_ports(const std::vector<ContainerPort>& ports, const std::string& path,
                    FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    const auto& port = ports[i];
    const std::string at = indexed(path, i);
    if (!port.name.empty()) {
      if (auto why = check_port_name(port.name); !why.empty()) {
        errors.invalid(at + ".name", quoted(port.name), why);
      } else if (!names.insert(port.name).second) {
        errors.duplicate(at + ".name", quoted(port.name));
      }
    }
    if (port.containerPort == 0) {
      errors.required(at + ".containerPort");
    } else {
      port_number(port.containerPort, at + ".containerPort", errors);
    }
    if (port.hostPort != 0) port_number(port.hostPort, at + ".hostPort", errors);
    one_of(port.protocol, at + ".protocol", {"SCTP", "TCP", "UDP"}, errors);
  }
}

void validate_env_source(const EnvVarSource& source, const std::string& value,
                         const std::string& path, FieldErrors& errors) {
  const int given = !!source.fieldRef + !!source.resourceFieldRef + !!source.configMapKeyRef +
                    !!source.secretKeyRef;
  if (given == 0) {
    errors.invalid(path, "\"\"",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                   "`secretKeyRef`");
  }
  if (!value.empty() && given > 0) {
    errors.invalid(path, "\"\"", "may not be specified when `value` is not empty");
  }
  if (given > 1) {
    errors.invalid(path, "\"\"", "may not have more than one field specified at a time");
  }
  if (source.configMapKeyRef && source.configMapKeyRef->key.empty()) {
    errors.required(path + ".configMapKeyRef.key");
  }
  if (source.secretKeyRef && source.secretKeyRef->key.empty()) {
    errors.required(path + ".secretKeyRef.key");
  }
  if (source.fieldRef && source.fieldRef->fieldPath.empty()) {
    errors.required(path + ".fieldRef.fieldPath");
  }
}

void validate_env(const Container& container, const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < container.env.size(); ++i) {
    const auto& env = container.env[i];
    const std::string at = indexed(path + ".env", i);
    if (env.name.empty()) {
      errors.required(at + ".name");
    } else if (env.name.find('=') != std::string::npos) {
      errors.invalid(at + ".name", quoted(env.name),
                     "a valid environment variable name must consist only of printable ASCII "
                     "characters other than '='");
    }
    if (env.valueFrom) validate_env_source(*env.valueFrom, env.value, at + ".valueFrom", errors);
  }
  for (size_t i = 0; i < container.envFrom.size(); ++i) {
    const auto& from = container.envFrom[i];
    const std::string at = indexed(path + ".envFrom", i);
    if (!from.configMapRef && !from.secretRef) {
      errors.invalid(at, "\"\"", "must specify one of: `configMapRef` or `secretRef`");
    }
    if (from.configMapRef && from.secretRef) {
      errors.invalid(at, "\"\"", "may not have more than one field specified at a time");
    }
  }
}

void validate_http_get(const HTTPGetAction& get, const std::string& path, FieldErrors& errors) {
  if (get.path.empty()) errors.required(path + ".path");
  validate_port_reference(get.port, path + ".port", errors);
  one_of(get.scheme, path + ".scheme", {"HTTP", "HTTPS"}, errors);
}

template <class Handler>
void validate_handler(const Handler& handler, int extra, const std::string& path,
                      FieldErrors& errors) {
  const int given = !!handler.exec + !!handler.httpGet + !!handler.tcpSocket + extra;
  if (given == 0) errors.required(path, "must specify a handler type");
  if (given > 1) errors.forbidden(path, "may not specify more than 1 handler type");
  if (handler.exec && handler.exec->command.empty()) errors.required(path + ".exec.command");
  if (handler.httpGet) validate_http_get(*handler.httpGet, path + ".httpGet", errors);
  if (handler.tcpSocket) {
    validate_port_reference(handler.tcpSocket->port, path + ".tcpSocket.port", errors);
  }
}

void validate_probe(const Ptr<Probe>& probe, const std::string& path, bool readiness,
                    FieldErrors& errors) {
  if (!probe) return;
  validate_handler(*probe, !!probe->grpc, path, errors);
  validate_non_negative(probe->initialDelaySeconds, path + ".initialDelaySeconds", errors);
  validate_non_negative(probe->timeoutSeconds, path + ".timeoutSeconds", errors);
  validate_non_negative(probe->periodSeconds, path + ".periodSeconds", errors);
  validate_non_negative(probe->successThreshold, path + ".successThreshold", errors);
  validate_non_negative(probe->failureThreshold, path + ".failureThreshold", errors);
  if (!readiness && probe->successThreshold != 1) {
    errors.invalid(path + ".successThreshold", std::to_string(probe->successThreshold),
                   "must be 1");
  }
}

void validate_resources(const ResourceRequirements& resources, const std::string& path,
                        FieldErrors& errors) {
  for (const auto* list : {&resources.limits, &resources.requests}) {
    const std::string which = list == &resources.limits ? ".limits" : ".requests";
    for (const auto& [name, quantity] : *list) {
      const std::string at = keyed(path + which, name);
      if (auto why = check_label_key(name); !why.empty()) errors.invalid(at, quoted(name), why);
      if (quantity.sign() < 0) {
        errors.invalid(at, quoted(quantity.str()), "must be greater than or equal to 0");
      }
    }
  }
  for (const auto& [name, request] : resources.requests) {
    auto limit = resources.limits.find(name);
    if (limit != resources.limits.end() && request > limit->second) {
      errors.invalid(
          path + ".requests", quoted(request.str()),
          fmt::format("must be less than or equal to {} limit of {}", name, limit->second.str()));
    }
  }
}

void validate_mounts(const Container& container, const std::string& path,
                     const std::vector<std::string>& volumes, FieldErrors& errors) {
  std::set<std::string> mount_paths;
  for (size_t i = 0; i < container.volumeMounts.size(); ++i) {
    const auto& mount = container.volumeMounts[i];
    const std::string at = indexed(path + ".volumeMounts", i);
    if (mount.name.empty()) {
      errors.required(at + ".name");
    } else if (std::find(volumes.begin(), volumes.end(), mount.name) == volumes.end()) {
      errors.not_found(at + ".name", quoted(mount.name));
    }
    if (mount.mountPath.empty()) errors.required(at + ".mountPath");
    if (!mount_paths.insert(mount.mountPath).second) {
      errors.invalid(at + ".mountPath", quoted(mount.mountPath), "must be unique");
    }
    if (!mount.subPath.empty() && !mount.subPathExpr.empty()) {
      errors.invalid(at + ".subPathExpr", quoted(mount.subPathExpr),
                     "subPathExpr and subPath are mutually exclusive");
    }
    for (const auto* sub : {&mount.subPath, &mount.subPathExpr}) {
      const std::string field = sub == &mount.subPath ? ".subPath" : ".subPathExpr";
      if (sub->starts_with('/'))
        errors.invalid(at + field, quoted(*sub), "must be a relative path");
      if (("/" + *sub + "/").find("/../") != std::string::npos) {
        errors.invalid(at + field, quoted(*sub), "must not contain '..'");
      }
    }
  }
}

void validate_lifecycle(const Container& container, const std::string& path, FieldErrors& errors) {
  if (!container.lifecycle) return;
  const auto& lifecycle = *container.lifecycle;
  const auto hook = [&](const Ptr<LifecycleHandler>& handler, const std::string& name) {
    if (handler) validate_handler(*handler, !!handler->sleep, path + ".lifecycle." + name, errors);
  };
  hook(lifecycle.postStart, "postStart");
  hook(lifecycle.preStop, "preStop");
}

void validate_security(const Container& container, const std::string& path, FieldErrors& errors) {
  if (!container.securityContext) return;
  const auto& context = *container.securityContext;
  const std::string at = path + ".securityContext";
  if (context.runAsUser) validate_non_negative(*context.runAsUser, at + ".runAsUser", errors);
  if (context.runAsGroup) validate_non_negative(*context.runAsGroup, at + ".runAsGroup", errors);
  if (!context.allowPrivilegeEscalation.value_or(true)) {
    if (context.privileged.value_or(false)) {
      errors.invalid(at, "",
                     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
  }
}

}  // namespace

void validate_containers(const std::vector<Container>& containers, const std::string& path,
                         const ContainerRules& rules, FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < containers.size(); ++i) {
    const auto& c = containers[i];
    const std::string at = indexed(path, i);
    if (c.name.empty()) {
      errors.required(at + ".name");
    } else if (auto why = check_dns1123_label(c.name); !why.empty()) {
      errors.invalid(at + ".name", quoted(c.name), why);
    } else if (!names.insert(c.name).second) {
      errors.duplicate(at + ".name", quoted(c.name));
    }
    if (c.image.empty()) {
      errors.required(at + ".image");
    } else if (c.image.front() == ' ' || c.image.back() == ' ') {
      errors.invalid(at + ".image", quoted(c.image),
                     "must not have leading or trailing whitespace");
    }
    one_of(c.imagePullPolicy, at + ".imagePullPolicy", {"Always", "IfNotPresent", "Never"}, errors);
    one_of(c.terminationMessagePolicy, at + ".terminationMessagePolicy",
           {"FallbackToLogsOnError", "File"}, errors);
    validate_ports(c.ports, at + ".ports", errors);
    validate_env(c, at, errors);
    validate_mounts(c, at, rules.volumes, errors);
    validate_resources(c.resources, at + ".resources", errors);
    validate_lifecycle(c, at, errors);
    validate_security(c, at, errors);
    const bool sidecar = c.restartPolicy && *c.restartPolicy == "Always";
    if (c.restartPolicy && !sidecar) {
      errors.not_supported(at + ".restartPolicy", *c.restartPolicy, {"Always"});
    }
    if (c.restartPolicy && !rules.init) {
      errors.forbidden(at + ".restartPolicy", "may not be set for non-init containers");
    }
    if (rules.init && !sidecar) {
      const auto refuse = [&](const auto& field, const std::string& name) {
        if (field) {
          errors.forbidden(at + "." + name,
                           "may not be set for init containers without restartPolicy=Always");
        }
      };
      refuse(c.lifecycle, "lifecycle");
      refuse(c.livenessProbe, "livenessProbe");
      refuse(c.readinessProbe, "readinessProbe");
      refuse(c.startupProbe, "startupProbe");
    } else {
      validate_probe(c.livenessProbe, at + ".livenessProbe", false, errors);
      validate_probe(c.readinessProbe, at + ".readinessProbe", true, errors);
      validate_probe(c.startupProbe, at + ".startupProbe", false, errors);
    }
  }
}

}  // namespace orch::api
