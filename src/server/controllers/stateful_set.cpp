// StatefulSet: the shell. Reads caches, runs the plan, writes.
#include "server/controllers/stateful_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/controllers/controller_revisions.h"
#include "server/controllers/pod_control.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using appsv1::StatefulSet;
using corev1::PersistentVolumeClaim;
using corev1::Pod;
using Outcome = Result<Unit, client::ReconcileError>;
using Kind = StatefulSetStep::Kind;

constexpr const char* kHashLabel = "controller.kubernetes.io/hash";

class StatefulSetReconciler final : public client::Reconciler {
 public:
  explicit StatefulSetReconciler(client::ControllerContext& context)
      : context_(context),
        control_(context, nullptr),
        history_(context, kHashLabel),
        sets_(context.informers.lister<StatefulSet>()),
        pods_(context.informers.lister<Pod>()),
        claims_(context.informers.lister<PersistentVolumeClaim>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto set = sets_.get(key.namespace_, key.name);
    if (!set) return client::done();
    ORCH_TRY(const auto selector, workload_selector(set->spec.selector));
    ORCH_TRY(auto pods,
             control_.claim(*set, selector, pods_to_claim(pods_, *set), [&](const Pod& pod) {
               return ordinal_of(*set, pod.metadata.name).has_value();
             }));
    ORCH_TRY(const auto revisions, history_.claim(*set, selector));
    if (set->metadata.deletionTimestamp && revisions.empty()) return client::done();
    int32_t collisions = set->status.collisionCount.value_or(0);
    ORCH_TRY(const auto update, history_.resolve(*set, set->spec.template_, revisions, collisions));
    RevisionPtr current = update;
    for (const auto& revision : revisions) {
      if (revision->metadata.name == set->status.currentRevision) current = revision;
    }
    auto current_template = template_of(*current);
    if (!current_template) return Err(client::ReconcileError(current_template.error(), true));

    const StatefulSetInput input{
        *set,
        std::move(pods),
        [&](const std::string& name) { return claims_.get(key.namespace_, name); },
        current->metadata.name,
        update->metadata.name,
        std::move(*current_template),
        collisions,
        context_.env.clock.now()};
    const StatefulSetPlan plan = plan_stateful_set(input);
    const Outcome done = run(*set, plan);
    ORCH_CHECK(write_status(*set, plan.status));
    ORCH_CHECK(done);
    ORCH_CHECK(trim(*set, input, revisions));
    return plan.look_again ? client::requeue_after(*plan.look_again) : client::done();
  }

 private:
  Outcome run(const StatefulSet& set, const StatefulSetPlan& plan) {
    for (const auto& step : plan.steps) {
      switch (step.kind) {
        case Kind::kCreateClaim:
          ORCH_CHECK(create_claim(set, step));
          break;
        case Kind::kUpdateClaim:
          ORCH_CHECK(update_claim(step));
          break;
        case Kind::kCreatePod:
          ORCH_CHECK(create_pod(set, step.pod));
          break;
        case Kind::kUpdatePod:
          ORCH_CHECK(report(set, "update", step.pod, context_.client.update(step.pod)));
          break;
        case Kind::kDeletePod:
          ORCH_CHECK(delete_pod(set, step));
          break;
        case Kind::kFail:
          return report(set, "create", step.pod, ApiResult<Unit>(Err(internal_error(step.note))),
                        step.note);
      }
    }
    return Unit{};
  }

  // Upstream's event about a pod, success or not.
  template <class T>
  Outcome report(const StatefulSet& set, const std::string& verb, const Pod& pod,
                 const ApiResult<T>& result, const std::string& why = "") {
    return report(set, verb, pod, result ? nullptr : &result.error(), why);
  }
  Outcome report(const StatefulSet& set, const std::string& verb, const Pod& pod,
                 const Error* error, const std::string& why) {
    const std::string what = static_cast<char>(verb[0] - 'a' + 'A') + verb.substr(1);
    const std::string text =
        fmt::format("{} Pod {} in StatefulSet {}", verb, pod.metadata.name, set.metadata.name);
    if (error == nullptr) {
      context_.events.record(client::subject_of(set), "Normal", "Successful" + what,
                             text + " successful");
      return Unit{};
    }
    const std::string& message = why.empty() ? error->message : why;
    context_.events.record(client::subject_of(set), "Warning", "Failed" + what,
                           fmt::format("{} failed error: {}", text, message));
    return Err(client::ReconcileError(message));
  }

  Outcome create_claim(const StatefulSet& set, const StatefulSetStep& step) {
    auto created = context_.client.create(step.claim);
    // Made a moment ago and not in the cache yet.
    if (!created && created.error().is("AlreadyExists")) return Unit{};
    const auto subject = client::subject_of(set);
    const auto& [claim, pod] = std::tie(step.claim.metadata.name, step.pod.metadata.name);
    if (created) {
      context_.events.record(subject, "Normal", "SuccessfulCreate",
                             fmt::format("create Claim {} Pod {} in StatefulSet {} success", claim,
                                         pod, set.metadata.name));
      return Unit{};
    }
    if (is_namespace_terminating(created.error())) return Err(created.error());
    context_.events.record(
        subject, "Warning", "FailedCreate",
        fmt::format("create Claim {} for Pod {} in StatefulSet {} failed error: {}", claim, pod,
                    set.metadata.name, created.error().message));
    const std::string why =
        fmt::format("failed to create PVC {}: {}", claim, created.error().message);
    return report(set, "create", step.pod, &created.error(), why);
  }

  Outcome update_claim(const StatefulSetStep& step) {
    auto updated = context_.client.update(step.claim);
    if (updated || updated.error().is("NotFound")) return Unit{};
    return Err(client::ReconcileError(updated.error()));
  }

  Outcome create_pod(const StatefulSet& set, const Pod& pod) {
    auto created = context_.client.create(pod);
    // The cache lags, or somebody else's pod has the name: nothing to report, to be tried again.
    if (!created &&
        (created.error().is("AlreadyExists") || is_namespace_terminating(created.error()))) {
      return Err(client::ReconcileError(created.error()));
    }
    return report(set, "create", pod, created);
  }

  Outcome delete_pod(const StatefulSet& set, const StatefulSetStep& step) {
    const auto& meta = step.pod.metadata;
    if (!step.note.empty()) {
      const bool failed = step.note == "Failed";
      context_.events.record(
          client::subject_of(set), failed ? "Warning" : "Normal",
          failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
          fmt::format("StatefulSet {}/{} is recreating {} Pod {}", meta.namespace_,
                      set.metadata.name, failed ? "failed" : "terminated", meta.name));
    }
    client::DeleteOptions options;
    options.uid = meta.uid;
    auto removed = context_.client.remove<Pod>(meta.namespace_, meta.name, options);
    if (!removed && (removed.error().is("NotFound") || removed.error().is("Conflict"))) {
      return Unit{};
    }
    return report(set, "delete", step.pod, removed);
  }

  Outcome write_status(const StatefulSet& set, const appsv1::StatefulSetStatus& status) {
    if (equal(status, set.status)) return Unit{};
    StatefulSet changed = set;
    changed.status = status;
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return Unit{};
  }

  // Revisions that nothing bears any more go, but for the last few.
  Outcome trim(const StatefulSet& set, const StatefulSetInput& input,
               const std::vector<RevisionPtr>& revisions) {
    if (set.metadata.deletionTimestamp) return Unit{};
    std::set<std::string> live = {input.current_revision, input.update_revision};
    for (const auto& pod : input.pods) {
      auto it = pod->metadata.labels.find(kRevisionHashLabel);
      if (it != pod->metadata.labels.end()) live.insert(it->second);
    }
    return history_.remove(
        plan_history(revisions, live, set.spec.revisionHistoryLimit.value_or(10)));
  }

  client::ControllerContext context_;
  PodControl control_;
  RevisionHistory history_;
  client::Lister<StatefulSet> sets_;
  client::Lister<Pod> pods_;
  client::Lister<PersistentVolumeClaim> claims_;
};

// Claims are waited for until they are gone; their names tell whose they are.
client::Watch watch_claims(client::ControllerContext& context) {
  auto sets = context.informers.lister<StatefulSet>();
  return client::mapped<PersistentVolumeClaim>([sets](const PersistentVolumeClaim& claim) {
    std::vector<ObjectKey> keys;
    for (const auto& set : sets.list(claim.metadata.namespace_)) {
      for (const auto& wanted : set->spec.volumeClaimTemplates) {
        const std::string prefix = wanted.metadata.name + "-" + set->metadata.name + "-";
        if (claim.metadata.name.starts_with(prefix)) keys.push_back(key_of(*set));
      }
    }
    return keys;
  });
}

}  // namespace

client::ControllerSpec stateful_set_controller(client::ControllerContext& context,
                                               const ControllersConfig&) {
  return {.name = "statefulset-controller",
          .watches = {client::primary<StatefulSet>(),
                      client::owned<appsv1::ControllerRevision, StatefulSet>(),
                      watch_owned_pods(context, resource_of<StatefulSet>(), nullptr,
                                       [](const Object& owner, const Object& pod) {
                                         const auto& set = static_cast<const StatefulSet&>(owner);
                                         return ordinal_of(set, pod.metadata.name) &&
                                                selector_matches(set.spec.selector,
                                                                 pod.metadata.labels);
                                       }),
                      watch_claims(context)},
          .strands = 2,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<StatefulSetReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
