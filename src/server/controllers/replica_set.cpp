// ReplicaSet: as many pods as asked for.
#include "server/controllers/replica_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "orch/api/selector.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {

using namespace api;
using appsv1::ReplicaSet;
using corev1::Pod;

namespace {

constexpr int kBurst = 500;

int64_t deletion_cost(const Pod& pod) {
  auto it = pod.metadata.annotations.find("controller.kubernetes.io/pod-deletion-cost");
  return it == pod.metadata.annotations.end() ? 0 : parse_int(it->second).value_or(0);
}

int phase_rank(const Pod& pod) {
  if (pod.status.phase == "Pending") return 0;
  return pod.status.phase == "Running" ? 2 : 1;
}

int64_t restarts(const Pod& pod) {
  int64_t most = 0;
  for (const auto& status : pod.status.containerStatuses) {
    most = std::max<int64_t>(most, status.restartCount);
  }
  return most;
}

// Smaller is deleted earlier (upstream's ActivePodsWithRanks). Times are ranked by magnitude, so
// that pods of about the same age are told apart by their restarts.
auto deletion_rank(const Pod& pod, const std::map<std::string, int>& on_node, WallTime now) {
  const auto* ready = find_condition(pod, "Ready");
  const bool is_pod_ready = ready != nullptr && ready->status == "True";
  const auto node = on_node.find(pod.spec.nodeName);
  const int crowd = pod.spec.nodeName.empty() || node == on_node.end() ? 0 : node->second;
  const auto age_rank = [now](const Time& since) {
    const int64_t seconds = std::max<int64_t>(0, (now - since.wall()) / Seconds{1});
    int magnitude = 0;
    for (int64_t s = seconds; s > 0; s >>= 1) ++magnitude;
    return magnitude;
  };
  return std::make_tuple(pod.spec.nodeName.empty() ? 0 : 1, phase_rank(pod), is_pod_ready ? 1 : 0,
                         deletion_cost(pod), -crowd,
                         is_pod_ready ? age_rank(ready->lastTransitionTime) : 0, -restarts(pod),
                         age_rank(pod.metadata.creationTimestamp), pod.metadata.name);
}

const appsv1::ReplicaSetCondition* find_failure(const appsv1::ReplicaSetStatus& status) {
  for (const auto& condition : status.conditions) {
    if (condition.type == "ReplicaFailure") return &condition;
  }
  return nullptr;
}

}  // namespace

ReplicaSetPlan plan_replicas(const ReplicaSet& set, const std::vector<PodPtr>& active,
                             const std::vector<PodPtr>& related, WallTime now) {
  ReplicaSetPlan plan;
  const int wanted = set.spec.replicas.value_or(1);
  const int have = static_cast<int>(active.size());
  if (have < wanted) {
    plan.creates = std::min(wanted - have, kBurst);
  } else if (have > wanted) {
    std::map<std::string, int> on_node;
    for (const auto& pod : related) ++on_node[pod->spec.nodeName];
    plan.deletes = active;
    std::sort(plan.deletes.begin(), plan.deletes.end(), [&](const PodPtr& a, const PodPtr& b) {
      return deletion_rank(*a, on_node, now) < deletion_rank(*b, on_node, now);
    });
    plan.deletes.resize(static_cast<size_t>(std::min(have - wanted, kBurst)));
  }
  return plan;
}

appsv1::ReplicaSetStatus plan_status(const ReplicaSet& set, const std::vector<PodPtr>& active,
                                     const ReplicaFailure& failure, WallTime now) {
  appsv1::ReplicaSetStatus status;
  const Seconds min_ready{set.spec.minReadySeconds};
  const LabelSelector full = LabelSelector::of(set.spec.template_.metadata.labels);
  for (const auto& pod : active) {
    ++status.replicas;
    if (full.matches(pod->metadata.labels)) ++status.fullyLabeledReplicas;
    if (is_ready(*pod)) ++status.readyReplicas;
    if (is_available(*pod, min_ready, now)) ++status.availableReplicas;
  }
  status.observedGeneration = set.metadata.generation;
  for (const auto& condition : set.status.conditions) {
    if (condition.type != "ReplicaFailure") status.conditions.push_back(condition);
  }
  if (!failure.reason.empty()) {
    // One that stands already is kept as it is: texts that vary would be written for ever.
    if (const auto* before = find_failure(set.status)) {
      status.conditions.push_back(*before);
      return status;
    }
    appsv1::ReplicaSetCondition condition;
    condition.type = "ReplicaFailure";
    condition.status = "True";
    condition.reason = failure.reason;
    condition.message = failure.message;
    condition.lastTransitionTime = Time(now);
    status.conditions.push_back(std::move(condition));
  }
  return status;
}

namespace {

class ReplicaSetReconciler final : public client::Reconciler {
 public:
  ReplicaSetReconciler(client::ControllerContext& context,
                       std::shared_ptr<client::Expectations> expectations)
      : context_(context),
        expectations_(std::move(expectations)),
        sets_(context.informers.lister<ReplicaSet>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto set = sets_.get(key.namespace_, key.name);
    if (!set) {
      expectations_->forget(key.str());
      return client::done();
    }
    auto selector = set->spec.selector
                        ? LabelSelector::from(*set->spec.selector)
                        : Result<LabelSelector, std::string>(LabelSelector::nothing());
    if (!selector) return Err(client::ReconcileError("spec.selector: " + selector.error(), true));
    ORCH_TRY(const auto active, claim(*set, *selector));
    ReplicaFailure failure;
    if (!set->metadata.deletionTimestamp && expectations_->satisfied(key.str())) {
      failure = act(*set, active, key.str());
    }
    ORCH_CHECK(write_status(*set, active, failure));
    if (!failure.reason.empty()) return Err(client::ReconcileError(failure.message));
    return when_next(*set, active);
  }

 private:
  // The set's active pods, after adopting orphans that match and releasing pods that no longer do.
  Result<std::vector<PodPtr>, client::ReconcileError> claim(const ReplicaSet& set,
                                                            const LabelSelector& selector) {
    std::vector<PodPtr> claimed;
    for (const auto& pod : pods_.list(set.metadata.namespace_)) {
      if (!is_active(*pod)) continue;
      const auto* controller = controller_of(*pod);
      const bool matches = selector.matches(pod->metadata.labels);
      if (controller != nullptr) {
        if (controller->uid != set.metadata.uid) continue;
        if (matches) {
          claimed.push_back(pod);
        } else if (!set.metadata.deletionTimestamp) {
          ORCH_CHECK(patch(*pod, release_patch(*pod, set)));
        }
      } else if (matches && !set.metadata.deletionTimestamp) {
        ORCH_CHECK(patch(*pod, adopt_patch(*pod, set)));
        claimed.push_back(pod);
      }
    }
    return claimed;
  }

  Result<Unit, client::ReconcileError> patch(const Pod& pod, std::string body) {
    auto patched = context_.client.patch<Pod>(pod.metadata.namespace_, pod.metadata.name,
                                              PatchType::kMerge, std::move(body));
    if (!patched && !patched.error().is("NotFound")) return Err(patched.error());
    return Unit{};
  }

  ReplicaFailure act(const ReplicaSet& set, const std::vector<PodPtr>& active,
                     const std::string& key) {
    const WallTime now = context_.env.clock.now();
    const auto plan = plan_replicas(set, active, related(set, active), now);
    if (plan.creates > 0) return create(set, plan.creates, key);
    if (!plan.deletes.empty()) return remove(set, plan.deletes, key);
    return {};
  }

  // Active pods of all sets of the same controller: a Deployment's old and new sets share nodes.
  std::vector<PodPtr> related(const ReplicaSet& set, const std::vector<PodPtr>& active) {
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

  // In doubling batches: what fails for one pod (a quota, a refusing admission) fails for all, and
  // is then asked once or twice instead of hundreds of times.
  ReplicaFailure create(const ReplicaSet& set, int count, const std::string& key) {
    expectations_->expect_creations(key, count);
    const Pod pod = pod_from_template(set.spec.template_, set);
    const auto subject = client::subject_of(set);
    int made = 0;
    for (int batch = 1; made < count; batch = std::min(2 * batch, count - made)) {
      ReplicaFailure failure;
      int failed = 0;
      for (int i = 0; i < batch; ++i) {
        auto created = context_.client.create(pod);
        if (created) {
          context_.events.record(subject, "Normal", "SuccessfulCreate",
                                 "Created pod: " + created->metadata.name);
          continue;
        }
        ++failed;
        expectations_->creation_observed(key);  // it will never be seen
        failure = {"FailedCreate", created.error().message};
        if (created.error().is("NamespaceTerminating") || terminating(created.error())) return {};
        context_.events.record(subject, "Warning", "FailedCreate",
                               "Error creating: " + created.error().message);
      }
      made += batch;
      if (failed > 0) {
        for (int i = made; i < count; ++i) expectations_->creation_observed(key);
        return failure;
      }
    }
    return {};
  }

  static bool terminating(const Error& error) {
    return std::any_of(error.causes.begin(), error.causes.end(),
                       [](const Cause& cause) { return cause.type == "NamespaceTerminating"; });
  }

  ReplicaFailure remove(const ReplicaSet& set, const std::vector<PodPtr>& victims,
                        const std::string& key) {
    std::vector<std::string> uids;
    for (const auto& pod : victims) uids.push_back(pod->metadata.uid);
    expectations_->expect_deletions(key, uids);
    const auto subject = client::subject_of(set);
    ReplicaFailure failure;
    for (const auto& pod : victims) {
      client::DeleteOptions options;
      options.uid = pod->metadata.uid;
      auto removed =
          context_.client.remove<Pod>(pod->metadata.namespace_, pod->metadata.name, options);
      if (removed) {
        context_.events.record(subject, "Normal", "SuccessfulDelete",
                               "Deleted pod: " + pod->metadata.name);
        continue;
      }
      expectations_->deletion_observed(key, pod->metadata.uid);
      if (removed.error().is("NotFound")) continue;
      failure = {"FailedDelete", removed.error().message};
      context_.events.record(subject, "Warning", "FailedDelete",
                             "Error deleting: " + removed.error().message);
    }
    return failure;
  }

  Result<Unit, client::ReconcileError> write_status(const ReplicaSet& set,
                                                    const std::vector<PodPtr>& active,
                                                    const ReplicaFailure& failure) {
    auto status = plan_status(set, active, failure, context_.env.clock.now());
    if (equal(status, set.status)) return Unit{};
    ReplicaSet changed = set;
    changed.status = std::move(status);
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return Unit{};
  }

  // A pod that is ready but not long enough becomes available without any event.
  client::ReconcileResult when_next(const ReplicaSet& set, const std::vector<PodPtr>& active) {
    std::optional<Micros> soonest;
    for (const auto& pod : active) {
      auto in = available_in(*pod, Seconds{set.spec.minReadySeconds}, context_.env.clock.now());
      if (in && (!soonest || *in < *soonest)) soonest = in;
    }
    return soonest ? client::requeue_after(*soonest) : client::done();
  }

  client::ControllerContext context_;
  std::shared_ptr<client::Expectations> expectations_;
  client::Lister<ReplicaSet> sets_;
  client::Lister<Pod> pods_;
};

// Pods tell their set what became of what it expected.
client::Watch watch_pods(client::ControllerContext& context,
                         std::shared_ptr<client::Expectations> expectations) {
  auto sets = context.informers.lister<ReplicaSet>();
  const auto owner_key = [](const Object& pod) -> std::optional<ObjectKey> {
    const auto* owner = controller_of(pod);
    if (owner == nullptr || owner->kind != "ReplicaSet") return std::nullopt;
    return ObjectKey{pod.metadata.namespace_, owner->name};
  };
  return {&resource_of<Pod>(), [=](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            const auto before = old ? owner_key(*old) : std::nullopt;
            const auto after = now ? owner_key(*now) : std::nullopt;
            if (after && !old) expectations->creation_observed(after->str());
            if (before &&
                (!now || (now->metadata.deletionTimestamp && !old->metadata.deletionTimestamp))) {
              expectations->deletion_observed(before->str(), old->metadata.uid);
            }
            if (before) keys.push_back(*before);
            if (after) keys.push_back(*after);
            if (now && !after) {  // an orphan: whoever selects it may want it
              for (const auto& set : sets.list(now->metadata.namespace_)) {
                auto selector = set->spec.selector ? LabelSelector::from(*set->spec.selector)
                                                   : LabelSelector::nothing();
                if (selector && selector->matches(now->metadata.labels)) {
                  keys.push_back(key_of(*set));
                }
              }
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec replica_set_controller(client::ControllerContext& context,
                                              const ControllersConfig&) {
  auto expectations = std::make_shared<client::Expectations>(context.env.clock);
  return {
      .name = "replicaset-controller",
      .watches = {client::primary<ReplicaSet>(), watch_pods(context, expectations)},
      .strands = 2,
      .make = [expectations](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<ReplicaSetReconciler>(c, expectations);
      },
      .initial_keys = {}};
}

}  // namespace orch::server
