// Taint eviction: pods that do not tolerate their node's NoExecute taints go, in time.
#include <fmt/format.h>

#include "server/controllers/node_lifecycle.h"
#include "server/controllers/pod_removal.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Pod;
using Outcome = Result<Unit, client::ReconcileError>;

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
    return remove_pod(context_, pod,
                      {"DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"});
  }

  client::ControllerContext context_;
  client::Lister<Node> nodes_;
  client::Lister<Pod> pods_;
};

}  // namespace

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
