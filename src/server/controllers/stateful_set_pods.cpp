#include "server/controllers/stateful_set_pods.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/controllers/controller_revisions.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using appsv1::StatefulSet;
using corev1::PersistentVolumeClaim;
using corev1::Pod;

namespace {

std::string claim_name(const StatefulSet& set, const PersistentVolumeClaim& claim_template,
                       int64_t ordinal) {
  return fmt::format("{}-{}-{}", claim_template.metadata.name, set.metadata.name, ordinal);
}

std::string pod_name(const StatefulSet& set, int64_t ordinal) {
  return fmt::format("{}-{}", set.metadata.name, ordinal);
}

bool refers_to(const metav1::OwnerReference& reference, const Object& object) {
  return reference.uid == object.metadata.uid && reference.kind == object.type().kind;
}

}  // namespace

std::optional<int64_t> ordinal_of(const StatefulSet& set, const std::string& name) {
  const std::string prefix = set.metadata.name + "-";
  if (!name.starts_with(prefix) || name.size() == prefix.size()) return std::nullopt;
  const std::string digits = name.substr(prefix.size());
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const auto ordinal = parse_int(digits);
  // "web-01" is nobody's: the controller would never write it.
  if (!ordinal || *ordinal > INT32_MAX || std::to_string(*ordinal) != digits) return std::nullopt;
  return ordinal;
}

bool in_range(const StatefulSet& set, int64_t ordinal) {
  const int64_t start = set.spec.ordinals ? set.spec.ordinals->start : 0;
  return ordinal >= start && ordinal < start + set.spec.replicas.value_or(1);
}

bool identity_matches(const StatefulSet& set, const Pod& pod) {
  auto label = pod.metadata.labels.find(kPodNameLabel);
  return ordinal_of(set, pod.metadata.name) && label != pod.metadata.labels.end() &&
         label->second == pod.metadata.name;
}

bool storage_matches(const StatefulSet& set, const Pod& pod) {
  const auto ordinal = ordinal_of(set, pod.metadata.name);
  if (!ordinal) return false;
  return std::all_of(
      set.spec.volumeClaimTemplates.begin(), set.spec.volumeClaimTemplates.end(),
      [&](const PersistentVolumeClaim& wanted) {
        return std::any_of(pod.spec.volumes.begin(), pod.spec.volumes.end(), [&](const auto& v) {
          return v.name == wanted.metadata.name && v.persistentVolumeClaim &&
                 v.persistentVolumeClaim->claimName == claim_name(set, wanted, *ordinal);
        });
      });
}

void set_identity(const StatefulSet& set, int64_t ordinal, Pod& pod) {
  pod.metadata.name = pod_name(set, ordinal);
  pod.metadata.namespace_ = set.metadata.namespace_;
  pod.metadata.labels[kPodNameLabel] = pod.metadata.name;
  pod.metadata.labels[kPodIndexLabel] = std::to_string(ordinal);
}

void set_storage(const StatefulSet& set, int64_t ordinal, Pod& pod) {
  std::vector<corev1::Volume> volumes;
  for (const auto& claim : set.spec.volumeClaimTemplates) {
    auto& volume = volumes.emplace_back();
    volume.name = claim.metadata.name;
    volume.persistentVolumeClaim.emplace().claimName = claim_name(set, claim, ordinal);
  }
  for (const auto& volume : pod.spec.volumes) {  // a claim hides a volume of its name
    const bool hidden = std::any_of(volumes.begin(), volumes.end(),
                                    [&](const auto& v) { return v.name == volume.name; });
    if (!hidden) volumes.push_back(volume);
  }
  pod.spec.volumes = std::move(volumes);
}

Pod stateful_pod(const StatefulSet& set, const corev1::PodTemplateSpec& pod_template,
                 const std::string& revision, int64_t ordinal) {
  Pod pod = pod_from_template(pod_template, set);
  set_identity(set, ordinal, pod);
  pod.spec.hostname = pod.metadata.name;
  pod.spec.subdomain = set.spec.serviceName;
  set_storage(set, ordinal, pod);
  pod.metadata.labels[kRevisionHashLabel] = revision;
  return pod;
}

std::vector<PersistentVolumeClaim> claims_of(const StatefulSet& set, int64_t ordinal) {
  std::vector<PersistentVolumeClaim> out;
  for (const auto& claim_template : set.spec.volumeClaimTemplates) {
    PersistentVolumeClaim claim = claim_template;
    claim.metadata.name = claim_name(set, claim_template, ordinal);
    claim.metadata.namespace_ = set.metadata.namespace_;
    claim.status = {};
    if (set.spec.selector) {
      for (const auto& [key, value] : set.spec.selector->matchLabels) {
        claim.metadata.labels[key] = value;
      }
    }
    out.push_back(std::move(claim));
  }
  return out;
}

bool fix_claim_owners(const StatefulSet& set, const Pod& pod, int64_t ordinal,
                      PersistentVolumeClaim& claim) {
  auto& references = claim.metadata.ownerReferences;
  const auto is_ours = [&](const metav1::OwnerReference& r) {
    return refers_to(r, set) || (!pod.metadata.uid.empty() && refers_to(r, pod));
  };
  const auto* controller = controller_of(claim);
  if (controller != nullptr && !is_ours(*controller)) return false;
  bool when_deleted = false, when_scaled = false;
  if (const auto& policy = set.spec.persistentVolumeClaimRetentionPolicy) {
    when_deleted = policy->whenDeleted == "Delete";
    when_scaled = policy->whenScaled == "Delete";
  }
  const Object* owner = nullptr;
  if (when_scaled && !in_range(set, ordinal)) {
    owner = &pod;
  } else if (when_deleted) {
    owner = &set;
  }
  const auto ours = std::count_if(references.begin(), references.end(), is_ours);
  const bool right = owner == nullptr ? ours == 0
                                      : ours == 1 && controller != nullptr &&
                                            controller->uid == owner->metadata.uid;
  if (right) return false;
  std::erase_if(references, is_ours);
  if (owner != nullptr) references.push_back(make_controller_ref(*owner));
  return true;
}

bool is_stale(const PersistentVolumeClaim& claim, const std::string& pod_name) {
  return std::any_of(
      claim.metadata.ownerReferences.begin(), claim.metadata.ownerReferences.end(),
      [&](const auto& reference) { return reference.kind == "Pod" && reference.name == pod_name; });
}

}  // namespace orch::server
