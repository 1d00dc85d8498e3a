// cloud-node-controller: Nodes get what the provider knows of their machines.
// cloud-node-lifecycle-controller: Nodes whose machine is gone are deleted, those of a machine that
// is switched off are tainted.
#include <fmt/format.h>

#include <algorithm>

#include "server/cloud/cloud_controllers.h"
#include "server/cloud/node_plan.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

// Upstream's --node-status-update-frequency and --node-monitor-period.
constexpr Micros kAddressesPeriod = std::chrono::minutes{5};
constexpr Micros kMonitorPeriod = Seconds{5};

class CloudNodeReconciler final : public client::Reconciler {
 public:
  CloudNodeReconciler(client::ControllerContext& context, Instances& instances)
      : context_(context), instances_(instances), nodes_(context.informers.lister<Node>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto node = nodes_.get("", key.name);
    if (!node || node->metadata.deletionTimestamp) return client::done();
    auto metadata = instances_.metadata(*node);
    if (!metadata) return Err(client::ReconcileError(metadata.error()));
    const bool fresh = node->spec.providerID.empty();
    Node changed = *node;
    if (apply_metadata(*metadata, changed)) {
      auto written = context_.client.update(changed);
      if (!written) return outcome(written.error());
      if (fresh) {
        context_.events.record(client::subject_of(*node), "Normal", "Synced",
                               "Node synced successfully");
      }
      changed = std::move(*written);
    }
    if (apply_addresses(*metadata, changed)) {
      auto written = context_.client.update_status(changed);
      if (!written) return outcome(written.error());
    }
    return client::requeue_after(kAddressesPeriod);
  }

 private:
  static client::ReconcileResult outcome(const Error& error) {
    if (error.is("NotFound")) return client::done();
    return Err(client::ReconcileError(error));
  }

  client::ControllerContext context_;
  Instances& instances_;
  client::Lister<Node> nodes_;
};

bool is_ready(const Node& node) {
  return std::any_of(node.status.conditions.begin(), node.status.conditions.end(),
                     [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
}

auto shutdown_taint(const Node& node) {
  return std::find_if(node.spec.taints.begin(), node.spec.taints.end(),
                      [](const auto& taint) { return taint.key == kTaintShutdown; });
}

// Only nodes that do not answer are asked about: a Ready one is there.
class CloudNodeLifecycle final : public client::Reconciler {
 public:
  CloudNodeLifecycle(client::ControllerContext& context, Instances& instances)
      : context_(context), instances_(instances), nodes_(context.informers.lister<Node>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto node = nodes_.get("", key.name);
    if (!node || node->metadata.deletionTimestamp) return client::done();
    if (is_ready(*node)) return set_shut_down(*node, false, client::done());
    const auto again = client::requeue_after(kMonitorPeriod);
    auto exists = instances_.exists(*node);
    if (!exists) return Err(client::ReconcileError(exists.error()));
    if (!*exists) return remove(*node);
    auto off = instances_.is_shut_down(*node);
    if (!off) return Err(client::ReconcileError(off.error()));
    return set_shut_down(*node, *off, again);
  }

 private:
  client::ReconcileResult remove(const Node& node) {
    context_.events.record(
        client::subject_of(node), "Normal", "DeletingNode",
        fmt::format("Deleting node {} because it does not exist in the cloud provider",
                    node.metadata.name));
    client::DeleteOptions options;
    options.uid = node.metadata.uid;
    auto removed = context_.client.remove<Node>("", node.metadata.name, options);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

  client::ReconcileResult set_shut_down(const Node& node, bool off, client::ReconcileResult then) {
    if (off == (shutdown_taint(node) != node.spec.taints.end())) return then;
    Node changed = node;
    if (off) {
      auto& taint = changed.spec.taints.emplace_back();
      taint.key = std::string(kTaintShutdown);
      taint.effect = "NoSchedule";
    } else {
      changed.spec.taints.erase(changed.spec.taints.begin() +
                                (shutdown_taint(node) - node.spec.taints.begin()));
    }
    auto written = context_.client.update(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return then;
  }

  client::ControllerContext context_;
  Instances& instances_;
  client::Lister<Node> nodes_;
};

template <class R>
client::ControllerSpec node_spec(const char* name, Instances& instances) {
  return {
      .name = name,
      .watches = {client::primary<Node>()},
      .strands = 1,
      .make = [&instances](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<R>(c, instances);
      },
      .initial_keys = {}};
}

}  // namespace

client::ControllerSpec cloud_node_controller(CloudProvider& provider) {
  return node_spec<CloudNodeReconciler>("cloud-node-controller", provider.instances());
}

client::ControllerSpec cloud_node_lifecycle_controller(CloudProvider& provider) {
  return node_spec<CloudNodeLifecycle>("cloud-node-lifecycle-controller", provider.instances());
}

}  // namespace orch::server
