// Pod garbage collector: pods of nodes that are gone, and finished pods beyond the threshold.
#include <algorithm>

#include "orch/api/corev1.h"
#include "server/controllers/pod_removal.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Pod;

constexpr size_t kTerminatedMax = 12500;  // --terminated-pod-gc-threshold
constexpr Seconds kPeriod{20};
constexpr Seconds kQuarantine{40};  // a node that was just deleted may be about to come back
const ObjectKey kEverything{"", "all"};

// Somebody says that the machine is off: its pods end without it.
bool is_out_of_service(const Node& node) {
  const auto& taints = node.spec.taints;
  const auto& conditions = node.status.conditions;
  return std::any_of(taints.begin(), taints.end(),
                     [](const auto& t) { return t.key == "node.kubernetes.io/out-of-service"; }) &&
         std::none_of(conditions.begin(), conditions.end(),
                      [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
}

class PodGarbageCollector final : public client::Reconciler {
 public:
  explicit PodGarbageCollector(client::ControllerContext& context)
      : context_(context),
        nodes_(context.informers.lister<Node>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    const MonoTime now = context_.env.clock.mono();
    std::vector<std::shared_ptr<const Pod>> finished;
    std::map<std::string, MonoTime> missing;
    std::map<std::string, bool> asked;  // missing nodes: are they really gone?
    for (const auto& pod : pods_.list()) {
      if (is_terminal(*pod) && !pod->metadata.deletionTimestamp) finished.push_back(pod);
      const std::string& node = pod->spec.nodeName;
      if (node.empty()) {
        if (pod->metadata.deletionTimestamp) {
          ORCH_CHECK(remove_pod(context_, *pod, unconfirmed()));
        }
        continue;
      }
      if (const auto there = nodes_.get("", node)) {
        if (pod->metadata.deletionTimestamp && is_out_of_service(*there)) {
          ORCH_CHECK(remove_pod(context_, *pod, unconfirmed()));
        }
        continue;
      }
      auto seen = missing_.find(node);
      missing[node] = seen == missing_.end() ? now : seen->second;
      if (now - missing[node] < kQuarantine) continue;
      auto gone = asked.find(node);
      if (gone == asked.end()) {
        ORCH_TRY(const bool answer, is_gone(node));
        gone = asked.emplace(node, answer).first;
      }
      if (gone->second) ORCH_CHECK(remove_pod(context_, *pod, orphaned()));
    }
    missing_ = std::move(missing);
    ORCH_CHECK(trim(std::move(finished)));
    return client::requeue_after(kPeriod);
  }

 private:
  // The cache may not have heard of a node that came back.
  Result<bool, client::ReconcileError> is_gone(const std::string& node) {
    auto there = context_.client.get<Node>("", node);
    if (there) return false;
    if (there.error().code == 404) return true;
    return Err(client::ReconcileError(there.error()));
  }

  Result<Unit, client::ReconcileError> trim(std::vector<std::shared_ptr<const Pod>> finished) {
    if (finished.size() <= kTerminatedMax) return Unit{};
    std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) {
      return a->metadata.creationTimestamp.unix_seconds <
             b->metadata.creationTimestamp.unix_seconds;
    });
    for (size_t i = 0; i < finished.size() - kTerminatedMax; ++i) {
      ORCH_CHECK(remove_pod(context_, *finished[i], unconfirmed()));
    }
    return Unit{};
  }

  static const PodRemoval& orphaned() {
    static const PodRemoval kOrphaned{"DeletionByPodGC", "PodGC: node no longer exists", true};
    return kOrphaned;
  }
  static const PodRemoval& unconfirmed() {
    static const PodRemoval kUnconfirmed{"", "", true};
    return kUnconfirmed;
  }

  client::ControllerContext context_;
  client::Lister<Node> nodes_;
  client::Lister<Pod> pods_;
  std::map<std::string, MonoTime> missing_;  // nodes that pods name but nobody has, since when
};

}  // namespace

client::ControllerSpec pod_garbage_collector(client::ControllerContext& context,
                                             const ControllersConfig&) {
  context.informers.get<Pod>();
  return {.name = "pod-garbage-collector-controller",
          .watches = {client::mapped<Node>(
              [](const Node&) -> std::vector<ObjectKey> { return {kEverything}; })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<PodGarbageCollector>(c);
          },
          .initial_keys = {kEverything}};
}

}  // namespace orch::server
