#include "server/api/pod_warnings.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "orch/api/appsv1.h"
#include "orch/api/batchv1.h"
#include "orch/api/corev1.h"
#include "server/api/resource_traits.h"

namespace orch::server {
namespace {

namespace core = api::corev1;

struct Deprecated {
  std::string_view name, why;
};
constexpr std::array<Deprecated, 5> kLabels{
    {{"beta.kubernetes.io/arch", R"(deprecated since v1.14; use "kubernetes.io/arch" instead)"},
     {"beta.kubernetes.io/os", R"(deprecated since v1.14; use "kubernetes.io/os" instead)"},
     {"beta.kubernetes.io/instance-type",
      R"(deprecated since v1.17; use "node.kubernetes.io/instance-type" instead)"},
     {"failure-domain.beta.kubernetes.io/region",
      R"(deprecated since v1.17; use "topology.kubernetes.io/region" instead)"},
     {"failure-domain.beta.kubernetes.io/zone",
      R"(deprecated since v1.17; use "topology.kubernetes.io/zone" instead)"}}};
// A name that ends with "/" is a prefix.
constexpr std::array<Deprecated, 6> kAnnotations{
    {{"scheduler.alpha.kubernetes.io/critical-pod",
      R"(non-functional in v1.16+; use the "priorityClassName" field instead)"},
     {"security.alpha.kubernetes.io/sysctls",
      R"(non-functional in v1.11+; use the "sysctls" field instead)"},
     {"security.alpha.kubernetes.io/unsafe-sysctls",
      R"(non-functional in v1.11+; use the "sysctls" field instead)"},
     {"seccomp.security.alpha.kubernetes.io/pod",
      R"(non-functional in v1.27+; use the "seccompProfile" field instead)"},
     {"container.seccomp.security.alpha.kubernetes.io/",
      R"(non-functional in v1.27+; use the "seccompProfile" field instead)"},
     {"container.apparmor.security.beta.kubernetes.io/",
      R"(deprecated since v1.30; use the "appArmorProfile" field instead)"}}};

template <size_t N>
std::string_view why_deprecated(const std::array<Deprecated, N>& list, std::string_view name) {
  for (const Deprecated& entry : list) {
    if (entry.name.ends_with('/') ? name.starts_with(entry.name) : name == entry.name) {
      return entry.why;
    }
  }
  return "";
}

// Collects the warnings of one Pod or template; `path` is "" or where the template stands.
class Warner {
 public:
  Warner(std::string path, std::vector<std::string>& out)
      : meta_(path.empty() ? "metadata" : path + ".metadata"),
        spec_(path.empty() ? "spec" : path + ".spec"),
        out_(out) {}

  void check(const api::metav1::ObjectMeta& meta, const core::PodSpec& spec) {
    for (const auto& [key, value] : spec.nodeSelector) {
      const auto why = why_deprecated(kLabels, key);
      if (!why.empty()) say(fmt::format("{}.nodeSelector[{}]", spec_, key), why);
    }
    if (spec.affinity) affinity(*spec.affinity);
    spread(spec.topologySpreadConstraints);
    for (const auto& [key, value] : meta.annotations) {
      const auto why = why_deprecated(kAnnotations, key);
      if (!why.empty()) say(fmt::format("{}.annotations[{}]", meta_, key), why);
    }
    for (size_t i = 0; i < spec.imagePullSecrets.size(); ++i) {
      if (!spec.imagePullSecrets[i].name.empty()) continue;
      say(fmt::format("{}.imagePullSecrets[{}].name", spec_, i), "invalid empty name \"\"");
    }
    if (spec.terminationGracePeriodSeconds.value_or(0) < 0) {
      say(spec_ + ".terminationGracePeriodSeconds",
          "must be >= 0; negative values are invalid and will be treated as 1");
    }
    volumes(spec.volumes);
    for (size_t i = 0; i < spec.initContainers.size(); ++i) {
      container(spec.initContainers[i], fmt::format("{}.initContainers[{}]", spec_, i));
    }
    for (size_t i = 0; i < spec.containers.size(); ++i) {
      container(spec.containers[i], fmt::format("{}.containers[{}]", spec_, i));
    }
  }

 private:
  void say(const std::string& where, std::string_view what) {
    out_.push_back(fmt::format("{}: {}", where, what));
  }

  void node_term(const core::NodeSelectorTerm& term, const std::string& path) {
    for (size_t i = 0; i < term.matchExpressions.size(); ++i) {
      const std::string& key = term.matchExpressions[i].key;
      const auto why = why_deprecated(kLabels, key);
      if (why.empty()) continue;
      say(fmt::format("{}.matchExpressions[{}].key", path, i), fmt::format("{} is {}", key, why));
    }
  }

  void null_selector(const core::PodAffinityTerm& term, const std::string& path) {
    if (!term.labelSelector) {
      say(path + ".labelSelector", "a null labelSelector results in matching no pod");
    }
  }

  template <class Affinity>
  void pod_affinity(const Affinity& affinity, const std::string& path) {
    const auto& required = affinity.requiredDuringSchedulingIgnoredDuringExecution;
    for (size_t i = 0; i < required.size(); ++i) {
      null_selector(required[i], fmt::format("{}.{}[{}]", path, kRequired, i));
    }
    const auto& preferred = affinity.preferredDuringSchedulingIgnoredDuringExecution;
    for (size_t i = 0; i < preferred.size(); ++i) {
      null_selector(preferred[i].podAffinityTerm,
                    fmt::format("{}.{}[{}].podAffinityTerm", path, kPreferred, i));
    }
  }

  void affinity(const core::Affinity& affinity) {
    if (affinity.nodeAffinity) {
      const std::string path = spec_ + ".affinity.nodeAffinity";
      const auto& required = affinity.nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
      for (size_t i = 0; required && i < required->nodeSelectorTerms.size(); ++i) {
        node_term(required->nodeSelectorTerms[i],
                  fmt::format("{}.{}.nodeSelectorTerms[{}]", path, kRequired, i));
      }
      const auto& preferred =
          affinity.nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution;
      for (size_t i = 0; i < preferred.size(); ++i) {
        node_term(preferred[i].preference,
                  fmt::format("{}.{}[{}].preference", path, kPreferred, i));
      }
    }
    if (affinity.podAffinity) pod_affinity(*affinity.podAffinity, spec_ + ".affinity.podAffinity");
    if (affinity.podAntiAffinity) {
      pod_affinity(*affinity.podAntiAffinity, spec_ + ".affinity.podAntiAffinity");
    }
  }

  void spread(const std::vector<core::TopologySpreadConstraint>& constraints) {
    for (size_t i = 0; i < constraints.size(); ++i) {
      const std::string path = fmt::format("{}.topologySpreadConstraints[{}]", spec_, i);
      const std::string& key = constraints[i].topologyKey;
      const auto why = why_deprecated(kLabels, key);
      if (!why.empty()) say(path + ".topologyKey", fmt::format("{} is {}", key, why));
      if (!constraints[i].labelSelector) {
        say(path + ".labelSelector", "a null labelSelector results in matching no pod");
      }
    }
  }

  void volumes(const std::vector<core::Volume>& list) {
    for (size_t i = 0; i < list.size(); ++i) {
      const core::Volume& volume = list[i];
      const std::string path = fmt::format("{}.volumes[{}].", spec_, i);
      if (volume.photonPersistentDisk) {
        say(path + "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+");
      }
      if (volume.gitRepo) say(path + "gitRepo", "deprecated in v1.11");
      if (volume.scaleIO) say(path + "scaleIO", "deprecated in v1.16, non-functional in v1.22+");
      if (volume.flocker) say(path + "flocker", "deprecated in v1.22, non-functional in v1.25+");
      if (volume.storageos) {
        say(path + "storageOS", "deprecated in v1.22, non-functional in v1.25+");
      }
      if (volume.quobyte) say(path + "quobyte", "deprecated in v1.22, non-functional in v1.25+");
      if (volume.glusterfs) {
        say(path + "glusterfs", "deprecated in v1.25, non-functional in v1.26+");
      }
      if (volume.cephfs) say(path + "cephfs", "deprecated in v1.28, non-functional in v1.31+");
      if (volume.rbd) say(path + "rbd", "deprecated in v1.28, non-functional in v1.31+");
    }
  }

  void fractions(const std::map<std::string, api::Quantity>& list, const std::string& path) {
    for (const char* name : {"memory", "ephemeral-storage"}) {
      const auto it = list.find(name);
      if (it == list.end() || it->second.milli() % 1000 == 0) continue;
      say(fmt::format("{}[{}]", path, name),
          fmt::format("fractional byte value \"{}\" is invalid, must be an integer",
                      it->second.str()));
    }
  }

  void container(const core::Container& container, const std::string& path) {
    fractions(container.resources.limits, path + ".resources.limits");
    fractions(container.resources.requests, path + ".resources.requests");
    std::map<std::string_view, size_t> names;
    for (size_t i = 0; i < container.env.size(); ++i) {
      const core::EnvVar& item = container.env[i];
      const bool first = names.try_emplace(item.name, i).second;
      const std::string reference = "$(" + item.name + ")";
      const bool extends = !item.valueFrom && item.value != reference &&
                           item.value.find(reference) != std::string::npos;
      if (first || extends) continue;
      say(fmt::format("{}.env[{}]", path, i),
          fmt::format("hides previous definition of \"{}\", which may be dropped when using apply",
                      item.name));
    }
    ports(container.ports, path);
  }

  void ports(const std::vector<core::ContainerPort>& list, const std::string& path) {
    for (size_t i = 0; i < list.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        const core::ContainerPort &now = list[i], &before = list[k];
        if (now.containerPort != before.containerPort || now.protocol != before.protocol ||
            now.hostPort != before.hostPort || now.hostIP != before.hostIP) {
          continue;
        }
        say(fmt::format("{}.ports[{}]", path, i),
            fmt::format("duplicate port definition with {}.ports[{}]", path, k));
        break;
      }
      if (list.size() > kPortsLooked) return;
    }
  }

  static constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  static constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  static constexpr size_t kPortsLooked = 1000;  // beyond, comparing all with all takes too long

  const std::string meta_, spec_;
  std::vector<std::string>& out_;
};

// The template that a workload holds, and where.
struct Holder {
  std::string_view group, plural;
  const core::PodTemplateSpec* (*find)(const api::Object&);
  const char* path;
};
constexpr const char* kSpecTemplate = "spec.template";
const std::array<Holder, 8> kHolders{
    {{"apps", "deployments",
      [](const api::Object& o) {
        return &static_cast<const api::appsv1::Deployment&>(o).spec.template_;
      },
      kSpecTemplate},
     {"apps", "replicasets",
      [](const api::Object& o) {
        return &static_cast<const api::appsv1::ReplicaSet&>(o).spec.template_;
      },
      kSpecTemplate},
     {"apps", "statefulsets",
      [](const api::Object& o) {
        return &static_cast<const api::appsv1::StatefulSet&>(o).spec.template_;
      },
      kSpecTemplate},
     {"apps", "daemonsets",
      [](const api::Object& o) {
        return &static_cast<const api::appsv1::DaemonSet&>(o).spec.template_;
      },
      kSpecTemplate},
     {"", "replicationcontrollers",
      [](const api::Object& o) -> const core::PodTemplateSpec* {
        const auto& spec = static_cast<const core::ReplicationController&>(o).spec;
        return spec.template_ ? &*spec.template_ : nullptr;
      },
      kSpecTemplate},
     {"", "podtemplates",
      [](const api::Object& o) { return &static_cast<const core::PodTemplate&>(o).template_; },
      "template"},
     {"batch", "jobs",
      [](const api::Object& o) { return &static_cast<const api::batchv1::Job&>(o).spec.template_; },
      kSpecTemplate},
     {"batch", "cronjobs",
      [](const api::Object& o) {
        return &static_cast<const api::batchv1::CronJob&>(o).spec.jobTemplate.spec.template_;
      },
      "spec.jobTemplate.spec.template"}}};

}  // namespace

void pod_warnings(const api::ResourceInfo& resource, const api::Object& now, const api::Object* old,
                  std::vector<std::string>& out) {
  if (is_resource(resource, "", "pods")) {
    if (old == nullptr) {
      Warner("", out).check(now.metadata, static_cast<const core::Pod&>(now).spec);
    }
    return;
  }
  if (old != nullptr && now.metadata.generation > 0 &&
      now.metadata.generation == old->metadata.generation) {
    return;
  }
  for (const Holder& holder : kHolders) {
    if (!is_resource(resource, holder.group, holder.plural)) continue;
    const core::PodTemplateSpec* pod = holder.find(now);
    if (pod != nullptr) Warner(holder.path, out).check(pod->metadata, pod->spec);
    return;
  }
}

}  // namespace orch::server
