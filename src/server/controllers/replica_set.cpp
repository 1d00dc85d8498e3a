// ReplicaSet and ReplicationController: as many pods as asked for. A ReplicationController is seen
// as a ReplicaSet, as upstream does it; only reading, the owner reference and the status differ.
#include "server/controllers/replica_set.h"

#include <algorithm>

#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {

using namespace api;
using appsv1::ReplicaSet;
using corev1::Pod;
using corev1::ReplicationController;

namespace {

// What the two kinds differ in.
struct Replicated {
  ObjectPtr owner;
  ReplicaSet set;  // the owner seen as a ReplicaSet
};
class ReplicatedKind {
 public:
  virtual ~ReplicatedKind() = default;
  virtual std::optional<Replicated> get(const ObjectKey& key) const = 0;
  virtual ApiResult<Unit> write_status(const Object& owner,
                                       const appsv1::ReplicaSetStatus& status) const = 0;
};

class ReplicaReconciler final : public client::Reconciler {
 public:
  ReplicaReconciler(client::ControllerContext& context,
                    std::shared_ptr<client::Expectations> expectations,
                    std::unique_ptr<ReplicatedKind> kind)
      : context_(context),
        expectations_(expectations),
        kind_(std::move(kind)),
        control_(context, std::move(expectations)),
        sets_(context.informers.lister<ReplicaSet>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto found = kind_->get(key);
    if (!found) {
      expectations_->forget(key.str());
      return client::done();
    }
    const ReplicaSet& set = found->set;
    ORCH_TRY(const auto selector, workload_selector(set.spec.selector));
    // Asked before the pods are read: what is satisfied then is in what is read.
    const bool may_act = expectations_->satisfied(key.str());
    ORCH_TRY(const auto active, control_.claim(*found->owner, selector,
                                               pods_to_claim(pods_, *found->owner), is_active));
    ReplicaFailure failure;
    if (!set.metadata.deletionTimestamp && may_act) failure = act(*found, active);
    auto status = plan_status(set, active, failure, context_.env.clock.now());
    if (!equal(status, set.status)) {
      auto written = kind_->write_status(*found->owner, status);
      if (!written && !written.error().is("NotFound")) return Err(written.error());
    }
    if (!failure.reason.empty()) return Err(client::ReconcileError(failure.message));
    return when_next(set, active, may_act);
  }

 private:
  ReplicaFailure act(const Replicated& found, const std::vector<PodPtr>& active) {
    const auto plan =
        plan_replicas(found.set, active, related(found.set, active), context_.env.clock.now());
    if (plan.creates > 0) {
      const Pod pod = pod_from_template(found.set.spec.template_, *found.owner);
      return control_.create(*found.owner, plan.creates, [&pod](int) { return pod; });
    }
    if (!plan.deletes.empty()) return control_.remove(*found.owner, plan.deletes);
    return {};
  }

  // Active pods of all sets of the same controller: a Deployment's old and new sets share nodes.
  std::vector<PodPtr> related(const ReplicaSet& set, const std::vector<PodPtr>& active) const {
    const auto* owner = controller_of(set);
    if (owner == nullptr) return active;
    std::vector<PodPtr> out;
    for (const auto& sibling : sets_.by_index("owner", owner->uid)) {
      for (const auto& pod : pods_.by_index("owner", sibling->metadata.uid)) {
        if (is_active(*pod)) out.push_back(pod);
      }
    }
    return out;
  }

  // A pod that is ready but not long enough becomes available without any event.
  client::ReconcileResult when_next(const ReplicaSet& set, const std::vector<PodPtr>& active,
                                    bool may_act) {
    std::optional<Micros> soonest;
    for (const auto& pod : active) {
      auto in = available_in(*pod, Seconds{set.spec.minReadySeconds}, context_.env.clock.now());
      if (in && (!soonest || *in < *soonest)) soonest = in;
    }
    soonest = no_later(soonest, may_act);
    return soonest ? client::requeue_after(*soonest) : client::done();
  }

  client::ControllerContext context_;
  std::shared_ptr<client::Expectations> expectations_;
  std::unique_ptr<ReplicatedKind> kind_;
  PodControl control_;
  client::Lister<ReplicaSet> sets_;
  client::Lister<Pod> pods_;
};

class ReplicaSets final : public ReplicatedKind {
 public:
  explicit ReplicaSets(client::ControllerContext& context)
      : client_(context.client), sets_(context.informers.lister<ReplicaSet>()) {}
  std::optional<Replicated> get(const ObjectKey& key) const override {
    auto set = sets_.get(key.namespace_, key.name);
    if (!set) return std::nullopt;
    return Replicated{set, *set};
  }
  ApiResult<Unit> write_status(const Object& owner,
                               const appsv1::ReplicaSetStatus& status) const override {
    ReplicaSet changed = static_cast<const ReplicaSet&>(owner);
    changed.status = status;
    ORCH_CHECK(client_.update_status(changed));
    return Unit{};
  }

 private:
  const client::Client& client_;
  client::Lister<ReplicaSet> sets_;
};

class ReplicationControllers final : public ReplicatedKind {
 public:
  explicit ReplicationControllers(client::ControllerContext& context)
      : client_(context.client), controllers_(context.informers.lister<ReplicationController>()) {}
  std::optional<Replicated> get(const ObjectKey& key) const override {
    auto controller = controllers_.get(key.namespace_, key.name);
    if (!controller) return std::nullopt;
    return Replicated{controller, as_replica_set(*controller)};
  }
  ApiResult<Unit> write_status(const Object& owner,
                               const appsv1::ReplicaSetStatus& status) const override {
    ReplicationController changed = static_cast<const ReplicationController&>(owner);
    changed.status = as_controller_status(status);
    ORCH_CHECK(client_.update_status(changed));
    return Unit{};
  }

 private:
  const client::Client& client_;
  client::Lister<ReplicationController> controllers_;
};

template <class T, class Kind>
auto replica_controller(client::ControllerContext& context, std::string name,
                        std::function<bool(const Object& owner, const Object& pod)> selects)
    -> client::ControllerSpec {
  auto expectations = std::make_shared<client::Expectations>(context.env.clock);
  return {
      .name = std::move(name),
      .watches = {client::primary<T>(),
                  watch_owned_pods(context, resource_of<T>(), expectations, std::move(selects))},
      .strands = 2,
      .make = [expectations](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<ReplicaReconciler>(c, expectations, std::make_unique<Kind>(c));
      },
      .initial_keys = {}};
}

}  // namespace

client::ControllerSpec replica_set_controller(client::ControllerContext& context,
                                              const ControllersConfig&) {
  return replica_controller<ReplicaSet, ReplicaSets>(
      context, "replicaset-controller", [](const Object& owner, const Object& pod) {
        return selector_matches(static_cast<const ReplicaSet&>(owner).spec.selector,
                                pod.metadata.labels);
      });
}

client::ControllerSpec replication_controller(client::ControllerContext& context,
                                              const ControllersConfig&) {
  return replica_controller<ReplicationController, ReplicationControllers>(
      context, "replicationcontroller-controller", [](const Object& owner, const Object& pod) {
        const auto& selector = static_cast<const ReplicationController&>(owner).spec.selector;
        return !selector.empty() && LabelSelector::of(selector).matches(pod.metadata.labels);
      });
}

}  // namespace orch::server
