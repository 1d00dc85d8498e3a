// Node lifecycle: a node whose lease is not renewed becomes Unknown, is tainted, and its pods are
// marked not ready; taint eviction then removes those that do not tolerate it. How fast nodes are
// tainted so depends on how many of their zone fail.
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
constexpr Seconds kLookAgain{5};  // --node-monitor-period

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
      forget(key.name);
      return client::done();
    }
    const Micros silent_for = silence(*node);
    if (silent_for >= kNodeGracePeriod) {
      ORCH_CHECK(mark_unknown(*node));
    }
    auto fresh = nodes_.get("", key.name);
    if (!fresh) return client::done();  // deleted meanwhile
    const bool ready = is_node_ready(*fresh);
    if (!ready || suspended_) watch_for_suspension();
    ORCH_CHECK(write_taints(*fresh, eviction_of(*fresh)));
    if (ready) return client::requeue_after(kNodeGracePeriod - silent_for + Seconds{1});
    ORCH_CHECK(mark_pods_not_ready(*fresh));
    // What becomes of it depends on the others too.
    return client::requeue_after(kLookAgain);
  }

 private:
  // Nodes of each zone that are ready and that are not.
  struct ZoneCount {
    size_t ready = 0, not_ready = 0;
  };
  std::map<std::string, ZoneCount> count_zones() const {
    std::map<std::string, ZoneCount> zones;
    for (const auto& node : nodes_.list()) {
      auto& zone = zones[zone_of(*node)];
      is_node_ready(*node) ? ++zone.ready : ++zone.not_ready;
    }
    return zones;
  }

  // When no node at all is ready, nobody is evicted. When that ends, every node gets its time anew:
  // their silence may have been ours.
  void watch_for_suspension() {
    const auto zones = count_zones();
    const bool all = std::all_of(zones.begin(), zones.end(), [](const auto& zone) {
      return zone_state(zone.second.ready, zone.second.not_ready) == ZoneState::kFullDisruption;
    });
    if (all == suspended_) return;
    suspended_ = all;
    log::info("node-lifecycle", "{}",
              all ? "no node is ready: evictions are suspended" : "evictions go on");
    if (all) return;
    for (auto& [name, heard] : heard_) heard.at = context_.env.clock.mono();
    next_eviction_.clear();
  }

  // Nodes of a zone are tainted for eviction one after the other, the more of them are not ready
  // the slower.
  Eviction eviction_of(const Node& node) {
    if (suspended_) return Eviction::kSuspended;
    if (!wants_eviction(node)) return Eviction::kNow;
    const std::string zone = zone_of(node);
    const MonoTime now = context_.env.clock.mono();
    auto& next = next_eviction_[zone];
    if (next > now) return Eviction::kLater;
    const ZoneCount count = count_zones()[zone];
    const auto interval =
        eviction_interval(zone_state(count.ready, count.not_ready), count.ready + count.not_ready);
    if (!interval) return Eviction::kLater;
    next = now + *interval;
    return Eviction::kNow;
  }

  void forget(const std::string& name) {
    auto it = heard_.find(name);
    if (it == heard_.end()) return;
    note(name, it->second.uid, "RemovingNode",
         fmt::format("Node {} event: Removing Node {} from Controller", name, name));
    heard_.erase(it);
  }

  void note(const std::string& name, const std::string& uid, const char* reason,
            const std::string& message) {
    client::EventSubject subject;
    subject.api_version = "v1";
    subject.kind = "Node";
    subject.name = name;
    subject.uid = uid;
    context_.events.record(subject, "Normal", reason, message);
  }

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
    const bool is_new = heard.uid != node.metadata.uid;
    if (is_new) {
      const std::string& name = node.metadata.name;
      note(name, node.metadata.uid, "RegisteredNode",
           fmt::format("Node {} event: Registered Node {} in Controller", name, name));
    }
    if (is_new || heard.lease != sign || (!heartbeat.empty() && heard.heartbeat != heartbeat)) {
      heard = {now, sign, heartbeat, node.metadata.uid};
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

  Outcome write_taints(const Node& node, Eviction eviction) {
    Node changed = node;
    changed.spec.taints = plan_taints(node, context_.env.clock.now(), eviction);
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
    std::string lease, heartbeat, uid;
  };
  client::ControllerContext context_;
  client::Lister<Node> nodes_;
  client::Lister<Lease> leases_;
  client::Lister<Pod> pods_;
  // One strand, no lock.
  std::map<std::string, Heard> heard_;
  std::map<std::string, MonoTime> next_eviction_;  // by zone
  bool suspended_ = false;
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

}  // namespace orch::server
