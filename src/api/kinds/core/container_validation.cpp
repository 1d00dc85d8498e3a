// Containers of a Pod: regular, init, ephemeral.
#include <fmt/format.h>

#include "api/kinds/core/pod_parts.h"

namespace orch::api {
namespace {

using namespace corev1;

struct Surroundings {
  const PodSpec& spec;
  const KnownVolumes& volumes;
  std::set<std::string> claims;
  int64_t grace_seconds;
};

void validate_resize(const Container& container, const Surroundings& around,
                     const std::string& path, FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < container.resizePolicy.size(); ++i) {
    const auto& policy = container.resizePolicy[i];
    if (!seen.insert(policy.resourceName).second) {
      errors.duplicate(indexed(path, i), quoted(policy.resourceName));
    }
    validate_choice(policy.resourceName, path, {"cpu", "memory"}, errors);
    validate_choice(policy.restartPolicy, path, {"NotRequired", "RestartContainer"}, errors);
    if (around.spec.restartPolicy == "Never" && policy.restartPolicy == "RestartContainer") {
      errors.invalid(path, quoted(policy.restartPolicy),
                     "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
  }
}

// What holds for containers of every sort.
void validate_common(const Container& c, const Surroundings& around, const std::string& path,
                     FieldErrors& errors) {
  if (c.name.empty()) {
    errors.required(path + ".name");
  } else {
    validate_by(check_dns1123_label, c.name, path + ".name", errors);
  }
  check_required(c.image, path + ".image", errors);
  validate_choice(c.terminationMessagePolicy, path + ".terminationMessagePolicy",
                  {"File", "FallbackToLogsOnError"}, errors);
  validate_container_ports(c.ports, path + ".ports", errors);
  validate_environment(c, path, errors);
  validate_mounts(c, around.volumes, path, errors);
  validate_choice(c.imagePullPolicy, path + ".imagePullPolicy", {"Always", "IfNotPresent", "Never"},
                  errors);
  validate_container_resources(c.resources, around.claims, path + ".resources", errors);
  validate_resize(c, around, path + ".resizePolicy", errors);
  if (c.securityContext) {
    validate_security_context(*c.securityContext, path + ".securityContext", errors);
  }
}

void validate_unique(const std::string& name, std::set<std::string>& names, const std::string& path,
                     FieldErrors& errors) {
  if (!name.empty() && !names.insert(name).second) errors.duplicate(path + ".name", quoted(name));
}

// Ports of the host that containers want more than once.
void validate_host_ports(const std::vector<Container>& containers, const std::string& path,
                         FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < containers.size(); ++i) {
    for (size_t j = 0; j < containers[i].ports.size(); ++j) {
      const auto& port = containers[i].ports[j];
      if (port.hostPort == 0) continue;
      const std::string key = fmt::format("{}/{}/{}", port.protocol, port.hostIP, port.hostPort);
      if (!seen.insert(key).second) {
        errors.duplicate(indexed(indexed(path, i) + ".ports", j) + ".hostPort", quoted(key));
      }
    }
  }
}

// In the host's network there is no mapping of ports.
void validate_host_network(const std::vector<Container>& containers, const std::string& path,
                           FieldErrors& errors) {
  for (size_t i = 0; i < containers.size(); ++i) {
    for (size_t j = 0; j < containers[i].ports.size(); ++j) {
      const auto& port = containers[i].ports[j];
      if (port.hostPort == port.containerPort || port.hostPort == 0) continue;
      errors.invalid(indexed(indexed(path, i) + ".ports", j) + ".containerPort",
                     std::to_string(port.containerPort),
                     "must match `hostPort` when `hostNetwork` is true");
    }
  }
}

void validate_init(const Container& c, const Surroundings& around, const std::string& path,
                   FieldErrors& errors) {
  const bool sidecar = c.restartPolicy && *c.restartPolicy == "Always";
  if (c.restartPolicy) check_one_of(*c.restartPolicy, path + ".restartPolicy", {"Always"}, errors);
  if (sidecar) {
    validate_lifecycle(c, around.grace_seconds, path, errors);
    return validate_probes(c, around.grace_seconds, path, errors);
  }
  const auto refuse = [&](bool given, const char* field) {
    if (given) {
      errors.forbidden(path + field,
                       "may not be set for init containers without restartPolicy=Always");
    }
  };
  refuse(c.lifecycle.has_value(), ".lifecycle");
  refuse(c.livenessProbe.has_value(), ".livenessProbe");
  refuse(c.readinessProbe.has_value(), ".readinessProbe");
  refuse(c.startupProbe.has_value(), ".startupProbe");
  if (!c.resizePolicy.empty()) {
    invalid_whole(path + ".resizePolicy", "must not be set for init containers", errors);
  }
}

void validate_ephemeral(const EphemeralContainer& ephemeral, const Container& c,
                        const std::set<std::string>& others, const std::string& path,
                        FieldErrors& errors) {
  if (!ephemeral.targetContainerName.empty() && others.count(ephemeral.targetContainerName) == 0) {
    errors.not_found(path + ".targetContainerName", quoted(ephemeral.targetContainerName));
  }
  const auto refuse = [&](bool given, const std::string& field) {
    if (given) errors.forbidden(path + field, "cannot be set for an Ephemeral Container");
  };
  refuse(!c.ports.empty(), ".ports");
  refuse(
      !c.resources.limits.empty() || !c.resources.requests.empty() || !c.resources.claims.empty(),
      ".resources");
  refuse(!c.resizePolicy.empty(), ".resizePolicy");
  refuse(c.restartPolicy.has_value(), ".restartPolicy");
  refuse(c.livenessProbe.has_value(), ".livenessProbe");
  refuse(c.readinessProbe.has_value(), ".readinessProbe");
  refuse(c.startupProbe.has_value(), ".startupProbe");
  refuse(c.lifecycle.has_value(), ".lifecycle");
  for (size_t i = 0; i < c.volumeMounts.size(); ++i) {
    const std::string at = indexed(".volumeMounts", i);
    refuse(!c.volumeMounts[i].subPath.empty(), at + ".subPath");
    refuse(!c.volumeMounts[i].subPathExpr.empty(), at + ".subPathExpr");
  }
}

}  // namespace

Container common_container(const EphemeralContainerCommon& from) {
  Container to;
  to.name = from.name;
  to.image = from.image;
  to.command = from.command;
  to.args = from.args;
  to.workingDir = from.workingDir;
  to.ports = from.ports;
  to.envFrom = from.envFrom;
  to.env = from.env;
  to.resources = from.resources;
  to.resizePolicy = from.resizePolicy;
  to.restartPolicy = from.restartPolicy;
  to.volumeMounts = from.volumeMounts;
  to.volumeDevices = from.volumeDevices;
  to.livenessProbe = from.livenessProbe;
  to.readinessProbe = from.readinessProbe;
  to.startupProbe = from.startupProbe;
  to.lifecycle = from.lifecycle;
  to.terminationMessagePath = from.terminationMessagePath;
  to.terminationMessagePolicy = from.terminationMessagePolicy;
  to.imagePullPolicy = from.imagePullPolicy;
  to.securityContext = from.securityContext;
  return to;
}

void validate_all_containers(const PodSpec& spec, const KnownVolumes& volumes,
                             const std::string& path, FieldErrors& errors) {
  Surroundings around{spec, volumes, {}, spec.terminationGracePeriodSeconds.value_or(30)};
  for (const auto& claim : spec.resourceClaims) around.claims.insert(claim.name);
  std::set<std::string> names;
  const std::string regular = path + ".containers", init = path + ".initContainers";
  if (spec.containers.empty()) errors.required(regular);
  for (size_t i = 0; i < spec.containers.size(); ++i) {
    const auto& c = spec.containers[i];
    const std::string at = indexed(regular, i);
    validate_common(c, around, at, errors);
    validate_unique(c.name, names, at, errors);
    validate_lifecycle(c, around.grace_seconds, at, errors);
    validate_probes(c, around.grace_seconds, at, errors);
    if (c.restartPolicy) {
      errors.forbidden(at + ".restartPolicy", "may not be set for non-init containers");
    }
  }
  validate_host_ports(spec.containers, regular, errors);
  for (size_t i = 0; i < spec.initContainers.size(); ++i) {
    const auto& c = spec.initContainers[i];
    const std::string at = indexed(init, i);
    validate_common(c, around, at, errors);
    validate_unique(c.name, names, at, errors);
    validate_init(c, around, at, errors);
  }
  if (spec.hostNetwork) {
    validate_host_network(spec.containers, regular, errors);
    validate_host_network(spec.initContainers, init, errors);
  }
  const auto others = names;
  for (size_t i = 0; i < spec.ephemeralContainers.size(); ++i) {
    const auto c = common_container(spec.ephemeralContainers[i]);
    const std::string at = indexed(path + ".ephemeralContainers", i);
    validate_common(c, around, at, errors);
    validate_unique(c.name, names, at, errors);
    validate_ephemeral(spec.ephemeralContainers[i], c, others, at, errors);
  }
}

void validate_choice(const std::string& value, const std::string& path,
                     std::initializer_list<std::string_view> supported, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  check_one_of(value, path, supported, errors);
}

void validate_id(int64_t id, const std::string& path, FieldErrors& errors) {
  if (id < 0 || id > INT32_MAX) {
    errors.invalid(path, std::to_string(id), "must be between 0 and 2147483647, inclusive");
  }
}

}  // namespace orch::api
