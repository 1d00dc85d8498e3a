// What an update of a Pod or of its status may change.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/core/pod_parts.h"
#include "orch/api/pod_update.h"

namespace orch::api {
namespace {

using namespace corev1;

// The old spec with everything a client may change taken from the new one: whatever still differs
// is forbidden.
PodSpec with_allowed_changes(const PodSpec& old, const PodSpec& now) {
  PodSpec merged = old;
  const auto images = [](std::vector<Container>& to, const std::vector<Container>& from) {
    for (size_t i = 0; i < to.size() && i < from.size(); ++i) to[i].image = from[i].image;
  };
  images(merged.containers, now.containers);
  images(merged.initContainers, now.initContainers);
  merged.activeDeadlineSeconds = now.activeDeadlineSeconds;
  merged.tolerations = now.tolerations;
  merged.schedulingGates = now.schedulingGates;
  if (!old.schedulingGates.empty()) {
    merged.nodeSelector = now.nodeSelector;
    if (now.affinity) {
      merged.affinity.ensure().nodeAffinity = now.affinity->nodeAffinity;
    } else if (merged.affinity) {
      merged.affinity->nodeAffinity.reset();
      if (!merged.affinity->podAffinity && !merged.affinity->podAntiAffinity) {
        merged.affinity.reset();
      }
    }
  }
  if (old.terminationGracePeriodSeconds.value_or(0) < 0 && now.terminationGracePeriodSeconds == 1) {
    merged.terminationGracePeriodSeconds = 1;
  }
  return merged;
}

bool same(const Toleration& a, const Toleration& b) {
  return a.key == b.key && a.operator_ == b.operator_ && a.value == b.value && a.effect == b.effect;
}

void validate_deadline(const std::optional<int64_t>& now, const std::optional<int64_t>& old,
                       FieldErrors& errors) {
  const std::string path = "spec.activeDeadlineSeconds";
  if (old && !now) {
    errors.invalid(path, "null", "must not update from a positive integer to nil value");
  } else if (old && *now > *old) {
    errors.invalid(path, std::to_string(*now), "must be less than or equal to previous value");
  }
}

// A Pod that waits at a gate may be narrowed, not moved.
void validate_narrowing(const PodSpec& now, const PodSpec& old, FieldErrors& errors) {
  const bool kept =
      std::all_of(old.nodeSelector.begin(), old.nodeSelector.end(), [&](const auto& item) {
        const auto it = now.nodeSelector.find(item.first);
        return it != now.nodeSelector.end() && it->second == item.second;
      });
  if (!kept) {
    errors.invalid("spec.nodeSelector", go_value(now.nodeSelector),
                   "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
  }
  const auto terms = [](const PodSpec& spec) -> const std::vector<NodeSelectorTerm>* {
    if (!spec.affinity || !spec.affinity->nodeAffinity ||
        !spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
      return nullptr;
    }
    return &spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution
                ->nodeSelectorTerms;
  };
  const auto* before = terms(old);
  const auto* after = terms(now);
  if (before == nullptr || before->empty()) return;
  const std::string path =
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
      "nodeSelectorTerms";
  if (after == nullptr || after->size() != before->size()) {
    invalid_whole(path, "no additions/deletions to non-empty NodeSelectorTerms list are allowed",
                  errors);
    return;
  }
  const auto extends = [](const auto& longer, const auto& shorter) {
    if (longer.size() < shorter.size()) return false;
    for (size_t i = 0; i < shorter.size(); ++i) {
      if (!equal(longer[i], shorter[i])) return false;
    }
    return true;
  };
  for (size_t i = 0; i < before->size(); ++i) {
    if (!extends((*after)[i].matchExpressions, (*before)[i].matchExpressions) ||
        !extends((*after)[i].matchFields, (*before)[i].matchFields)) {
      errors.invalid(indexed(path, i), go_value(NodeSelectorTerm::type_info(), &(*after)[i]),
                     "only additions are allowed (no mutations or deletions)");
    }
  }
}

void validate_changes(const PodSpec& now, const PodSpec& old, FieldErrors& errors) {
  const auto merged = with_allowed_changes(old, now);
  if (equal(merged, now)) return;
  errors.forbidden(
      "spec",
      "pod updates may not change fields other than `spec.containers[*].image`,"
      "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
      "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
      "to 1 if it was previously negative)\n" +
          first_difference(PodSpec::type_info(), &merged, &now));
}

// Containers that ended for good stay ended.
void validate_states(const std::vector<ContainerStatus>& now,
                     const std::vector<ContainerStatus>& old, const PodSpec& spec,
                     const std::string& policy, const std::string& path, FieldErrors& errors) {
  if (policy == "Always") return;
  for (size_t i = 0; i < old.size(); ++i) {
    const auto& before = old[i];
    if (!before.state.terminated) continue;
    if (before.state.terminated->exitCode != 0 && policy == "OnFailure") continue;
    const bool sidecar = std::any_of(
        spec.initContainers.begin(), spec.initContainers.end(),
        [&](const auto& c) { return c.name == before.name && c.restartPolicy == "Always"; });
    if (sidecar) continue;
    for (const auto& after : now) {
      if (after.name == before.name && !after.state.terminated) {
        errors.forbidden(indexed(path, i) + ".state",
                         "may not be transitioned to non-terminated state");
      }
    }
  }
}

// Of status.podIPs and status.hostIPs.
template <class Address>
void validate_addresses(const std::vector<Address>& addresses, const std::string& path,
                        FieldErrors& errors) {
  int families[2] = {0, 0};
  std::string shown;
  std::set<std::string> seen;
  for (size_t i = 0; i < addresses.size(); ++i) {
    validate_by(check_ip, addresses[i].ip, indexed(path, i), errors);
    ++families[is_ipv6(addresses[i].ip) ? 1 : 0];
    shown += (i == 0 ? "" : ", ") + go_value(Address::type_info(), &addresses[i]);
  }
  if (families[0] > 1 || families[1] > 1) {
    errors.invalid(path, "[]core." + std::string(Address::type_info().name) + "{" + shown + "}",
                   "may specify no more than one IP for each IP family");
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (seen.insert(addresses[i].ip).second) continue;
    errors.duplicate(indexed(path, i), go_value(Address::type_info(), &addresses[i]));
  }
}

}  // namespace

void validate_pod_update(const Pod& now, const Pod& old, FieldErrors& errors) {
  const char* kCount = "pod updates may not add or remove containers";
  if (now.spec.containers.size() != old.spec.containers.size()) {
    return errors.forbidden("spec.containers", kCount);
  }
  if (now.spec.initContainers.size() != old.spec.initContainers.size()) {
    return errors.forbidden("spec.initContainers", kCount);
  }
  validate_deadline(now.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds, errors);
  for (const auto& kept : old.spec.tolerations) {
    const bool there = std::any_of(now.spec.tolerations.begin(), now.spec.tolerations.end(),
                                   [&](const auto& t) { return same(t, kept); });
    if (!there) {
      errors.forbidden("spec.tolerations",
                       "existing toleration can not be modified except its tolerationSeconds");
      break;
    }
  }
  for (size_t i = 0; i < now.spec.schedulingGates.size(); ++i) {
    const auto& name = now.spec.schedulingGates[i].name;
    const bool known = std::any_of(old.spec.schedulingGates.begin(), old.spec.schedulingGates.end(),
                                   [&](const auto& gate) { return gate.name == name; });
    if (!known) {
      errors.forbidden(indexed("spec.schedulingGates", i) + ".name",
                       "only deletion is allowed, but found new scheduling gate '" + name + "'");
    }
  }
  if (!old.spec.schedulingGates.empty()) validate_narrowing(now.spec, old.spec, errors);
  validate_changes(now.spec, old.spec, errors);
}

void validate_ephemeral_update(const Pod& now, const Pod& old, FieldErrors& errors) {
  const std::string path = "spec.ephemeralContainers";
  if (old.metadata.annotations.count("kubernetes.io/config.mirror") != 0) {
    return errors.forbidden("", "static pods do not support ephemeral containers");
  }
  validate_pod_spec(now.spec, "spec", errors);
  for (const auto& before : old.spec.ephemeralContainers) {
    const auto& list = now.spec.ephemeralContainers;
    const auto after = std::find_if(list.begin(), list.end(),
                                    [&](const auto& c) { return c.name == before.name; });
    const char* what = after == list.end()      ? "removed"
                       : !equal(*after, before) ? "changed"
                                                : nullptr;
    if (what == nullptr) continue;
    std::string diff;
    if (after != list.end()) {
      diff = first_difference(EphemeralContainer::type_info(), &before, &*after);
    }
    errors.forbidden(path, fmt::format("existing ephemeral containers {} may not be {}\n{}",
                                       quoted(before.name), what, diff));
  }
}

void validate_pod_status(const Pod& now, const Pod& old, FieldErrors& errors) {
  if (!now.status.nominatedNodeName.empty()) {
    validate_by(check_dns1123_subdomain, now.status.nominatedNodeName, "status.nominatedNodeName",
                errors);
  }
  const std::string& policy = old.spec.restartPolicy;
  const auto states = [&](const auto& list, const std::string& rule, const char* field) {
    validate_states(now.status.*list, old.status.*list, old.spec, rule,
                    std::string("status.") + field, errors);
  };
  states(&PodStatus::containerStatuses, policy, "containerStatuses");
  states(&PodStatus::initContainerStatuses, policy, "initContainerStatuses");
  states(&PodStatus::ephemeralContainerStatuses, "Never", "ephemeralContainerStatuses");
  validate_addresses(now.status.podIPs, "status.podIPs", errors);
  const auto& hosts = now.status.hostIPs;
  if (!hosts.empty() && hosts[0].ip != now.status.hostIP) {
    errors.invalid("status.hostIPs[0].ip", quoted(hosts[0].ip), "must be equal to `hostIP`");
  }
  validate_addresses(hosts, "status.hostIPs", errors);
}

}  // namespace orch::api
