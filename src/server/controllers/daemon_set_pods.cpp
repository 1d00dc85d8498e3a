// A DaemonSet's pods: where they may be and how they are pinned there. Pure.
#include <algorithm>

#include "server/controllers/controller_revisions.h"
#include "server/controllers/daemon_set.h"
#include "server/controllers/pods.h"
#include "server/scheduler/pod_info.h"

namespace orch::server {

using namespace api;
using corev1::Node;
using corev1::Pod;

void add_daemon_tolerations(corev1::PodSpec& spec) {
  const auto add = [&spec](const char* key, const char* effect) {
    corev1::Toleration toleration;
    toleration.key = key;
    toleration.operator_ = "Exists";
    toleration.effect = effect;
    for (auto& there : spec.tolerations) {
      if (there.key == toleration.key && there.effect == toleration.effect &&
          there.operator_ == toleration.operator_ && there.value.empty()) {
        there = toleration;  // without a limit in time
        return;
      }
    }
    spec.tolerations.push_back(std::move(toleration));
  };
  add("node.kubernetes.io/not-ready", "NoExecute");
  add("node.kubernetes.io/unreachable", "NoExecute");
  add("node.kubernetes.io/disk-pressure", "NoSchedule");
  add("node.kubernetes.io/memory-pressure", "NoSchedule");
  add("node.kubernetes.io/pid-pressure", "NoSchedule");
  add("node.kubernetes.io/unschedulable", "NoSchedule");
  if (spec.hostNetwork) add("node.kubernetes.io/network-unavailable", "NoSchedule");
}

DaemonPlace place_of(const Pod& pod, const Node& node) {
  if (!pod.spec.nodeName.empty() && pod.spec.nodeName != node.metadata.name) return {};
  if (!scheduler::node_affinity_matches(pod, node)) return {};
  if (scheduler::untolerated_taint(pod, node) == nullptr) return {true, true};
  const auto& taints = node.spec.taints;
  return {false, std::all_of(taints.begin(), taints.end(), [&](const corev1::Taint& taint) {
            return taint.effect != "NoExecute" || scheduler::tolerates(pod.spec.tolerations, taint);
          })};
}

Pod daemon_pod(const appsv1::DaemonSet& set, const std::string& hash, const std::string& node) {
  Pod pod = pod_from_template(set.spec.template_, set);
  pod.metadata.labels[kRevisionHashLabel] = hash;
  add_daemon_tolerations(pod.spec);
  // Every term is replaced: that they match this node was found out already.
  auto& required = pod.spec.affinity.ensure()
                       .nodeAffinity.ensure()
                       .requiredDuringSchedulingIgnoredDuringExecution.ensure();
  required.nodeSelectorTerms.clear();
  auto& field = required.nodeSelectorTerms.emplace_back().matchFields.emplace_back();
  field.key = "metadata.name";
  field.operator_ = "In";
  field.values = {node};
  return pod;
}

std::string target_node(const Pod& pod) {
  if (!pod.spec.nodeName.empty()) return pod.spec.nodeName;
  if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity) return "";
  const auto& required =
      pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return "";
  for (const auto& term : required->nodeSelectorTerms) {
    for (const auto& field : term.matchFields) {
      if (field.key == "metadata.name" && field.operator_ == "In" && field.values.size() == 1) {
        return field.values[0];
      }
    }
  }
  return "";
}

}  // namespace orch::server
