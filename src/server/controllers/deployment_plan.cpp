// Deployment: the decisions. Behaviour as upstream's deployment controller (rolling, recreate,
// proportional scaling, progress).
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/base/strings.h"
#include "server/controllers/deployment.h"
#include "server/controllers/deployment_status.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using appsv1::Deployment;
using appsv1::ReplicaSet;

namespace {

constexpr size_t kHistoryBytesMax = 2000;  // of the annotation; the oldest numbers go first

int32_t replicas_of(const ReplicaSet& set) { return set.spec.replicas.value_or(1); }

int64_t revision_of(const Object& object) {
  auto it = object.metadata.annotations.find(kRevision);
  return it == object.metadata.annotations.end() ? 0 : parse_int(it->second).value_or(0);
}

int32_t resolve(const IntOrString& value, int32_t total, bool round_up) {
  if (!value.is_string) return value.int_value;
  const int64_t percent =
      parse_int(std::string_view(value.string_value).substr(0, value.string_value.size() - 1))
          .value_or(0);
  const int64_t scaled = percent * total;
  return static_cast<int32_t>(round_up ? (scaled + 99) / 100 : scaled / 100);
}

int32_t max_replicas(const Deployment& deployment) {
  const int32_t wanted = deployment.spec.replicas.value_or(1);
  if (deployment.spec.strategy.type == "Recreate" || wanted == 0) return wanted;
  return wanted + rolling_limits(deployment).surge;
}

corev1::PodTemplateSpec without_hash(corev1::PodTemplateSpec pod_template) {
  pod_template.metadata.labels.erase(kTemplateHash);
  return pod_template;
}

// Annotations a set takes over from its deployment: all but those that are the controller's own.
bool is_own_annotation(const std::string& key) {
  return key == kRevision || key == kRevisionHistory || key == kDesiredReplicas ||
         key == kMaxReplicas || key == "kubectl.kubernetes.io/last-applied-configuration" ||
         key == "deprecated.deployment.rollback.to";
}

void set_size_annotations(ReplicaSet& set, const Deployment& deployment) {
  set.metadata.annotations[kDesiredReplicas] = std::to_string(deployment.spec.replicas.value_or(1));
  set.metadata.annotations[kMaxReplicas] = std::to_string(max_replicas(deployment));
}

bool size_annotations_current(const ReplicaSet& set, const Deployment& deployment) {
  ReplicaSet wanted = set;
  set_size_annotations(wanted, deployment);
  return wanted.metadata.annotations == set.metadata.annotations;
}

class Planner {
 public:
  explicit Planner(const DeploymentInput& input)
      : in_(input), deployment_(input.deployment), new_set_(find_new_set(deployment_, input.sets)) {
    for (const auto& set : input.sets) {
      if (new_set_ && set->metadata.uid == new_set_->metadata.uid) continue;
      old_.push_back(set);
    }
    std::sort(old_.begin(), old_.end(), [](const ReplicaSetPtr& a, const ReplicaSetPtr& b) {
      const auto key = [](const ReplicaSet& s) {
        return std::make_pair(s.metadata.creationTimestamp.unix_seconds, s.metadata.name);
      };
      return key(*a) < key(*b);
    });
  }

  DeploymentPlan run() {
    if (!deployment_.metadata.deletionTimestamp) {
      ensure_new_set(/*create=*/false);
      if (deployment_.spec.paused || is_scaling_event()) {
        scale_all();
      } else if (deployment_.spec.strategy.type == "Recreate") {
        recreate();
      } else {
        roll();
      }
      if (deployment_.spec.paused || complete()) cleanup();
    }
    plan_.status = deployment_status(in_, new_set_, old_, plan_.create, &plan_.look_again);
    return std::move(plan_);
  }

 private:
  int32_t wanted() const { return deployment_.spec.replicas.value_or(1); }

  std::vector<ReplicaSetPtr> active_old() const {
    std::vector<ReplicaSetPtr> out;
    for (const auto& set : old_) {
      if (replicas_of(*set) > 0) out.push_back(set);
    }
    return out;
  }

  int32_t total(int32_t (*of)(const ReplicaSet&)) const {
    int32_t sum = new_set_ ? of(*new_set_) : 0;
    for (const auto& set : old_) sum += of(*set);
    return sum;
  }
  static int32_t available_of(const ReplicaSet& set) { return set.status.availableReplicas; }

  bool complete() const {
    const auto& status = deployment_.status;
    return status.updatedReplicas == wanted() && status.replicas == wanted() &&
           status.availableReplicas == wanted() &&
           status.observedGeneration >= deployment_.metadata.generation;
  }

  // ---- the new set ----

  std::string next_revision() const {
    int64_t newest = 0;
    for (const auto& set : old_) newest = std::max(newest, revision_of(*set));
    return std::to_string(newest + 1);
  }

  // The existing new set's annotations and settings, kept in step with the deployment; or, with
  // `create`, a new one.
  void ensure_new_set(bool create) {
    const std::string revision = next_revision();
    if (new_set_) {
      ReplicaSet changed = *new_set_;
      adopt_annotations(changed, revision);
      changed.spec.minReadySeconds = deployment_.spec.minReadySeconds;
      if (!equal(changed, *new_set_)) plan_.update.push_back(changed);
      const std::string& kept = changed.metadata.annotations[kRevision];
      if (revision_text() != kept) plan_.revision = kept;
      return;
    }
    if (!create) return;
    ReplicaSet set = make_new_set();
    adopt_annotations(set, revision);
    set.spec.replicas = new_set_replicas(nullptr);
    set_size_annotations(set, deployment_);
    plan_.revision = revision;
    plan_.create = std::move(set);
  }

  std::string revision_text() const {
    auto it = deployment_.metadata.annotations.find(kRevision);
    return it == deployment_.metadata.annotations.end() ? "" : it->second;
  }

  void adopt_annotations(ReplicaSet& set, const std::string& revision) const {
    for (const auto& [key, value] : deployment_.metadata.annotations) {
      if (!is_own_annotation(key)) set.metadata.annotations[key] = value;
    }
    const int64_t before = revision_of(set);
    if (before >= parse_int(revision).value_or(0) && before != 0) return;
    if (before != 0) {
      std::string& history = set.metadata.annotations[kRevisionHistory];
      history += (history.empty() ? "" : ",") + std::to_string(before);
      while (history.size() > kHistoryBytesMax) history.erase(0, history.find(',') + 1);
    }
    set.metadata.annotations[kRevision] = revision;
  }

  ReplicaSet make_new_set() const {
    const std::string hash =
        template_hash(deployment_.spec.template_, deployment_.status.collisionCount);
    ReplicaSet set;
    set.metadata.name = deployment_.metadata.name + "-" + hash;
    set.metadata.namespace_ = deployment_.metadata.namespace_;
    set.metadata.ownerReferences = {make_controller_ref(deployment_)};
    set.spec.minReadySeconds = deployment_.spec.minReadySeconds;
    set.spec.template_ = deployment_.spec.template_;
    set.spec.template_.metadata.labels[kTemplateHash] = hash;
    set.metadata.labels = set.spec.template_.metadata.labels;
    set.spec.selector = deployment_.spec.selector;
    set.spec.selector.ensure().matchLabels[kTemplateHash] = hash;
    return set;
  }

  // How many replicas the new set may have now.
  int32_t new_set_replicas(const ReplicaSet* set) const {
    if (deployment_.spec.strategy.type == "Recreate") return wanted();
    const int32_t current = total(replicas_of);
    const int32_t most = max_replicas(deployment_);
    const int32_t have = set ? replicas_of(*set) : 0;
    if (current >= most) return have;
    return have + std::min(most - current, wanted() - have);
  }

  void scale(const ReplicaSetPtr& set, int32_t replicas) {
    const bool same = replicas_of(*set) == replicas;
    if (same && size_annotations_current(*set, deployment_)) return;
    plan_.scale.push_back({set, replicas, replicas > replicas_of(*set), same});
  }

  // ---- scaling: the deployment's own size changed ----

  bool is_scaling_event() const {
    const auto resized = [this](const ReplicaSetPtr& set) {
      if (replicas_of(*set) == 0) return false;
      auto it = set->metadata.annotations.find(kDesiredReplicas);
      return it != set->metadata.annotations.end() &&
             parse_int(it->second).value_or(wanted()) != wanted();
    };
    return (new_set_ && resized(new_set_)) || std::any_of(old_.begin(), old_.end(), resized);
  }

  void scale_all() {
    std::vector<ReplicaSetPtr> active = active_old();
    if (new_set_ && replicas_of(*new_set_) > 0) active.push_back(new_set_);
    if (active.size() <= 1) {
      const ReplicaSetPtr only = active.empty() ? (new_set_ ? new_set_ : newest_old()) : active[0];
      if (only) scale(only, wanted());
      return;
    }
    // A saturated new set ends the old ones.
    if (new_set_ && new_set_->status.availableReplicas == wanted() &&
        replicas_of(*new_set_) == wanted()) {
      for (const auto& set : active_old()) scale(set, 0);
      return;
    }
    if (deployment_.spec.strategy.type == "RollingUpdate") {
      scale_proportionally(std::move(active));
    } else if (!deployment_.spec.paused) {
      // Upstream stops here for good: old sets that were adopted keep another size's annotation.
      recreate();
    }
  }

  ReplicaSetPtr newest_old() const { return old_.empty() ? nullptr : old_.back(); }

  // Every active set gets its share of what was added or taken away, the largest first, so that
  // a rollout in progress keeps its shape.
  void scale_proportionally(std::vector<ReplicaSetPtr> active) {
    const int32_t current = total(replicas_of);
    const int32_t allowed = wanted() > 0 ? max_replicas(deployment_) : 0;
    const int32_t to_add = allowed - current;
    std::sort(active.begin(), active.end(),
              [to_add](const ReplicaSetPtr& a, const ReplicaSetPtr& b) {
                if (replicas_of(*a) != replicas_of(*b)) return replicas_of(*a) > replicas_of(*b);
                const int64_t x = a->metadata.creationTimestamp.unix_seconds;
                const int64_t y = b->metadata.creationTimestamp.unix_seconds;
                return to_add > 0 ? x > y : x < y;
              });
    int32_t added = 0;
    std::vector<int32_t> sizes;
    for (const auto& set : active) {
      int32_t share = to_add == 0 ? 0 : proportion(*set, to_add, added);
      sizes.push_back(replicas_of(*set) + share);
      added += share;
    }
    sizes[0] = std::max(0, sizes[0] + to_add - added);  // what rounding left over
    for (size_t i = 0; i < active.size(); ++i) scale(active[i], sizes[i]);
  }

  int32_t proportion(const ReplicaSet& set, int32_t to_add, int32_t added) const {
    auto it = set.metadata.annotations.find(kMaxReplicas);
    int64_t before = it == set.metadata.annotations.end() ? 0 : parse_int(it->second).value_or(0);
    if (before <= 0) before = deployment_.status.replicas;
    if (before <= 0) before = 1;
    const double scaled = static_cast<double>(replicas_of(set)) * (wanted() + surge_part()) /
                          static_cast<double>(before);
    const auto fraction =
        static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5) - replicas_of(set);
    const int32_t left = to_add - added;
    return to_add > 0 ? std::min(fraction, left) : std::max(fraction, left);
  }
  int32_t surge_part() const { return max_replicas(deployment_) - wanted(); }

  // ---- rolling update ----

  void roll() {
    if (!new_set_) {
      ensure_new_set(/*create=*/true);
      return;
    }
    if (replicas_of(*new_set_) > wanted()) {
      scale(new_set_, wanted());
    } else {
      scale(new_set_, new_set_replicas(new_set_.get()));
    }
    const bool grew = std::any_of(plan_.scale.begin(), plan_.scale.end(),
                                  [](const ScaleStep& step) { return !step.annotate_only; });
    if (!grew) shrink_old();
  }

  // Old pods go as new ones come: first those that are not available anyway, then as many as
  // maxUnavailable lets go.
  void shrink_old() {
    auto active = active_old();
    if (active.empty()) return;
    const int32_t min_available = wanted() - rolling_limits(deployment_).unavailable;
    const int32_t new_unavailable = replicas_of(*new_set_) - new_set_->status.availableReplicas;
    int32_t may_go = total(replicas_of) - min_available - new_unavailable;
    if (may_go <= 0) return;
    std::map<std::string, int32_t> sizes;
    for (const auto& set : active) {
      const int32_t unavailable = replicas_of(*set) - set->status.availableReplicas;
      const int32_t gone = std::clamp(unavailable, 0, may_go);
      sizes[set->metadata.uid] = replicas_of(*set) - gone;
      may_go -= gone;
    }
    int32_t available_may_go = total(available_of) - min_available;
    for (const auto& set : active) {
      int32_t& size = sizes[set->metadata.uid];
      const int32_t gone = std::clamp(available_may_go, 0, size);
      size -= gone;
      available_may_go -= gone;
      scale(set, size);
    }
  }

  // ---- recreate ----

  void recreate() {
    bool shrinking = false;
    for (const auto& set : active_old()) {
      scale(set, 0);
      shrinking = true;
    }
    if (shrinking) return;
    for (const auto& set : old_) {
      auto it = in_.has_running_pods.find(set->metadata.uid);
      if (it != in_.has_running_pods.end() && it->second) return;
    }
    if (!new_set_) {
      ensure_new_set(/*create=*/true);
    } else {
      scale(new_set_, wanted());
    }
  }

  void cleanup() {
    // Sets that are going already count neither as kept nor as excess.
    std::vector<ReplicaSetPtr> kept;
    for (const auto& set : old_) {
      if (!set->metadata.deletionTimestamp) kept.push_back(set);
    }
    std::sort(kept.begin(), kept.end(), [](const ReplicaSetPtr& a, const ReplicaSetPtr& b) {
      return std::make_pair(revision_of(*a), a->metadata.name) <
             std::make_pair(revision_of(*b), b->metadata.name);
    });
    const auto limit = static_cast<size_t>(deployment_.spec.revisionHistoryLimit.value_or(10));
    if (kept.size() <= limit) return;
    kept.resize(kept.size() - limit);
    for (const auto& set : kept) {
      const bool empty = replicas_of(*set) == 0 && set->status.replicas == 0 &&
                         set->metadata.generation <= set->status.observedGeneration;
      if (empty) plan_.cleanup.push_back(set);
    }
  }

  const DeploymentInput& in_;
  const Deployment& deployment_;
  ReplicaSetPtr new_set_;
  std::vector<ReplicaSetPtr> old_;  // oldest first
  DeploymentPlan plan_;
};

}  // namespace

RollingLimits rolling_limits(const Deployment& deployment) {
  RollingLimits limits;
  if (deployment.spec.strategy.type == "Recreate" || !deployment.spec.strategy.rollingUpdate) {
    return limits;
  }
  const auto& rolling = *deployment.spec.strategy.rollingUpdate;
  const int32_t wanted = deployment.spec.replicas.value_or(1);
  limits.surge = resolve(rolling.maxSurge.value_or(IntOrString(0)), wanted, true);
  limits.unavailable = resolve(rolling.maxUnavailable.value_or(IntOrString(0)), wanted, false);
  // Both can round to 0; then one at a time goes.
  if (limits.surge == 0 && limits.unavailable == 0) limits.unavailable = 1;
  limits.unavailable = std::min(limits.unavailable, wanted);
  return limits;
}

std::string template_hash(const corev1::PodTemplateSpec& pod_template,
                          const std::optional<int32_t>& collision_count) {
  std::string text = to_json(pod_template);
  if (collision_count) text += std::to_string(*collision_count);
  return safe_encode(std::to_string(fnv1a32(text)));
}

ReplicaSetPtr find_new_set(const Deployment& deployment, const std::vector<ReplicaSetPtr>& sets) {
  const auto wanted = without_hash(deployment.spec.template_);
  ReplicaSetPtr found;
  for (const auto& set : sets) {
    if (!equal(without_hash(set->spec.template_), wanted)) continue;
    if (!found || set->metadata.creationTimestamp.unix_seconds <
                      found->metadata.creationTimestamp.unix_seconds) {
      found = set;
    }
  }
  return found;
}

DeploymentPlan plan_deployment(const DeploymentInput& input) { return Planner(input).run(); }

}  // namespace orch::server
