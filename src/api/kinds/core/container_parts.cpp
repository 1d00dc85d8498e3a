// Ports, environment, mounts, resources of a container.
#include <fmt/format.h>

#include "api/kinds/core/pod_parts.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace corev1;

// "metadata.labels['a']" -> path and subscript; no subscript: nullopt.
std::optional<std::pair<std::string, std::string>> subscripted(const std::string& text) {
  const size_t open = text.find("['");
  if (open == std::string::npos || !text.ends_with("']") || text.size() < open + 4) {
    return std::nullopt;
  }
  return std::pair{text.substr(0, open), text.substr(open + 2, text.size() - open - 4)};
}

constexpr std::string_view kEnvironmentFields[] = {"metadata.name",
                                                   "metadata.namespace",
                                                   "metadata.uid",
                                                   "spec.nodeName",
                                                   "spec.serviceAccountName",
                                                   "status.hostIP",
                                                   "status.hostIPs",
                                                   "status.podIP",
                                                   "status.podIPs"};
constexpr std::string_view kVolumeFields[] = {"metadata.annotations", "metadata.labels",
                                              "metadata.name", "metadata.namespace",
                                              "metadata.uid"};
// Known to be fields of a Pod, but not shown to it.
constexpr std::string_view kOtherFields[] = {"metadata.annotations", "metadata.labels",
                                             "spec.restartPolicy", "spec.schedulerName",
                                             "status.phase"};
constexpr std::string_view kResources[] = {
    "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory"};

template <size_t N>
std::vector<std::string> texts(const std::string_view (&list)[N]) {
  return {std::begin(list), std::end(list)};
}

void validate_divisor(const ResourceFieldSelector& field, const std::string& path,
                      FieldErrors& errors) {
  if (field.divisor.is_zero()) return;
  const auto& name = field.resource;
  const std::string shown = field.divisor.str();
  const auto refuse = [&](std::string_view text) {
    errors.invalid(path + ".divisor", quoted(name), text);
  };
  if (name.ends_with(".cpu")) {
    if (shown != "1m" && shown != "1") {
      refuse("only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  static constexpr std::string_view kUnits[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                                "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
  if (listed(kUnits, shown)) return;
  const std::string what = name.ends_with(".memory")              ? "memory"
                           : name.ends_with(".ephemeral-storage") ? "local ephemeral storage"
                                                                  : "hugepages";
  refuse(
      fmt::format("only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, "
                  "1Ei are supported with the {} resource",
                  what));
}

template <class Selector>
void validate_key_selector(const Selector& selector, const std::string& path, FieldErrors& errors) {
  validate_by(check_dns1123_subdomain, selector.name, path + ".name", errors);
  if (selector.key.empty()) {
    errors.required(path + ".key");
  } else {
    validate_by(check_config_key, selector.key, path + ".key", errors);
  }
}

void validate_value_from(const EnvVar& env, const std::string& path, FieldErrors& errors) {
  const auto& from = *env.valueFrom;
  const int given =
      !!from.fieldRef + !!from.resourceFieldRef + !!from.configMapKeyRef + !!from.secretKeyRef;
  if (from.fieldRef) {
    validate_field_reference(*from.fieldRef, DownwardUse::kEnvironment, path + ".fieldRef", errors);
  }
  if (from.resourceFieldRef) {
    validate_resource_reference(*from.resourceFieldRef, DownwardUse::kEnvironment,
                                path + ".resourceFieldRef", errors);
  }
  if (from.configMapKeyRef) {
    validate_key_selector(*from.configMapKeyRef, path + ".configMapKeyRef", errors);
  }
  if (from.secretKeyRef) {
    validate_key_selector(*from.secretKeyRef, path + ".secretKeyRef", errors);
  }
  if (given == 0) {
    errors.invalid(path, "\"\"",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                   "`secretKeyRef`");
  }
  if (!env.value.empty()) {
    if (given != 0) {
      errors.invalid(path, "\"\"", "may not be specified when `value` is not empty");
    }
  } else if (given > 1) {
    errors.invalid(path, "\"\"", "may not have more than one field specified at a time");
  }
}

void validate_env_from(const std::vector<EnvFromSource>& sources, const std::string& path,
                       FieldErrors& errors) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto& source = sources[i];
    const std::string at = indexed(path, i);
    if (!source.prefix.empty()) {
      validate_by(check_environment_name, source.prefix, at + ".prefix", errors);
    }
    const auto name = [&](const std::string& value, const std::string& field) {
      if (value.empty()) return errors.required(at + field);
      validate_by(check_dns1123_subdomain, value, at + field, errors);
    };
    if (source.configMapRef) name(source.configMapRef->name, ".configMapRef.name");
    if (source.secretRef) name(source.secretRef->name, ".secretRef.name");
    if (!source.configMapRef && !source.secretRef) {
      errors.invalid(path, "\"\"", "must specify one of: `configMapRef` or `secretRef`");
    } else if (source.configMapRef && source.secretRef) {
      errors.invalid(path, "\"\"", "may not have more than one field specified at a time");
    }
  }
}

void validate_mount_options(const Container& container, const VolumeMount& mount,
                            const std::string& path, const std::string& at, FieldErrors& errors) {
  if (mount.mountPropagation) {
    check_one_of(*mount.mountPropagation, path + ".mountPropagation",
                 {"Bidirectional", "HostToContainer", "None"}, errors);
    const bool privileged =
        container.securityContext && container.securityContext->privileged.value_or(false);
    if (*mount.mountPropagation == "Bidirectional" && !privileged) {
      errors.forbidden(path + ".mountPropagation",
                       "Bidirectional mount propagation is available only to privileged "
                       "containers");
    }
  }
  if (!mount.recursiveReadOnly) return;
  const std::string field = at + ".recursiveReadOnly";
  if (*mount.recursiveReadOnly == "Enabled" || *mount.recursiveReadOnly == "IfPossible") {
    if (!mount.readOnly) errors.forbidden(field, "may only be specified when readOnly is true");
    if (mount.mountPropagation && *mount.mountPropagation != "None") {
      errors.forbidden(field,
                       "may only be specified when mountPropagation is None or not specified");
    }
  } else {
    check_one_of(*mount.recursiveReadOnly, field, {"Disabled", "Enabled", "IfPossible"}, errors);
  }
}

void validate_devices(const Container& container, const KnownVolumes& volumes,
                      const std::string& path, FieldErrors& errors) {
  std::set<std::string> names, paths;
  for (size_t i = 0; i < container.volumeDevices.size(); ++i) {
    const auto& device = container.volumeDevices[i];
    const std::string at = indexed(path, i);
    const std::string name_path = at + ".name", path_path = at + ".devicePath";
    if (device.name.empty()) errors.required(name_path);
    if (device.devicePath.empty()) errors.required(path_path);
    if (!names.insert(device.name).second) {
      errors.invalid(name_path, quoted(device.name), "must be unique");
    }
    if (!paths.insert(device.devicePath).second) {
      errors.invalid(path_path, quoted(device.devicePath), "must be unique");
    }
    const auto volume = volumes.find(device.name);
    if (volume == volumes.end()) {
      errors.not_found(name_path, quoted(device.name));
    } else if (!volume->second->persistentVolumeClaim && !volume->second->ephemeral) {
      errors.invalid(name_path, quoted(device.name),
                     "can only use volume source type of PersistentVolumeClaim for block mode");
    }
    if (!device.devicePath.empty()) validate_no_backsteps(device.devicePath, path_path, errors);
    for (const auto& mount : container.volumeMounts) {
      if (mount.mountPath == device.devicePath) {
        errors.invalid(path_path, quoted(device.devicePath),
                       "must not already exist as a path in volumeMounts");
      }
      if (mount.name == device.name) {
        errors.invalid(name_path, quoted(device.name), "must not already exist in volumeMounts");
      }
    }
  }
}

void validate_resource_name(const std::string& name, const std::string& path, FieldErrors& errors) {
  if (!check_label_key(name).empty()) return validate_qualified_name(name, path, errors);
  if (name.find('/') == std::string::npos) {
    if (!is_container_resource(name)) {
      errors.invalid(path, quoted(name), "must be a standard resource for containers");
    }
  } else if (!is_native_resource(name) && !is_extended_resource(name)) {
    errors.invalid(path, quoted(name), "doesn't follow extended resource name standard");
  }
}

bool is_huge_pages(std::string_view name) { return name.starts_with("hugepages-"); }

}  // namespace

void validate_field_reference(const ObjectFieldSelector& field, DownwardUse use,
                              const std::string& path, FieldErrors& errors) {
  if (field.apiVersion.empty()) return errors.required(path + ".apiVersion");
  if (field.fieldPath.empty()) return errors.required(path + ".fieldPath");
  const auto refuse = [&](const std::string& why) {
    errors.invalid(path + ".fieldPath", quoted(field.fieldPath),
                   "error converting fieldPath: " + why);
  };
  if (field.apiVersion != "v1") return refuse("unsupported pod version: " + field.apiVersion);
  if (const auto parts = subscripted(field.fieldPath)) {
    if (parts->first == "metadata.annotations") {
      validate_by(check_label_key, to_lower(parts->second), path, errors);
    } else if (parts->first == "metadata.labels") {
      validate_by(check_label_key, parts->second, path, errors);
    } else {
      refuse("field label does not support subscript: " + field.fieldPath);
    }
    return;
  }
  const bool environment = use == DownwardUse::kEnvironment;
  if (environment ? listed(kEnvironmentFields, field.fieldPath)
                  : listed(kVolumeFields, field.fieldPath)) {
    return;
  }
  if (!listed(kEnvironmentFields, field.fieldPath) && !listed(kOtherFields, field.fieldPath)) {
    return refuse("field label not supported: " + field.fieldPath);
  }
  errors.not_supported(path + ".fieldPath", field.fieldPath,
                       environment ? texts(kEnvironmentFields) : texts(kVolumeFields));
}

void validate_resource_reference(const ResourceFieldSelector& field, DownwardUse use,
                                 const std::string& path, FieldErrors& errors) {
  if (use == DownwardUse::kVolume && field.containerName.empty()) {
    errors.required(path + ".containerName");
  } else if (field.resource.empty()) {
    errors.required(path + ".resource");
  } else if (!listed(kResources, field.resource) &&
             !field.resource.starts_with("limits.hugepages-") &&
             !field.resource.starts_with("requests.hugepages-")) {
    errors.not_supported(path + ".resource", field.resource, texts(kResources));
  }
  validate_divisor(field, path, errors);
}

void validate_container_ports(const std::vector<ContainerPort>& ports, const std::string& path,
                              FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    const auto& port = ports[i];
    const std::string at = indexed(path, i);
    if (!port.name.empty()) {
      FieldErrors wrong;
      validate_port_name(port.name, at + ".name", wrong);
      if (!wrong.empty()) {
        validate_port_name(port.name, at + ".name", errors);
      } else if (!names.insert(port.name).second) {
        errors.duplicate(at + ".name", quoted(port.name));
      }
    }
    if (port.containerPort == 0) {
      errors.required(at + ".containerPort");
    } else {
      validate_port_number(port.containerPort, at + ".containerPort", errors);
    }
    if (port.hostPort != 0) validate_port_number(port.hostPort, at + ".hostPort", errors);
    validate_choice(port.protocol, at + ".protocol", {"SCTP", "TCP", "UDP"}, errors);
  }
}

void validate_environment(const Container& container, const std::string& path,
                          FieldErrors& errors) {
  for (size_t i = 0; i < container.env.size(); ++i) {
    const auto& env = container.env[i];
    const std::string at = indexed(path + ".env", i);
    if (env.name.empty()) {
      errors.required(at + ".name");
    } else {
      validate_by(check_environment_name, env.name, at + ".name", errors);
    }
    if (env.valueFrom) validate_value_from(env, at + ".valueFrom", errors);
  }
  validate_env_from(container.envFrom, path + ".envFrom", errors);
}

void validate_mounts(const Container& container, const KnownVolumes& volumes,
                     const std::string& path, FieldErrors& errors) {
  const std::string all = path + ".volumeMounts";
  std::set<std::string> seen;
  for (size_t i = 0; i < container.volumeMounts.size(); ++i) {
    const auto& mount = container.volumeMounts[i];
    const std::string at = indexed(all, i);
    if (mount.name.empty()) errors.required(at + ".name");
    if (volumes.count(mount.name) == 0) errors.not_found(at + ".name", quoted(mount.name));
    if (mount.mountPath.empty()) errors.required(at + ".mountPath");
    if (!seen.insert(mount.mountPath).second) {
      errors.invalid(at + ".mountPath", quoted(mount.mountPath), "must be unique");
    }
    for (const auto& device : container.volumeDevices) {
      if (device.name == mount.name) {
        errors.invalid(at + ".name", quoted(mount.name), "must not already exist in volumeDevices");
      }
      if (device.devicePath == mount.mountPath) {
        errors.invalid(at + ".mountPath", quoted(mount.mountPath),
                       "must not already exist as a path in volumeDevices");
      }
    }
    // Upstream leaves the index out of the paths that follow.
    validate_relative_path(mount.subPath, all + ".subPath", errors);
    if (!mount.subPathExpr.empty() && !mount.subPath.empty()) {
      errors.invalid(all + ".subPathExpr", quoted(mount.subPathExpr),
                     "subPathExpr and subPath are mutually exclusive");
    }
    validate_relative_path(mount.subPathExpr, all + ".subPathExpr", errors);
    validate_mount_options(container, mount, all, at, errors);
  }
  validate_devices(container, volumes, path + ".volumeDevices", errors);
}

void validate_container_resources(const ResourceRequirements& resources,
                                  const std::set<std::string>& claims, const std::string& path,
                                  FieldErrors& errors) {
  bool computes = false, huge_pages = false;
  const auto look = [&](const std::string& name, const Quantity& value, const std::string& at) {
    validate_resource_name(name, at, errors);
    validate_resource_quantity(name, value, at, errors);
    computes = computes || name == "cpu" || name == "memory";
    huge_pages = huge_pages || is_huge_pages(name);
  };
  for (const auto& [name, value] : resources.limits) {
    look(name, value, keyed(path + ".limits", name));
  }
  for (const auto& [name, value] : resources.requests) {
    look(name, value, keyed(path + ".requests", name));
    const bool overcommits = is_native_resource(name) && !is_huge_pages(name);
    const auto limit = resources.limits.find(name);
    if (limit == resources.limits.end()) {
      if (!overcommits) {
        errors.required(path + ".limits", "Limit must be set for non overcommitable resources");
      }
    } else if (value != limit->second && !overcommits) {
      errors.invalid(path + ".requests", quoted(value.str()),
                     fmt::format("must be equal to {} limit of {}", name, limit->second.str()));
    } else if (value > limit->second) {
      errors.invalid(
          path + ".requests", quoted(value.str()),
          fmt::format("must be less than or equal to {} limit of {}", name, limit->second.str()));
    }
  }
  if (huge_pages && !computes) errors.forbidden(path, "HugePages require cpu or memory");
  std::set<std::string> seen;
  for (size_t i = 0; i < resources.claims.size(); ++i) {
    const auto& name = resources.claims[i].name;
    const std::string at = indexed(path + ".claims", i);
    if (name.empty()) {
      errors.required(at);
    } else if (!seen.insert(name + "/" + resources.claims[i].request).second) {
      errors.duplicate(at, quoted(name));
    } else if (claims.count(name) == 0) {
      errors.not_found(at, quoted(name));
    }
  }
}

}  // namespace orch::api
