// PodSpec as a whole: policies, DNS, gates, claims, and what is not a piece of its own.
#include <fmt/format.h>

#include "api/kinds/core/pod_parts.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace corev1;

constexpr size_t kNameserversMax = 3;
constexpr size_t kSearchesMax = 32;
constexpr size_t kSearchBytesMax = 2048;

void validate_dns(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  if (spec.dnsPolicy == "None") {
    if (!spec.dnsConfig) {
      errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
    } else if (spec.dnsConfig->nameservers.empty()) {
      errors.required(path + ".nameservers",
                      "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
  }
  if (!spec.dnsConfig) return;
  const auto& config = *spec.dnsConfig;
  if (config.nameservers.size() > kNameserversMax) {
    errors.invalid(path + ".nameservers", go_value(config.nameservers),
                   fmt::format("must not have more than {} nameservers", kNameserversMax));
  }
  for (size_t i = 0; i < config.nameservers.size(); ++i) {
    validate_by(check_ip, config.nameservers[i], indexed(path + ".nameservers", i), errors);
  }
  if (config.searches.size() > kSearchesMax) {
    errors.invalid(path + ".searches", go_value(config.searches),
                   fmt::format("must not have more than {} search paths", kSearchesMax));
  }
  if (join(config.searches, " ").size() > kSearchBytesMax) {
    errors.invalid(path + ".searches", go_value(config.searches),
                   fmt::format("must not have more than {} characters (including spaces) in the "
                               "search list",
                               kSearchBytesMax));
  }
  for (size_t i = 0; i < config.searches.size(); ++i) {
    std::string_view search = config.searches[i];
    if (search.ends_with('.')) search.remove_suffix(1);
    validate_by(check_dns1123_subdomain, search, indexed(path + ".searches", i), errors);
  }
  for (size_t i = 0; i < config.options.size(); ++i) {
    if (config.options[i].name.empty()) {
      errors.required(indexed(path + ".options", i), "must not be empty");
    }
  }
}

void validate_gates(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < spec.readinessGates.size(); ++i) {
    validate_qualified_name(spec.readinessGates[i].conditionType,
                            indexed(path + ".readinessGates", i) + ".conditionType", errors);
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < spec.schedulingGates.size(); ++i) {
    const auto& name = spec.schedulingGates[i].name;
    const std::string at = indexed(path + ".schedulingGates", i);
    validate_qualified_name(name, at, errors);
    if (!seen.insert(name).second) errors.duplicate(at, quoted(name));
  }
}

void validate_claims(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < spec.resourceClaims.size(); ++i) {
    const auto& claim = spec.resourceClaims[i];
    const std::string at = indexed(path + ".resourceClaims", i);
    if (claim.name.empty()) {
      errors.required(at + ".name");
    } else if (!seen.insert(claim.name).second) {
      errors.duplicate(at + ".name", quoted(claim.name));
    } else {
      validate_by(check_dns1123_label, claim.name, at + ".name", errors);
    }
    if (claim.resourceClaimName && claim.resourceClaimTemplateName) {
      errors.invalid(at, go_value(PodResourceClaim::type_info(), &claim),
                     "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be "
                     "specified");
    } else if (!claim.resourceClaimName && !claim.resourceClaimTemplateName) {
      errors.invalid(at, go_value(PodResourceClaim::type_info(), &claim),
                     "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
  }
}

void validate_hosts(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < spec.hostAliases.size(); ++i) {
    const auto& alias = spec.hostAliases[i];
    const std::string at = indexed(path + ".hostAliases", i);
    validate_by(check_ip, alias.ip, at + ".ip", errors);
    for (size_t j = 0; j < alias.hostnames.size(); ++j) {
      validate_by(check_dns1123_subdomain, alias.hostnames[j], indexed(at + ".hostnames", j),
                  errors);
    }
  }
  const auto label = [&](const std::string& value, const char* field) {
    if (!value.empty()) validate_by(check_dns1123_label, value, path + field, errors);
  };
  label(spec.hostname, ".hostname");
  label(spec.subdomain, ".subdomain");
}

// Names of other objects.
void validate_names(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  const auto subdomain = [&](const std::string& value, const char* field) {
    if (!value.empty()) validate_by(check_dns1123_subdomain, value, path + field, errors);
  };
  subdomain(spec.serviceAccountName, ".serviceAccountName");
  subdomain(spec.nodeName, ".nodeName");
  subdomain(spec.priorityClassName, ".priorityClassName");
  subdomain(spec.runtimeClassName.value_or(""), ".runtimeClassName");
}

// Sums and limits of a whole Pod: only of what Pods share.
void validate_pod_resources(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  if (!spec.resources) return;
  validate_container_resources(*spec.resources, {}, path, errors);
  const auto only = [&](const std::map<std::string, Quantity>& list, const std::string& field) {
    for (const auto& [name, value] : list) {
      if (name != "cpu" && name != "memory" && !name.starts_with("hugepages-")) {
        errors.not_supported(keyed(path + field, name), name, {"cpu", "hugepages-", "memory"});
      }
    }
  };
  only(spec.resources->limits, ".limits");
  only(spec.resources->requests, ".requests");
  if (!spec.resources->claims.empty()) {
    errors.forbidden(path + ".claims", "claims may not be set for Resources at pod-level");
  }
}

}  // namespace

void validate_pod_spec(const PodSpec& spec, const std::string& path, FieldErrors& errors) {
  const auto volumes = validate_volumes(spec.volumes, path + ".volumes", errors);
  validate_claims(spec, path, errors);
  validate_all_containers(spec, volumes, path, errors);
  validate_pod_resources(spec, path + ".resources", errors);
  validate_choice(spec.restartPolicy, path + ".restartPolicy", {"Always", "OnFailure", "Never"},
                  errors);
  validate_choice(spec.dnsPolicy, path + ".dnsPolicy",
                  {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, errors);
  validate_labels(spec.nodeSelector, path + ".nodeSelector", errors);
  validate_pod_security_context(spec, path + ".securityContext", errors);
  if (spec.affinity) validate_affinity(*spec.affinity, path + ".affinity", errors);
  validate_dns(spec, path + ".dnsConfig", errors);
  validate_gates(spec, path, errors);
  validate_spreading(spec.topologySpreadConstraints, path + ".topologySpreadConstraints", errors);
  validate_names(spec, path, errors);
  const auto& deadline = spec.activeDeadlineSeconds;
  if (deadline && (*deadline < 1 || *deadline > INT32_MAX)) {
    errors.invalid(path + ".activeDeadlineSeconds", std::to_string(*deadline),
                   "must be between 1 and 2147483647, inclusive");
  }
  validate_hosts(spec, path, errors);
  validate_tolerations(spec.tolerations, path + ".tolerations", errors);
  if (spec.preemptionPolicy) {
    validate_choice(*spec.preemptionPolicy, path + ".preemptionPolicy",
                    {"PreemptLowerPriority", "Never"}, errors);
  }
  for (const auto& [name, value] : spec.overhead) {
    validate_resource_quantity(name, value, keyed(path + ".overhead", name), errors);
  }
  if (spec.os) validate_choice(spec.os->name, path + ".os", {"linux", "windows"}, errors);
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

void validate_images(const PodSpec& spec, FieldErrors& errors) {
  const auto look = [&](const auto& containers, const std::string& path) {
    for (size_t i = 0; i < containers.size(); ++i) {
      const std::string& image = containers[i].image;
      if (trim(image).size() != image.size()) {
        errors.invalid(indexed(path, i) + ".image", quoted(image),
                       "must not have leading or trailing whitespace");
      }
    }
  };
  look(spec.containers, "spec.containers");
  look(spec.initContainers, "spec.initContainers");
  look(spec.ephemeralContainers, "spec.ephemeralContainers");
}

}  // namespace orch::api
