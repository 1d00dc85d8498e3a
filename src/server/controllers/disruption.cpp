// Disruption: the shell. Keys are budgets, and pods ("pod/<name>") whose DisruptionTarget condition
// may have to be taken back.
#include "server/controllers/disruption.h"

#include <fmt/format.h>

#include "orch/api/appsv1.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/codec.h"
#include "server/controllers/pod_control.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Pod;
using policyv1::PodDisruptionBudget;
using Outcome = Result<Unit, client::ReconcileError>;

constexpr std::string_view kPodKey = "pod/";
constexpr Seconds kConflictRetry{1};

class DisruptionReconciler final : public client::Reconciler {
 public:
  explicit DisruptionReconciler(client::ControllerContext& context)
      : context_(context),
        budgets_(context.informers.lister<PodDisruptionBudget>()),
        pods_(context.informers.lister<Pod>()),
        sets_(context.informers.lister<appsv1::ReplicaSet>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (key.name.starts_with(kPodKey)) {
      return reconcile_pod(key.namespace_, key.name.substr(kPodKey.size()));
    }
    auto budget = budgets_.get(key.namespace_, key.name);
    if (!budget || budget->metadata.deletionTimestamp) return client::done();
    auto planned = plan(*budget);
    if (!planned) {
      ORCH_CHECK(
          write(*budget, failed_sync(*budget, planned.error().message, context_.env.clock.now())));
      return Err(std::move(planned).error());
    }
    ORCH_TRY(const bool written, write(*budget, planned->status));
    // Not a failure of the budget's: those that it had already make no difference to how soon it
    // is tried again.
    if (!written) return client::requeue_after(kConflictRetry);
    for (const auto& pod : planned->not_deleted) {
      context_.events.record(client::subject_of(*pod), "Warning", "NotDeleted",
                             fmt::format("Pod was expected by PDB {}/{} to be deleted but it "
                                         "wasn't",
                                         key.namespace_, key.name));
    }
    return planned->look_again ? client::requeue_after(*planned->look_again) : client::done();
  }

 private:
  Result<DisruptionPlan, client::ReconcileError> plan(const PodDisruptionBudget& budget) {
    ORCH_TRY(const auto selector, workload_selector(budget.spec.selector));
    DisruptionInput input{
        budget, pods_.list(budget.metadata.namespace_, selector), {}, context_.env.clock.now()};
    std::string unmanaged;
    if (needs_scales(budget.spec)) {
      for (const auto& pod : input.pods) {
        const auto* owner = controller_of(*pod);
        if (owner == nullptr) {
          unmanaged = pod->metadata.name;
          continue;
        }
        auto found = add_scale(*owner, *pod, input.scales);
        if (!found) {
          note(budget, "Warning", "CalculateExpectedPodCountFailed",
               "Failed to calculate the number of expected pods: " + found.error().message);
          return Err(std::move(found).error());
        }
      }
    }
    DisruptionPlan planned = plan_disruption(input);
    // Said once for a status, not in every round.
    if (!equal(planned.status, budget.status)) {
      if (input.pods.empty()) note(budget, "Normal", "NoPods", "No matching pods found");
      if (!unmanaged.empty()) {
        note(budget, "Warning", "UnmanagedPods",
             fmt::format("Pods selected by this PodDisruptionBudget (selector: {}) were found to "
                         "be unmanaged. As a result, the status of the PDB cannot be calculated "
                         "correctly, which may result in undefined behavior. To account for these "
                         "pods please set \".spec.minAvailable\" field of the PDB to an integer "
                         "value.",
                         selector.str()));
      }
    }
    return planned;
  }

  void note(const PodDisruptionBudget& budget, const char* type, const char* reason,
            const std::string& message) {
    context_.events.record(client::subject_of(budget), type, reason, message);
  }

  // The wanted replicas of the pod's owner; pods of a Deployment's sets count as the Deployment's.
  Outcome add_scale(const metav1::OwnerReference& owner, const Pod& pod,
                    std::map<std::string, int32_t>& scales) {
    if (scales.count(owner.uid) > 0) return Unit{};
    const std::string& ns = pod.metadata.namespace_;
    if (owner.kind == "ReplicaSet" && owner.apiVersion == "apps/v1") {
      auto set = sets_.get(ns, owner.name);
      const auto* above = set && set->metadata.uid == owner.uid ? controller_of(*set) : nullptr;
      if (above != nullptr && above->kind == "Deployment") {
        return scales.count(above->uid) > 0 ? Outcome(Unit{}) : ask_scale(*above, pod, scales);
      }
    }
    return ask_scale(owner, pod, scales);
  }

  Outcome ask_scale(const metav1::OwnerReference& owner, const Pod& pod,
                    std::map<std::string, int32_t>& scales) {
    const size_t slash = owner.apiVersion.find('/');
    const std::string group = slash == std::string::npos ? "" : owner.apiVersion.substr(0, slash);
    const std::string version =
        slash == std::string::npos ? owner.apiVersion : owner.apiVersion.substr(slash + 1);
    const auto* resource = find_resource_by_kind(group, version, owner.kind);
    const client::ReconcileError unknown(
        fmt::format("found no controllers for pod \"{}\"", pod.metadata.name));
    if (resource == nullptr) return Err(unknown);
    if (!resource->has_scale) {
      return Err(client::ReconcileError(resource->group_resource().str() +
                                        " does not implement the scale subresource"));
    }
    client::Request request;
    request.verb = "get";
    request.group = group;
    request.version = version;
    request.resource = resource->plural;
    request.namespace_ = pod.metadata.namespace_;
    request.name = owner.name;
    request.subresource = "scale";
    auto answer = context_.client.raw().transport().call(request);
    if (!answer) {
      if (answer.error().is("NotFound")) return Err(unknown);
      return Err(client::ReconcileError(answer.error()));
    }
    auto scale = from_json<autoscalingv1::Scale>(answer->body);
    if (!scale) return Err(client::ReconcileError(scale.error().message));
    if (scale->metadata.uid != owner.uid) return Err(unknown);
    scales[owner.uid] = scale->spec.replicas;
    return Unit{};
  }

  // False = the cache is behind.
  Result<bool, client::ReconcileError> write(const PodDisruptionBudget& budget,
                                             const policyv1::PodDisruptionBudgetStatus& status) {
    if (equal(status, budget.status)) return true;
    PodDisruptionBudget changed = budget;
    changed.status = status;
    auto written = context_.client.update_status(changed);
    if (written || written.error().is("NotFound")) return true;
    if (written.error().is("Conflict")) return false;
    return Err(client::ReconcileError(written.error()));
  }

  client::ReconcileResult reconcile_pod(const std::string& ns, const std::string& name) {
    auto pod = pods_.get(ns, name);
    if (!pod) return client::done();
    const auto in = stale_disruption_in(*pod, context_.env.clock.now());
    if (!in) return client::done();
    if (in->count() > 0) return client::requeue_after(*in);
    Pod changed = *pod;
    for (auto& condition : changed.status.conditions) {
      if (condition.type != "DisruptionTarget") continue;
      condition.status = "False";
      condition.lastTransitionTime = Time(context_.env.clock.now());
    }
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

  client::ControllerContext context_;
  client::Lister<PodDisruptionBudget> budgets_;
  client::Lister<Pod> pods_;
  client::Lister<appsv1::ReplicaSet> sets_;
};

// The budgets that count a pod, before or after the change, and the pod itself when it bears the
// mark of a disruption.
client::Watch watch_pods(client::ControllerContext& context) {
  auto budgets = context.informers.lister<PodDisruptionBudget>();
  return client::mapped<Pod>([budgets](const Pod& pod) {
    std::vector<ObjectKey> keys;
    for (const auto& budget : budgets.list(pod.metadata.namespace_)) {
      if (selector_matches(budget->spec.selector, pod.metadata.labels)) {
        keys.push_back(key_of(*budget));
      }
    }
    if (find_condition(pod, "DisruptionTarget") != nullptr) {
      keys.push_back({pod.metadata.namespace_, std::string(kPodKey) + pod.metadata.name});
    }
    return keys;
  });
}

// A scale that changed concerns every budget that selects pods of its owner's template.
template <class T>
client::Watch watch_scale(client::ControllerContext& context) {
  auto budgets = context.informers.lister<PodDisruptionBudget>();
  return {&resource_of<T>(), [budgets](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            if (!old || !now) return keys;  // its pods tell
            const auto& after = static_cast<const T&>(*now);
            // Adopted by a Deployment, its pods count as that one's.
            const auto owner = [](const Object& object) {
              const auto* controller = controller_of(object);
              return controller ? controller->uid : std::string();
            };
            if (static_cast<const T&>(*old).spec.replicas == after.spec.replicas &&
                owner(*old) == owner(*now)) {
              return keys;
            }
            for (const auto& budget : budgets.list(now->metadata.namespace_)) {
              if (needs_scales(budget->spec)) keys.push_back(key_of(*budget));
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec disruption_controller(client::ControllerContext& context,
                                             const ControllersConfig&) {
  return {.name = "disruption-controller",
          .watches = {client::primary<PodDisruptionBudget>(), watch_pods(context),
                      watch_scale<appsv1::Deployment>(context),
                      watch_scale<appsv1::ReplicaSet>(context),
                      watch_scale<appsv1::StatefulSet>(context),
                      watch_scale<corev1::ReplicationController>(context)},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<DisruptionReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
