#include "orch/api/node_match.h"

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::api {
namespace {

constexpr const char* kAnyAddress = "0.0.0.0";

bool requirement_matches(const corev1::NodeSelectorRequirement& requirement,
                         const std::optional<std::string>& value) {
  const auto& values = requirement.values;
  const bool listed = value && std::find(values.begin(), values.end(), *value) != values.end();
  if (requirement.operator_ == "In") return listed;
  if (requirement.operator_ == "NotIn") return !listed;
  if (requirement.operator_ == "Exists") return value.has_value();
  if (requirement.operator_ == "DoesNotExist") return !value.has_value();
  if (!value || values.size() != 1) return false;
  const auto left = parse_int(*value), right = parse_int(values.front());
  if (!left || !right) return false;
  if (requirement.operator_ == "Gt") return *left > *right;
  return requirement.operator_ == "Lt" && *left < *right;
}

}  // namespace

bool node_selector_term_matches(const corev1::NodeSelectorTerm& term, const corev1::Node& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  const auto& labels = node.metadata.labels;
  for (const auto& requirement : term.matchExpressions) {
    const auto at = labels.find(requirement.key);
    const auto value = at == labels.end() ? std::nullopt : std::optional(at->second);
    if (!requirement_matches(requirement, value)) return false;
  }
  for (const auto& requirement : term.matchFields) {
    // metadata.name is the only field there is.
    if (requirement.key != "metadata.name") return false;
    if (!requirement_matches(requirement, node.metadata.name)) return false;
  }
  return true;
}

bool node_affinity_matches(const corev1::Pod& pod, const corev1::Node& node) {
  for (const auto& [key, value] : pod.spec.nodeSelector) {
    const auto at = node.metadata.labels.find(key);
    if (at == node.metadata.labels.end() || at->second != value) return false;
  }
  if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity) return true;
  const auto& required =
      pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  return std::any_of(required->nodeSelectorTerms.begin(), required->nodeSelectorTerms.end(),
                     [&](const auto& term) { return node_selector_term_matches(term, node); });
}

bool tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint) {
  if (!toleration.effect.empty() && toleration.effect != taint.effect) return false;
  if (!toleration.key.empty() && toleration.key != taint.key) return false;
  if (toleration.operator_ == "Exists") return true;
  return (toleration.operator_.empty() || toleration.operator_ == "Equal") &&
         toleration.value == taint.value && !toleration.key.empty();
}

bool tolerates(const std::vector<corev1::Toleration>& tolerations, const corev1::Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(),
                     [&](const auto& toleration) { return tolerates(toleration, taint); });
}

bool HostPort::conflicts(const HostPort& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  return ip == other.ip || ip == kAnyAddress || other.ip == kAnyAddress;
}

std::vector<HostPort> host_ports_of(const corev1::PodSpec& spec) {
  std::vector<HostPort> out;
  const auto add = [&](const corev1::Container& container) {
    for (const auto& port : container.ports) {
      if (port.hostPort <= 0) continue;
      out.push_back({port.hostIP.empty() ? kAnyAddress : port.hostIP,
                     port.protocol.empty() ? "TCP" : port.protocol, port.hostPort});
    }
  };
  for (const auto& container : spec.containers) add(container);
  for (const auto& container : spec.initContainers) {
    if (container.restartPolicy == "Always") add(container);
  }
  return out;
}

}  // namespace orch::api
