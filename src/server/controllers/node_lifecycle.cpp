// Node lifecycle: a node whose lease is not renewed becomes Unknown, is tainted, and its pods are
// marked not ready; taint eviction then removes those that do not tolerate it.
#include "server/controllers/node_lifecycle.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/coordinationv1.h"
#include "orch/base/log.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using coordinationv1::Lease;
using corev1::Node;
using corev1::Pod;
using Outcome = Result<Unit, client::ReconcileError>;

constexpr const char* kLeaseNamespace = "kube-node-lease";

// Same taints, whenever they were added.
bool same_taints(const std::vector<corev1::Taint>& a, const std::vector<corev1::Taint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.key == y.key && x.effect == y.effect && x.value == y.value;
  });
}

class NodeLifecycleReconciler final : public client::Reconciler {
 public:
  explicit NodeLifecycleReconciler(client::ControllerContext& context)
      : context_(context),
        nodes_(context.informers.lister<Node>()),
        leases_(context.informers.lister<Lease>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto node = nodes_.get("", key.name);
    if (!node) {
      heard_.erase(key.name);
      return client::done();
    }
    const Micros silent_for = silence(*node);
    if (silent_for >= kNodeGracePeriod) {
      ORCH_CHECK(mark_unknown(*node));
    }
    auto fresh = nodes_.get("", key.name);
    if (!fresh) return client::done();  // deleted meanwhile
    ORCH_CHECK(write_taints(*fresh));
    if (!is_node_ready(*fresh)) ORCH_CHECK(mark_pods_not_ready(*fresh));
    if (silent_for >= kNodeGracePeriod) return client::done();  // its next sign of life wakes us
    return client::requeue_after(kNodeGracePeriod - silent_for + Seconds{1});
  }

 private:
  // For how long nothing was heard of the node, by our own clock: the node's may be wrong. What
  // counts is that its lease or its status changed, not what it says.
  Micros silence(const Node& node) {
    auto lease = leases_.get(kLeaseNamespace, node.metadata.name);
    const std::string sign = lease ? lease->metadata.resourceVersion : "";
    std::string heartbeat;
    for (const auto& condition : node.status.conditions) {
      if (condition.type == "Ready" && condition.status != "Unknown") {
        heartbeat = condition.lastHeartbeatTime.str();
      }
    }
    auto& heard = heard_[node.metadata.name];
    const MonoTime now = context_.env.clock.mono();
    if (heard.at == MonoTime{} || heard.lease != sign ||
        (!heartbeat.empty() && heard.heartbeat != heartbeat)) {
      heard = {now, sign, heartbeat};
    }
    return now - heard.at;
  }

  static bool is_node_ready(const Node& node) {
    return std::any_of(node.status.conditions.begin(), node.status.conditions.end(),
                       [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
  }

  Outcome mark_unknown(const Node& node) {
    const WallTime now = context_.env.clock.now();
    Node changed = node;
    changed.status.conditions = unknown_conditions(node, now);
    if (equal(changed.status, node.status)) return Unit{};
    auto written = context_.client.update_status(changed);
    if (!written) return Err(client::ReconcileError(written.error()));
    log::warn("node-lifecycle", "node {} stopped reporting", node.metadata.name);
    context_.events.record(client::subject_of(node), "Normal", "NodeNotReady",
                           fmt::format("Node {} status is now: NodeNotReady", node.metadata.name));
    return Unit{};
  }

  Outcome write_taints(const Node& node) {
    Node changed = node;
    changed.spec.taints = plan_taints(node, context_.env.clock.now());
    if (same_taints(changed.spec.taints, node.spec.taints)) return Unit{};
    auto written = context_.client.update(changed);
    if (!written && !written.error().is("NotFound")) {
      return Err(client::ReconcileError(written.error()));
    }
    return Unit{};
  }

  Outcome mark_pods_not_ready(const Node& node) {
    for (const auto& pod : pods_.by_index("node", node.metadata.name)) {
      if (!is_ready(*pod)) continue;
      Pod changed = *pod;
      for (auto& condition : changed.status.conditions) {
        if (condition.type != "Ready") continue;
        condition.status = "False";
        condition.lastTransitionTime = Time(context_.env.clock.now());
      }
      auto written = context_.client.update_status(changed);
      if (!written && !written.error().is("NotFound")) {
        return Err(client::ReconcileError(written.error()));
      }
      context_.events.record(client::subject_of(*pod), "Warning", "NodeNotReady",
                             "Node is not ready");
    }
    return Unit{};
  }

  struct Heard {
    MonoTime at{};
    std::string lease, heartbeat;
  };
  client::ControllerContext context_;
  client::Lister<Node> nodes_;
  client::Lister<Lease> leases_;
  client::Lister<Pod> pods_;
  std::map<std::string, Heard> heard_;  // one strand, no lock
};

class TaintEvictionReconciler final : public client::Reconciler {
 public:
  explicit TaintEvictionReconciler(client::ControllerContext& context)
      : context_(context),
        nodes_(context.informers.lister<Node>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto node = nodes_.get("", key.name);
    if (!node) return client::done();
    const WallTime now = context_.env.clock.now();
    std::optional<WallTime> next;
    for (const auto& pod : pods_.by_index("node", key.name)) {
      if (pod->metadata.deletionTimestamp || is_terminal(*pod)) continue;
      const auto at = eviction_time(*pod, node->spec.taints, now);
      if (!at) continue;
      if (*at > now) {
        if (!next || *at < *next) next = at;
        continue;
      }
      ORCH_CHECK(evict(*pod));
    }
    return next ? client::requeue_after(*next - now) : client::done();
  }

 private:
  Outcome evict(const Pod& pod) {
    context_.events.record(
        client::subject_of(pod), "Normal", "TaintManagerEviction",
        fmt::format("Marking for deletion Pod {}/{}", pod.metadata.namespace_, pod.metadata.name));
    Pod changed = pod;
    corev1::PodCondition condition;
    condition.type = "DisruptionTarget";
    condition.status = "True";
    condition.reason = "DeletionByTaintManager";
    condition.message = "Taint manager: deleting due to NoExecute taint";
    condition.lastTransitionTime = Time(context_.env.clock.now());
    std::erase_if(changed.status.conditions,
                  [](const auto& c) { return c.type == "DisruptionTarget"; });
    changed.status.conditions.push_back(std::move(condition));
    // The mark is for whoever asks why; the deletion does not depend on it.
    auto marked = context_.client.update_status(changed);
    if (!marked) log::debug("taint-eviction", "{}: {}", pod.metadata.name, marked.error().message);
    client::DeleteOptions options;
    options.uid = pod.metadata.uid;
    auto removed = context_.client.remove<Pod>(pod.metadata.namespace_, pod.metadata.name, options);
    if (!removed && !removed.error().is("NotFound")) {
      return Err(client::ReconcileError(removed.error()));
    }
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<Node> nodes_;
  client::Lister<Pod> pods_;
};

client::Watch watch_node_leases() {
  return client::mapped<Lease>([](const Lease& lease) -> std::vector<ObjectKey> {
    if (lease.metadata.namespace_ != kLeaseNamespace) return {};
    return {{"", lease.metadata.name}};
  });
}

}  // namespace

client::ControllerSpec node_lifecycle_controller(client::ControllerContext&,
                                                 const ControllersConfig&) {
  return {.name = "node-lifecycle-controller",
          .watches = {client::primary<Node>(), watch_node_leases()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<NodeLifecycleReconciler>(c);
          },
          .initial_keys = {}};
}

client::ControllerSpec taint_eviction_controller(client::ControllerContext&,
                                                 const ControllersConfig&) {
  return {.name = "taint-eviction-controller",
          .watches = {client::primary<Node>(),
                      client::mapped<Pod>([](const Pod& pod) -> std::vector<ObjectKey> {
                        if (pod.spec.nodeName.empty()) return {};
                        return {{"", pod.spec.nodeName}};
                      })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<TaintEvictionReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
