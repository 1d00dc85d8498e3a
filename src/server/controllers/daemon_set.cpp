// DaemonSet: the shell. Reads caches, runs the plan, writes.
#include "server/controllers/daemon_set.h"

#include <set>

#include "server/controllers/controller_revisions.h"
#include "server/controllers/pod_control.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using appsv1::DaemonSet;
using corev1::Node;
using corev1::Pod;

class DaemonSetReconciler final : public client::Reconciler {
 public:
  DaemonSetReconciler(client::ControllerContext& context,
                      std::shared_ptr<client::Expectations> expectations)
      : context_(context),
        expectations_(expectations),
        control_(context, std::move(expectations)),
        history_(context, kRevisionHashLabel),
        sets_(context.informers.lister<DaemonSet>()),
        nodes_(context.informers.lister<Node>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto set = sets_.get(key.namespace_, key.name);
    if (!set) {
      expectations_->forget(key.str());
      backoff_.erase(key);
      return client::done();
    }
    ORCH_TRY(const auto selector, workload_selector(set->spec.selector));
    if (selector.empty()) {
      context_.events.record(
          client::subject_of(*set), "Warning", "SelectingAll",
          "This daemon set is selecting all pods. A non-empty selector is required.");
      return client::done();
    }
    if (set->metadata.deletionTimestamp) return client::done();
    ORCH_TRY(const auto revisions, history_.claim(*set, selector));
    int32_t collisions = set->status.collisionCount.value_or(0);
    ORCH_TRY(const auto revision,
             history_.resolve(*set, set->spec.template_, revisions, collisions));
    const bool may_act = expectations_->satisfied(key.str());
    ORCH_TRY(auto pods, control_.claim(*set, selector, pods_to_claim(pods_, *set),
                                       [](const Pod&) { return true; }));
    auto& backoff = backoff_of(key, *set);
    const DaemonSetInput input{*set,
                               nodes_.list(),
                               std::move(pods),
                               revision->metadata.labels.at(kRevisionHashLabel),
                               backoff,
                               context_.env.clock.now()};
    DaemonSetPlan plan = plan_daemon_set(input);
    ReplicaFailure failure;
    if (may_act) {
      failure = act(*set, plan, input.hash);
      for (const auto& [node, next] : plan.backoff) backoff[node] = next;
    } else {
      plan.status.observedGeneration = set->status.observedGeneration;
    }
    if (collisions > 0) plan.status.collisionCount = collisions;
    ORCH_CHECK(write_status(*set, plan.status));
    if (!failure.reason.empty()) return Err(client::ReconcileError(failure.message));
    if (may_act && plan.creates.empty() && plan.deletes.empty()) {
      ORCH_CHECK(trim(*set, input, revisions, revision->metadata.name));
    }
    const auto look_again = no_later(plan.look_again, may_act);
    return look_again ? client::requeue_after(*look_again) : client::done();
  }

 private:
  using Backoff = std::map<std::string, FailedPodBackoff>;

  // A new generation may be the one that does not fail.
  Backoff& backoff_of(const ObjectKey& key, const DaemonSet& set) {
    auto& [generation, backoff] = backoff_[key];
    if (generation != set.metadata.generation) {
      generation = set.metadata.generation;
      backoff.clear();
    }
    return backoff;
  }

  ReplicaFailure act(const DaemonSet& set, const DaemonSetPlan& plan, const std::string& hash) {
    for (const auto& note : plan.notes) {
      context_.events.record(client::subject_of(set), note.type, note.reason, note.message);
    }
    ReplicaFailure failure;
    if (!plan.creates.empty()) {
      failure = control_.create(set, static_cast<int>(plan.creates.size()), [&](int i) {
        return daemon_pod(set, hash, plan.creates[static_cast<size_t>(i)]);
      });
    }
    if (!plan.deletes.empty()) {
      auto removal = control_.remove(set, plan.deletes);
      if (!removal.reason.empty()) failure = std::move(removal);
    }
    return failure;
  }

  Result<Unit, client::ReconcileError> write_status(const DaemonSet& set,
                                                    const appsv1::DaemonSetStatus& status) {
    if (equal(status, set.status)) return Unit{};
    DaemonSet changed = set;
    changed.status = status;
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return Unit{};
  }

  Result<Unit, client::ReconcileError> trim(const DaemonSet& set, const DaemonSetInput& input,
                                            const std::vector<RevisionPtr>& revisions,
                                            const std::string& current) {
    std::set<std::string> hashes, live = {current};
    const auto hash_of = [](const Object& object) {
      auto it = object.metadata.labels.find(kRevisionHashLabel);
      return it == object.metadata.labels.end() ? std::string() : it->second;
    };
    for (const auto& pod : input.pods) hashes.insert(hash_of(*pod));
    for (const auto& revision : revisions) {
      if (hashes.count(hash_of(*revision)) > 0) live.insert(revision->metadata.name);
    }
    return history_.remove(
        plan_history(revisions, live, set.spec.revisionHistoryLimit.value_or(10)));
  }

  client::ControllerContext context_;
  std::shared_ptr<client::Expectations> expectations_;
  PodControl control_;
  RevisionHistory history_;
  client::Lister<DaemonSet> sets_;
  client::Lister<Node> nodes_;
  client::Lister<Pod> pods_;
  std::map<ObjectKey, std::pair<int64_t, Backoff>> backoff_;  // one strand, no lock
};

// What of a node decides about daemon pods; heartbeats do not.
bool same_place(const Node& a, const Node& b) {
  return a.metadata.labels == b.metadata.labels && a.spec.unschedulable == b.spec.unschedulable &&
         std::equal(a.spec.taints.begin(), a.spec.taints.end(), b.spec.taints.begin(),
                    b.spec.taints.end(), [](const auto& x, const auto& y) {
                      return x.key == y.key && x.value == y.value && x.effect == y.effect;
                    });
}

client::Watch watch_nodes(client::ControllerContext& context) {
  auto sets = context.informers.lister<DaemonSet>();
  return {&resource_of<Node>(), [sets](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            if (old && now &&
                same_place(static_cast<const Node&>(*old), static_cast<const Node&>(*now))) {
              return keys;
            }
            for (const auto& set : sets.list()) keys.push_back(key_of(*set));
            return keys;
          }};
}

}  // namespace

client::ControllerSpec daemon_set_controller(client::ControllerContext& context,
                                             const ControllersConfig&) {
  auto expectations = std::make_shared<client::Expectations>(context.env.clock);
  return {
      .name = "daemonset-controller",
      .watches = {client::primary<DaemonSet>(),
                  client::owned<appsv1::ControllerRevision, DaemonSet>(), watch_nodes(context),
                  watch_owned_pods(context, resource_of<DaemonSet>(), expectations,
                                   [](const Object& owner, const Object& pod) {
                                     return selector_matches(
                                         static_cast<const DaemonSet&>(owner).spec.selector,
                                         pod.metadata.labels);
                                   })},
      .strands = 1,
      .make = [expectations](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<DaemonSetReconciler>(c, expectations);
      },
      .initial_keys = {}};
}

}  // namespace orch::server
