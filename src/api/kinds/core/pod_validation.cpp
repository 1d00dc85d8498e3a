// PodSpec: volumes, policies, tolerations, affinity, and what an update may change.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using namespace corev1;

void enumerated(const std::string& value, const std::string& path,
                const std::vector<std::string>& supported, FieldErrors& errors) {
  if (value.empty()) {
    errors.required(path);
  } else if (std::find(supported.begin(), supported.end(), value) == supported.end()) {
    errors.not_supported(path, value, supported);
  }
}

// A path inside a volume: relative, without "..".
void validate_inner_path(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  if (value.front() == '/') errors.invalid(path, quoted(value), "must be a relative path");
  if (("/" + value + "/").find("/../") != std::string::npos) {
    errors.invalid(path, quoted(value), "must not contain '..'");
  }
  if (value.starts_with("..")) errors.invalid(path, quoted(value), "must not start with '..'");
}

void validate_items(const std::vector<KeyToPath>& items, const std::string& path,
                    FieldErrors& errors) {
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string at = indexed(path + ".items", i);
    if (items[i].key.empty()) errors.required(at + ".key");
    validate_inner_path(items[i].path, at + ".path", errors);
    if (items[i].mode && (*items[i].mode < 0 || *items[i].mode > 0777)) {
      errors.invalid(at + ".mode", std::to_string(*items[i].mode),
                     "must be a number between 0 and 0777 (octal), both inclusive");
    }
  }
}

void validate_mode(const std::optional<int32_t>& mode, const std::string& path,
                   FieldErrors& errors) {
  if (mode && (*mode < 0 || *mode > 0777)) {
    errors.invalid(path + ".defaultMode", std::to_string(*mode),
                   "must be a number between 0 and 0777 (octal), both inclusive");
  }
}

void validate_downward_items(const std::vector<DownwardAPIVolumeFile>& items,
                             const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string at = indexed(path + ".items", i);
    validate_inner_path(items[i].path, at + ".path", errors);
    if (!items[i].fieldRef && !items[i].resourceFieldRef) {
      errors.required(at, "one of fieldRef and resourceFieldRef is required");
    }
  }
}

void validate_projected(const ProjectedVolumeSource& projected, const std::string& path,
                        FieldErrors& errors) {
  validate_mode(projected.defaultMode, path, errors);
  for (size_t i = 0; i < projected.sources.size(); ++i) {
    const auto& source = projected.sources[i];
    const std::string at = indexed(path + ".sources", i);
    if (source.secret) validate_items(source.secret->items, at + ".secret", errors);
    if (source.configMap) validate_items(source.configMap->items, at + ".configMap", errors);
    if (source.downwardAPI) {
      validate_downward_items(source.downwardAPI->items, at + ".downwardAPI", errors);
    }
    if (source.serviceAccountToken) {
      const auto& token = *source.serviceAccountToken;
      validate_inner_path(token.path, at + ".serviceAccountToken.path", errors);
      if (token.expirationSeconds.value_or(3600) < 600) {
        errors.invalid(at + ".serviceAccountToken.expirationSeconds",
                       std::to_string(*token.expirationSeconds),
                       "may not specify a duration less than 10 minutes");
      }
    }
  }
}

void validate_source(const Volume& v, const std::string& at, FieldErrors& errors) {
  if (v.hostPath) {
    if (v.hostPath->path.empty()) errors.required(at + ".hostPath.path");
    if (("/" + v.hostPath->path + "/").find("/../") != std::string::npos) {
      errors.invalid(at + ".hostPath.path", quoted(v.hostPath->path), "must not contain '..'");
    }
    if (!v.hostPath->type.value_or("").empty()) {
      enumerated(*v.hostPath->type, at + ".hostPath.type",
                 {"BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                  "FileOrCreate", "Socket"},
                 errors);
    }
  }
  if (v.secret) {
    if (v.secret->secretName.empty()) errors.required(at + ".secret.secretName");
    validate_mode(v.secret->defaultMode, at + ".secret", errors);
    validate_items(v.secret->items, at + ".secret", errors);
  }
  if (v.configMap) {
    if (v.configMap->name.empty()) errors.required(at + ".configMap.name");
    validate_mode(v.configMap->defaultMode, at + ".configMap", errors);
    validate_items(v.configMap->items, at + ".configMap", errors);
  }
  if (v.downwardAPI) {
    validate_mode(v.downwardAPI->defaultMode, at + ".downwardAPI", errors);
    validate_downward_items(v.downwardAPI->items, at + ".downwardAPI", errors);
  }
  if (v.projected) validate_projected(*v.projected, at + ".projected", errors);
  if (v.persistentVolumeClaim && v.persistentVolumeClaim->claimName.empty()) {
    errors.required(at + ".persistentVolumeClaim.claimName");
  }
  if (v.gitRepo) errors.forbidden(at + ".gitRepo", "the gitRepo volume type is not supported");
}

// How many of the volume's sources are given.
size_t source_count(const Volume& volume) {
  size_t count = 0;
  const VolumeSource& source = volume;
  for (const auto& field : VolumeSource::type_info().fields) {
    count += field.container->size(reinterpret_cast<const char*>(&source) + field.offset);
  }
  return count;
}

}  // namespace

void validate_tolerations(const std::vector<Toleration>& tolerations, const std::string& path,
                          FieldErrors& errors) {
  for (size_t i = 0; i < tolerations.size(); ++i) {
    const auto& t = tolerations[i];
    const std::string at = indexed(path, i);
    if (!t.key.empty()) {
      if (auto why = check_label_key(t.key); !why.empty()) {
        errors.invalid(at + ".key", quoted(t.key), why);
      }
    }
    if (t.key.empty() && t.operator_ != "Exists") {
      errors.invalid(at + ".operator", quoted(t.operator_),
                     "operator must be Exists when `key` is empty, which means \"match all values "
                     "and all keys\"");
    }
    if (t.tolerationSeconds && t.effect != "NoExecute") {
      errors.invalid(at + ".effect", quoted(t.effect),
                     "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (t.operator_ == "Exists" && !t.value.empty()) {
      errors.invalid(at + ".operator", "\"\"", "value must be empty when `operator` is 'Exists'");
    }
    if (!t.operator_.empty() && t.operator_ != "Exists" && t.operator_ != "Equal") {
      errors.not_supported(at + ".operator", t.operator_, {"Equal", "Exists"});
    }
    if (!t.effect.empty()) {
      enumerated(t.effect, at + ".effect", {"NoSchedule", "PreferNoSchedule", "NoExecute"}, errors);
    }
  }
}

void validate_node_selector(const NodeSelector& selector, const std::string& path,
                            FieldErrors& errors) {
  if (selector.nodeSelectorTerms.empty()) {
    errors.required(path + ".nodeSelectorTerms", "must have at least one node selector term");
  }
  for (size_t i = 0; i < selector.nodeSelectorTerms.size(); ++i) {
    const auto& term = selector.nodeSelectorTerms[i];
    for (size_t j = 0; j < term.matchExpressions.size(); ++j) {
      const auto& e = term.matchExpressions[j];
      const std::string at =
          indexed(indexed(path + ".nodeSelectorTerms", i) + ".matchExpressions", j);
      const bool set = e.operator_ == "In" || e.operator_ == "NotIn";
      const bool exists = e.operator_ == "Exists" || e.operator_ == "DoesNotExist";
      const bool compare = e.operator_ == "Gt" || e.operator_ == "Lt";
      if (set && e.values.empty()) {
        errors.required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
      } else if (exists && !e.values.empty()) {
        errors.forbidden(at + ".values",
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      } else if (compare && e.values.size() != 1) {
        errors.required(at + ".values",
                        "must be specified single value when `operator` is 'Lt' or 'Gt'");
      } else if (!set && !exists && !compare) {
        errors.invalid(at + ".operator", quoted(e.operator_), "not a valid selector operator");
      }
      if (auto why = check_label_key(e.key); !why.empty()) {
        errors.invalid(at + ".key", quoted(e.key), why);
      }
    }
  }
}

namespace {

void validate_affinity(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  if (!spec.affinity) return;
  const std::string at = path + ".affinity";
  const auto& affinity = *spec.affinity;
  if (affinity.nodeAffinity &&
      affinity.nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
    validate_node_selector(*affinity.nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution,
                           at + ".nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
                           errors);
  }
  const auto pod_terms = [&](const std::vector<PodAffinityTerm>& terms, const std::string& where) {
    for (size_t i = 0; i < terms.size(); ++i) {
      const std::string term = indexed(where, i);
      if (terms[i].topologyKey.empty()) {
        errors.required(term + ".topologyKey", "can not be empty");
      }
      if (terms[i].labelSelector) {
        validate_label_selector(*terms[i].labelSelector, term + ".labelSelector", errors);
      }
    }
  };
  const std::string required = ".requiredDuringSchedulingIgnoredDuringExecution";
  if (affinity.podAffinity) {
    pod_terms(affinity.podAffinity->requiredDuringSchedulingIgnoredDuringExecution,
              at + ".podAffinity" + required);
  }
  if (affinity.podAntiAffinity) {
    pod_terms(affinity.podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution,
              at + ".podAntiAffinity" + required);
  }
}

void validate_spreading(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < spec.topologySpreadConstraints.size(); ++i) {
    const auto& c = spec.topologySpreadConstraints[i];
    const std::string at = indexed(path + ".topologySpreadConstraints", i);
    if (c.maxSkew <= 0) {
      errors.invalid(at + ".maxSkew", std::to_string(c.maxSkew), "must be greater than zero");
    }
    if (c.topologyKey.empty()) errors.required(at + ".topologyKey", "can not be empty");
    enumerated(c.whenUnsatisfiable, at + ".whenUnsatisfiable", {"DoNotSchedule", "ScheduleAnyway"},
               errors);
    if (c.labelSelector) validate_label_selector(*c.labelSelector, at + ".labelSelector", errors);
  }
}

void validate_host_ports(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < spec.containers.size(); ++i) {
    const auto& ports = spec.containers[i].ports;
    for (size_t j = 0; j < ports.size(); ++j) {
      const auto& port = ports[j];
      const std::string at = indexed(indexed(path + ".containers", i) + ".ports", j);
      if (spec.hostNetwork && port.hostPort != port.containerPort) {
        errors.invalid(at + ".containerPort", std::to_string(port.containerPort),
                       "must match `hostPort` when `hostNetwork` is true");
      }
      if (port.hostPort == 0) continue;
      const std::string key = fmt::format("{}/{}/{}", port.protocol, port.hostIP, port.hostPort);
      if (!seen.insert(key).second) errors.duplicate(at + ".hostPort", quoted(key));
    }
  }
}

}  // namespace

void validate_volumes(const std::vector<Volume>& volumes, const std::string& path,
                      FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < volumes.size(); ++i) {
    const auto& v = volumes[i];
    const std::string at = indexed(path, i);
    if (v.name.empty()) {
      errors.required(at + ".name");
    } else if (auto why = check_dns1123_label(v.name); !why.empty()) {
      errors.invalid(at + ".name", quoted(v.name), why);
    } else if (!names.insert(v.name).second) {
      errors.duplicate(at + ".name", quoted(v.name));
    }
    const size_t sources = source_count(v);
    if (sources == 0) errors.required(at, "must specify a volume type");
    if (sources > 1) errors.forbidden(at, "may not specify more than 1 volume type");
    validate_source(v, at, errors);
  }
}

void validate_pod_spec(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  validate_volumes(spec.volumes, path + ".volumes", errors);
  ContainerRules rules;
  for (const auto& volume : spec.volumes) rules.volumes.push_back(volume.name);
  if (spec.containers.empty()) errors.required(path + ".containers");
  validate_containers(spec.containers, path + ".containers", rules, errors);
  rules.init = true;
  validate_containers(spec.initContainers, path + ".initContainers", rules, errors);
  for (size_t i = 0; i < spec.initContainers.size(); ++i) {
    for (const auto& c : spec.containers) {
      if (c.name == spec.initContainers[i].name) {
        errors.duplicate(indexed(path + ".initContainers", i) + ".name", quoted(c.name));
      }
    }
  }
  enumerated(spec.restartPolicy, path + ".restartPolicy", {"Always", "OnFailure", "Never"}, errors);
  enumerated(spec.dnsPolicy, path + ".dnsPolicy",
             {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, errors);
  if (spec.dnsPolicy == "None" && (!spec.dnsConfig || spec.dnsConfig->nameservers.empty())) {
    errors.required(path + ".dnsConfig.nameservers",
                    "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  validate_labels(spec.nodeSelector, path + ".nodeSelector", errors);
  validate_tolerations(spec.tolerations, path + ".tolerations", errors);
  validate_affinity(spec, path, errors);
  validate_spreading(spec, path, errors);
  validate_host_ports(spec, path, errors);
  if (spec.terminationGracePeriodSeconds) {
    validate_non_negative(*spec.terminationGracePeriodSeconds,
                          path + ".terminationGracePeriodSeconds", errors);
  }
  if (spec.activeDeadlineSeconds && *spec.activeDeadlineSeconds < 1) {
    errors.invalid(path + ".activeDeadlineSeconds", std::to_string(*spec.activeDeadlineSeconds),
                   "must be between 1 and 2147483647, inclusive");
  }
  const auto subdomain = [&](const std::string& value, const std::string& field) {
    if (value.empty()) return;
    if (auto why = check_dns1123_subdomain(value); !why.empty()) {
      errors.invalid(path + "." + field, quoted(value), why);
    }
  };
  subdomain(spec.serviceAccountName, "serviceAccountName");
  subdomain(spec.nodeName, "nodeName");
  subdomain(spec.priorityClassName, "priorityClassName");
  if (!spec.hostname.empty()) {
    if (auto why = check_dns1123_label(spec.hostname); !why.empty()) {
      errors.invalid(path + ".hostname", quoted(spec.hostname), why);
    }
  }
}

void validate_pod_template(const PodTemplateSpec& pod, const std::string& path,
                           FieldErrors& errors) {
  validate_labels(pod.metadata.labels, path + ".labels", errors);
  validate_annotations(pod.metadata.annotations, path + ".annotations", errors);
  validate_pod_spec(pod.spec, path + ".spec", errors);
  if (!pod.spec.ephemeralContainers.empty()) {
    errors.forbidden(path + ".spec.ephemeralContainers",
                     "ephemeral containers not allowed in pod template");
  }
}

}  // namespace orch::api
