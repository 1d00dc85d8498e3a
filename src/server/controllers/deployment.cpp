// Deployment: the shell. Reads caches, runs the plan, writes.
#include "server/controllers/deployment.h"

#include <fmt/format.h>

#include "orch/api/selector.h"
#include "orch/base/strings.h"
#include "server/controllers/pod_control.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using appsv1::Deployment;
using appsv1::ReplicaSet;
using corev1::Pod;
using Outcome = Result<Unit, client::ReconcileError>;

class DeploymentReconciler final : public client::Reconciler {
 public:
  explicit DeploymentReconciler(client::ControllerContext& context)
      : context_(context),
        deployments_(context.informers.lister<Deployment>()),
        sets_(context.informers.lister<ReplicaSet>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto deployment = deployments_.get(key.namespace_, key.name);
    if (!deployment) return client::done();
    ORCH_TRY(const auto selector, workload_selector(deployment->spec.selector));
    if (selector.empty()) return refuse(*deployment);
    ORCH_TRY(auto sets, claim(*deployment, selector));
    DeploymentInput input{*deployment, std::move(sets), {}, context_.env.clock.now()};
    for (const auto& set : input.sets) {
      bool running = false;
      for (const auto& pod : pods_.by_index("owner", set->metadata.uid)) {
        running = running || !is_terminal(*pod);
      }
      input.has_running_pods[set->metadata.uid] = running;
    }
    const DeploymentPlan plan = plan_deployment(input);
    ORCH_CHECK(run(*deployment, plan));
    if (plan.look_again) return client::requeue_after(*plan.look_again);
    return client::done();
  }

 private:
  client::ReconcileResult refuse(const Deployment& deployment) {
    context_.events.record(
        client::subject_of(deployment), "Warning", "SelectingAll",
        "This deployment is selecting all pods. A non-empty selector is required.");
    if (deployment.status.observedGeneration >= deployment.metadata.generation) {
      return client::done();
    }
    Deployment changed = deployment;
    changed.status.observedGeneration = deployment.metadata.generation;
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

  Result<std::vector<ReplicaSetPtr>, client::ReconcileError> claim(const Deployment& deployment,
                                                                   const LabelSelector& selector) {
    std::vector<ReplicaSetPtr> claimed;
    for (const auto& set : sets_.list(deployment.metadata.namespace_)) {
      const auto* controller = controller_of(*set);
      const bool matches = selector.matches(set->metadata.labels);
      std::string patch;
      if (controller == nullptr && matches && !set->metadata.deletionTimestamp &&
          !deployment.metadata.deletionTimestamp) {
        patch = adopt_patch(*set, deployment);
      } else if (controller == nullptr || controller->uid != deployment.metadata.uid) {
        continue;
      } else if (!matches && !deployment.metadata.deletionTimestamp) {
        patch = release_patch(*set, deployment);
      }
      if (!patch.empty()) {
        auto patched = context_.client.patch<ReplicaSet>(
            set->metadata.namespace_, set->metadata.name, PatchType::kMerge, std::move(patch));
        if (!patched && !patched.error().is("NotFound")) return Err(patched.error());
      }
      if (matches) claimed.push_back(set);
    }
    return claimed;
  }

  Outcome run(const Deployment& deployment, const DeploymentPlan& plan) {
    if (plan.create) {
      auto there = create(deployment, *plan.create);
      if (!there) {
        ORCH_CHECK(write_failure(deployment, plan, there.error().message));
        return Err(std::move(there).error());
      }
      if (!*there) return count_collision(deployment);
    }
    for (const auto& set : plan.update) {
      // A scale step of the same set carries these changes itself.
      const bool scaled = std::any_of(
          plan.scale.begin(), plan.scale.end(),
          [&](const ScaleStep& step) { return step.set->metadata.uid == set.metadata.uid; });
      if (scaled) continue;
      auto updated = context_.client.update(set);
      if (!updated) return Err(updated.error());
    }
    for (const auto& step : plan.scale) ORCH_CHECK(scale(deployment, step, plan));
    for (const auto& set : plan.cleanup) {
      client::DeleteOptions options;
      options.uid = set->metadata.uid;
      auto removed =
          context_.client.remove<ReplicaSet>(set->metadata.namespace_, set->metadata.name, options);
      if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    }
    return write_deployment(deployment, plan);
  }

  // False: a set of that name with another template is there.
  Result<bool, client::ReconcileError> create(const Deployment& deployment, const ReplicaSet& set) {
    auto created = context_.client.create(set);
    const auto subject = client::subject_of(deployment);
    if (created) {
      const int32_t replicas = set.spec.replicas.value_or(0);
      if (replicas > 0) {
        context_.events.record(
            subject, "Normal", "ScalingReplicaSet",
            fmt::format("Scaled up replica set {} from 0 to {}", set.metadata.name, replicas));
      }
      return true;
    }
    if (!created.error().is("AlreadyExists")) {
      const std::string why = fmt::format("Failed to create new replica set \"{}\": {}",
                                          set.metadata.name, created.error().message);
      if (!is_namespace_terminating(created.error())) {
        context_.events.record(subject, "Warning", "ReplicaSetCreateError", why);
      }
      return Err(client::ReconcileError(why));
    }
    auto existing = context_.client.get<ReplicaSet>(set.metadata.namespace_, set.metadata.name);
    if (!existing) return Err(existing.error());
    const bool ours = is_controlled_by(*existing, deployment);
    auto shared = std::make_shared<const ReplicaSet>(std::move(*existing));
    return ours && find_new_set(deployment, {shared}) != nullptr;  // then only the cache lags
  }

  // What the plan says was made was not: that is said instead.
  Outcome write_failure(const Deployment& deployment, const DeploymentPlan& plan,
                        const std::string& why) {
    DeploymentPlan failed;
    failed.status = plan.status;
    for (auto& condition : failed.status.conditions) {
      if (condition.type != "Progressing") continue;
      for (const auto& before : deployment.status.conditions) {
        if (before.type == "Progressing") condition = before;
      }
      if (condition.reason == "ReplicaSetCreateError") continue;  // stands with its first text
      if (condition.status != "False") {
        condition.lastTransitionTime = Time(context_.env.clock.now());
      }
      condition.status = "False";
      condition.reason = "ReplicaSetCreateError";
      condition.message = why;
      condition.lastUpdateTime = Time(context_.env.clock.now());
    }
    return write_deployment(deployment, failed);
  }

  // Hash collisions are counted, so that the next hash differs.
  Outcome count_collision(const Deployment& deployment) {
    Deployment changed = deployment;
    changed.status.collisionCount = deployment.status.collisionCount.value_or(0) + 1;
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return Unit{};
  }

  Outcome scale(const Deployment& deployment, const ScaleStep& step, const DeploymentPlan& plan) {
    ReplicaSet changed = *step.set;
    for (const auto& set : plan.update) {
      if (set.metadata.uid == changed.metadata.uid) changed = set;
    }
    const int32_t before = changed.spec.replicas.value_or(1);
    changed.spec.replicas = step.replicas;
    changed.metadata.annotations[kDesiredReplicas] =
        std::to_string(deployment.spec.replicas.value_or(1));
    changed.metadata.annotations[kMaxReplicas] = std::to_string(
        deployment.spec.replicas.value_or(1) +
        (deployment.spec.replicas.value_or(1) > 0 ? rolling_limits(deployment).surge : 0));
    auto updated = context_.client.update(changed);
    if (!updated) return Err(updated.error());
    if (!step.annotate_only) {
      context_.events.record(
          client::subject_of(deployment), "Normal", "ScalingReplicaSet",
          fmt::format("Scaled {} replica set {} from {} to {}", step.up ? "up" : "down",
                      changed.metadata.name, before, step.replicas));
    }
    return Unit{};
  }

  // The revision goes with the status, as upstream writes it: neither counts as a new generation.
  Outcome write_deployment(const Deployment& deployment, const DeploymentPlan& plan) {
    Deployment changed = deployment;
    if (plan.revision) changed.metadata.annotations[kRevision] = *plan.revision;
    changed.status = plan.status;
    if (changed.metadata.annotations == deployment.metadata.annotations &&
        equal(changed.status, deployment.status)) {
      return Unit{};
    }
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<Deployment> deployments_;
  client::Lister<ReplicaSet> sets_;
  client::Lister<Pod> pods_;
};

// A deleted pod matters to a Deployment that waits for its old pods (Recreate).
client::Watch watch_pods(client::ControllerContext& context) {
  auto sets = context.informers.lister<ReplicaSet>();
  return {&resource_of<Pod>(), [sets](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            if (now) return keys;
            const auto* owner = controller_of(*old);
            if (owner == nullptr || owner->kind != "ReplicaSet") return keys;
            auto set = sets.get(old->metadata.namespace_, owner->name);
            const auto* deployment = set ? controller_of(*set) : nullptr;
            if (deployment != nullptr && deployment->kind == "Deployment") {
              keys.push_back({old->metadata.namespace_, deployment->name});
            }
            return keys;
          }};
}

// A set without owner wakes the Deployments that select it: one of them adopts it.
client::Watch watch_orphans(client::ControllerContext& context) {
  auto deployments = context.informers.lister<Deployment>();
  return {&resource_of<ReplicaSet>(), [deployments](const ObjectPtr&, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            if (!now || controller_of(*now) != nullptr) return keys;
            for (const auto& deployment : deployments.list(now->metadata.namespace_)) {
              if (selector_matches(deployment->spec.selector, now->metadata.labels)) {
                keys.push_back(key_of(*deployment));
              }
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec deployment_controller(client::ControllerContext& context,
                                             const ControllersConfig&) {
  return {.name = "deployment-controller",
          .watches = {client::primary<Deployment>(), client::owned<ReplicaSet, Deployment>(),
                      watch_orphans(context), watch_pods(context)},
          .strands = 2,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<DeploymentReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
