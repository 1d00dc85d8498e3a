// Short ways to make pods, nodes and snapshots for the scheduler's tests.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "orch/base/random.h"
#include "orch/client/client.h"
#include "server/scheduler/framework.h"
#include "server/scheduler/schedule.h"

namespace orch::server::scheduler::testing {

inline api::Quantity quantity(const std::string& text) {
  auto parsed = api::Quantity::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

struct PodBuilder {
  corev1::Pod pod;
  explicit PodBuilder(const std::string& name, const std::string& ns = "default") {
    pod.metadata.name = name;
    pod.metadata.namespace_ = ns;
    pod.metadata.uid = "uid-" + name;
    pod.spec.schedulerName = "default-scheduler";
    pod.spec.containers.emplace_back().name = "c";
  }
  PodBuilder& request(const std::string& resource, const std::string& amount) {
    pod.spec.containers[0].resources.requests[resource] = quantity(amount);
    return *this;
  }
  PodBuilder& label(const std::string& key, const std::string& value) {
    pod.metadata.labels[key] = value;
    return *this;
  }
  PodBuilder& priority(int32_t value) {
    pod.spec.priority = value;
    return *this;
  }
  PodBuilder& host_port(int32_t port, const std::string& ip = "",
                        const std::string& proto = "TCP") {
    auto& p = pod.spec.containers[0].ports.emplace_back();
    p.hostPort = p.containerPort = port;
    p.hostIP = ip;
    p.protocol = proto;
    return *this;
  }
  PodBuilder& tolerate(const std::string& key, const std::string& op, const std::string& value,
                       const std::string& effect) {
    auto& t = pod.spec.tolerations.emplace_back();
    t.key = key;
    t.operator_ = op;
    t.value = value;
    t.effect = effect;
    return *this;
  }
  corev1::NodeAffinity& node_affinity() { return pod.spec.affinity.ensure().nodeAffinity.ensure(); }
  static corev1::PodAffinityTerm term(const std::string& key, const std::string& label,
                                      const std::string& value) {
    corev1::PodAffinityTerm out;
    out.topologyKey = key;
    out.labelSelector.ensure().matchLabels[label] = value;
    return out;
  }
  PodBuilder& near(const std::string& key, const std::string& label, const std::string& value) {
    pod.spec.affinity.ensure()
        .podAffinity.ensure()
        .requiredDuringSchedulingIgnoredDuringExecution.push_back(term(key, label, value));
    return *this;
  }
  PodBuilder& away(const std::string& key, const std::string& label, const std::string& value) {
    pod.spec.affinity.ensure()
        .podAntiAffinity.ensure()
        .requiredDuringSchedulingIgnoredDuringExecution.push_back(term(key, label, value));
    return *this;
  }
  PodBuilder& prefer_near(int32_t weight, const std::string& key, const std::string& label,
                          const std::string& value) {
    auto& preferred = pod.spec.affinity.ensure()
                          .podAffinity.ensure()
                          .preferredDuringSchedulingIgnoredDuringExecution.emplace_back();
    preferred.weight = weight;
    preferred.podAffinityTerm = term(key, label, value);
    return *this;
  }
  PodBuilder& spread(int32_t skew, const std::string& key, const std::string& when,
                     const std::string& label, const std::string& value) {
    auto& c = pod.spec.topologySpreadConstraints.emplace_back();
    c.maxSkew = skew;
    c.topologyKey = key;
    c.whenUnsatisfiable = when;
    c.labelSelector.ensure().matchLabels[label] = value;
    return *this;
  }
  PodBuilder& on(const std::string& node) {
    pod.spec.nodeName = node;
    return *this;
  }
  PodInfoPtr info() const { return make_pod_info(std::make_shared<corev1::Pod>(pod)); }
};

struct NodeBuilder {
  corev1::Node node;
  std::vector<PodInfoPtr> pods;
  explicit NodeBuilder(const std::string& name, const std::string& cpu = "4",
                       const std::string& memory = "8Gi", const std::string& count = "110") {
    node.metadata.name = name;
    node.metadata.labels["kubernetes.io/hostname"] = name;
    node.status.allocatable["cpu"] = quantity(cpu);
    node.status.allocatable["memory"] = quantity(memory);
    node.status.allocatable["pods"] = quantity(count);
  }
  NodeBuilder& label(const std::string& key, const std::string& value) {
    node.metadata.labels[key] = value;
    return *this;
  }
  NodeBuilder& zone(const std::string& value) {
    return label("topology.kubernetes.io/zone", value);
  }
  NodeBuilder& taint(const std::string& key, const std::string& value, const std::string& effect) {
    auto& t = node.spec.taints.emplace_back();
    t.key = key;
    t.value = value;
    t.effect = effect;
    return *this;
  }
  NodeBuilder& with(const PodBuilder& pod) {
    pods.push_back(pod.info());
    return *this;
  }
  NodeInfo info() const {
    NodeInfo out;
    out.set_node(std::make_shared<corev1::Node>(node));
    for (const auto& pod : pods) out.add_pod(pod);
    return out;
  }
};

// Answers nothing: pure tests never call the API.
class NoTransport final : public client::Transport {
 public:
  api::ApiResult<client::Response> call(const client::Request&) override {
    return Err(api::service_unavailable("no API in this test"));
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(const client::Request&,
                                                             client::WatchCallbacks) override {
    return Err(api::service_unavailable("no API in this test"));
  }
};

inline const Framework& default_framework() {
  static NoTransport transport;
  static client::Client client(transport);
  static Framework framework(default_plugins(client));
  return framework;
}

inline Snapshot snapshot_of(const std::vector<NodeBuilder>& nodes) {
  std::vector<NodeInfo> infos;
  for (const auto& node : nodes) infos.push_back(node.info());
  return Snapshot::of(std::move(infos));
}

inline Decision decide(const Snapshot& snapshot, const PodBuilder& pod, uint64_t seed = 1) {
  auto random = seeded_random(seed);
  return schedule(default_framework(), snapshot, *pod.info(), *random);
}

// The nodes that the filters leave, by trying each alone with the whole snapshot's state.
inline std::vector<std::string> feasible(const Snapshot& snapshot, const PodBuilder& pod) {
  CycleState state;
  std::optional<std::set<std::string>> only;
  std::set<std::string> by;
  std::vector<std::string> out;
  auto info = pod.info();
  if (!default_framework().run_pre_filter(state, *info, snapshot, only, by).ok()) return out;
  for (const auto& node : snapshot.nodes) {
    if (only && !only->contains(node->name())) continue;
    if (default_framework().run_filter(state, *info, *node).ok()) out.push_back(node->name());
  }
  return out;
}

using Names = std::vector<std::string>;

}  // namespace orch::server::scheduler::testing
