// StatefulSet: the decisions, in upstream's order: create what is missing, then let go what is too
// much, then replace what is of an old revision.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orch/base/strings.h"
#include "server/controllers/controller_revisions.h"
#include "server/controllers/pods.h"
#include "server/controllers/stateful_set_pods.h"

namespace orch::server {

using namespace api;
using appsv1::StatefulSet;
using corev1::Pod;
using Kind = StatefulSetStep::Kind;

namespace {

constexpr size_t kBurst = 500;  // steps a round, with parallel pod management

std::string revision_of(const Pod& pod) {
  auto it = pod.metadata.labels.find(kRevisionHashLabel);
  return it == pod.metadata.labels.end() ? "" : it->second;
}
bool is_terminating(const Pod& pod) { return pod.metadata.deletionTimestamp.has_value(); }
bool is_running_and_ready(const Pod& pod) { return pod.status.phase == "Running" && is_ready(pod); }
bool is_healthy(const Pod& pod) { return is_running_and_ready(pod) && !is_terminating(pod); }

int32_t unavailable_max(const appsv1::RollingUpdateStatefulSetStrategy& rolling, int32_t replicas) {
  const auto& value = *rolling.maxUnavailable;
  int64_t out = value.int_value;
  if (value.is_string) {
    const std::string_view text = value.string_value;
    out = parse_int(text.substr(0, text.size() - 1)).value_or(0) * replicas / 100;
  }
  return static_cast<int32_t>(std::max<int64_t>(1, out));
}

class Planner {
 public:
  explicit Planner(const StatefulSetInput& input)
      : in_(input),
        set_(input.set),
        wanted_(std::max(0, set_.spec.replicas.value_or(1))),
        start_(set_.spec.ordinals ? set_.spec.ordinals->start : 0),
        ordered_(set_.spec.podManagementPolicy != "Parallel") {
    for (const auto& pod : input.pods) {
      const auto ordinal = ordinal_of(set_, pod->metadata.name);
      if (!ordinal) continue;
      (in_range(set_, *ordinal) ? living_ : condemned_).emplace(*ordinal, pod);
    }
  }

  StatefulSetPlan run() {
    count();
    if (!set_.metadata.deletionTimestamp) {
      if (bring_up() && let_go() && set_.spec.updateStrategy.type != "OnDelete") replace();
    }
    complete_rolling_update();
    return std::move(plan_);
  }

 private:
  bool is_available(const Pod& pod) const {
    return is_running_and_ready(pod) &&
           server::is_available(pod, Seconds{set_.spec.minReadySeconds}, in_.now);
  }

  void count() {
    auto& status = plan_.status;
    status.observedGeneration = set_.metadata.generation;
    status.currentRevision = in_.current_revision;
    status.updateRevision = in_.update_revision;
    status.collisionCount = in_.collision_count;
    status.conditions = set_.status.conditions;
    for (const auto& pod : in_.pods) {
      ++status.replicas;
      if (is_running_and_ready(*pod)) ++status.readyReplicas;
      if (is_available(*pod)) ++status.availableReplicas;
      const auto in = available_in(*pod, Seconds{set_.spec.minReadySeconds}, in_.now);
      if (in && (!plan_.look_again || *in < *plan_.look_again)) plan_.look_again = in;
      if (is_terminating(*pod)) continue;
      if (revision_of(*pod) == in_.current_revision) ++status.currentReplicas;
      if (revision_of(*pod) == in_.update_revision) ++status.updatedReplicas;
    }
  }

  void complete_rolling_update() {
    auto& status = plan_.status;
    const bool complete = status.updatedReplicas == wanted_ && status.readyReplicas == wanted_ &&
                          status.replicas == wanted_;
    if (set_.spec.updateStrategy.type == "OnDelete" || !complete) return;
    status.currentReplicas = status.updatedReplicas;
    status.currentRevision = status.updateRevision;
  }

  void step(Kind kind, const Pod& pod, std::string note = "") {
    plan_.steps.push_back({kind, pod, {}, std::move(note)});
  }
  void claim_step(Kind kind, const Pod& pod, corev1::PersistentVolumeClaim claim) {
    plan_.steps.push_back({kind, pod, std::move(claim), ""});
  }
  bool is_full() const { return plan_.steps.size() >= kBurst; }

  // ---- every ordinal has its pod ----

  // False: the round ends here.
  bool bring_up() {
    for (int64_t ordinal = start_; ordinal < start_ + wanted_; ++ordinal) {
      auto it = living_.find(ordinal);
      const bool go_on = it == living_.end() ? create(ordinal) : keep(ordinal, *it->second);
      if (!go_on || is_full()) return false;
    }
    return true;
  }

  bool create(int64_t ordinal) {
    const Pod pod = needs_current_revision(ordinal)
                        ? stateful_pod(set_, in_.current_template, in_.current_revision, ordinal)
                        : stateful_pod(set_, set_.spec.template_, in_.update_revision, ordinal);
    for (const auto& wanted : claims_of(set_, ordinal)) {
      const auto claim = in_.find_claim(wanted.metadata.name);
      // It goes with an earlier pod of this name; the one after it is waited for.
      if (claim && is_stale(*claim, pod.metadata.name)) return false;
    }
    if (!make_claims(ordinal, pod)) return false;
    step(Kind::kCreatePod, pod);
    fix_claims(ordinal, pod);
    return !ordered_;
  }

  // Which template a new pod gets: below the partition, and while no partition is known among the
  // first currentReplicas, the one the set came from.
  bool needs_current_revision(int64_t ordinal) const {
    const auto& strategy = set_.spec.updateStrategy;
    if (strategy.type == "OnDelete") return false;
    const int32_t kept = strategy.rollingUpdate ? strategy.rollingUpdate->partition.value_or(0)
                                                : set_.status.currentReplicas;
    return ordinal < start_ + kept;
  }

  // False when a claim is in the way. A claim that is there keeps what it has.
  bool make_claims(int64_t ordinal, const Pod& pod) {
    for (auto& wanted : claims_of(set_, ordinal)) {
      const auto claim = in_.find_claim(wanted.metadata.name);
      if (!claim) {
        fix_claim_owners(set_, pod, ordinal, wanted);
        claim_step(Kind::kCreateClaim, pod, std::move(wanted));
      } else if (claim->metadata.deletionTimestamp) {
        step(Kind::kFail, pod, fmt::format("pvc {} is being deleted", claim->metadata.name));
        return false;
      }
    }
    return true;
  }

  // Claims that are there get the owners the retention policy wants.
  void fix_claims(int64_t ordinal, const Pod& pod) {
    for (const auto& wanted : claims_of(set_, ordinal)) {
      const auto claim = in_.find_claim(wanted.metadata.name);
      if (!claim || claim->metadata.deletionTimestamp) continue;
      auto changed = *claim;
      if (fix_claim_owners(set_, pod, ordinal, changed)) {
        claim_step(Kind::kUpdateClaim, pod, std::move(changed));
      }
    }
  }

  bool keep(int64_t ordinal, const Pod& pod) {
    if (is_terminal(pod)) {  // its name is free once it is gone
      if (!is_terminating(pod)) step(Kind::kDeletePod, pod, pod.status.phase);
      return !ordered_;
    }
    if (pod.status.phase == "Pending" && !is_terminating(pod) && !make_claims(ordinal, pod)) {
      return false;
    }
    if (ordered_ && (is_terminating(pod) || !is_available(pod))) return false;
    fix_claims(ordinal, pod);
    if (!identity_matches(set_, pod) || !storage_matches(set_, pod)) {
      Pod changed = pod;
      set_identity(set_, ordinal, changed);
      if (!storage_matches(set_, pod)) set_storage(set_, ordinal, changed);
      step(Kind::kUpdatePod, changed);
    }
    return true;
  }

  // ---- pods beyond the range go, the highest ordinal first ----

  bool let_go() {
    for (const auto& [ordinal, pod] : condemned_) fix_claims(ordinal, *pod);
    const Pod* first_unhealthy = find_first_unhealthy();
    for (auto it = condemned_.rbegin(); it != condemned_.rend(); ++it) {
      const Pod& pod = *it->second;
      if (is_terminating(pod)) {
        if (ordered_) return false;
        continue;
      }
      if (ordered_ && !is_available(pod) && &pod != first_unhealthy) return false;
      step(Kind::kDeletePod, pod);
      if (ordered_ || is_full()) return false;
    }
    return true;
  }

  // The pod that may go although it is not healthy; nullptr: none, or an ordinal without pod.
  const Pod* find_first_unhealthy() const {
    int64_t next = start_;
    for (const auto& [ordinal, pod] : living_) {
      if (ordinal != next++) return nullptr;
      if (!is_healthy(*pod)) return pod.get();
    }
    if (next != start_ + wanted_) return nullptr;
    for (const auto& [ordinal, pod] : condemned_) {
      if (!is_healthy(*pod)) return pod.get();
    }
    return nullptr;
  }

  // ---- pods of an old revision go, the highest ordinal first ----

  void replace() {
    const auto& rolling = set_.spec.updateStrategy.rollingUpdate;
    const int64_t lowest = start_ + (rolling ? rolling->partition.value_or(0) : 0);
    if (rolling && rolling->maxUnavailable) {
      replace_several(lowest, unavailable_max(*rolling, wanted_));
      return;
    }
    for (int64_t ordinal = start_ + wanted_ - 1; ordinal >= lowest; --ordinal) {
      auto it = living_.find(ordinal);
      if (it == living_.end()) return;
      if (is_outdated(*it->second)) {
        replace_one(*it->second);
        return;
      }
      if (!is_healthy(*it->second)) return;
    }
  }

  // Any unhealthy pod counts as unavailable, whatever its revision.
  void replace_several(int64_t lowest, int32_t unavailable_max) {
    int64_t may_go = unavailable_max - (wanted_ - static_cast<int64_t>(living_.size()));
    for (const auto& [ordinal, pod] : living_) {
      if (!is_healthy(*pod)) --may_go;
    }
    for (auto it = living_.rbegin(); it != living_.rend() && it->first >= lowest; ++it) {
      if (may_go <= 0 || is_full()) return;
      if (!is_outdated(*it->second)) continue;
      replace_one(*it->second);
      --may_go;
    }
  }

  bool is_outdated(const Pod& pod) const {
    return revision_of(pod) != in_.update_revision && !is_terminating(pod);
  }
  void replace_one(const Pod& pod) {
    step(Kind::kDeletePod, pod);
    if (revision_of(pod) == in_.current_revision) --plan_.status.currentReplicas;
  }

  const StatefulSetInput& in_;
  const StatefulSet& set_;
  const int32_t wanted_;
  const int64_t start_;
  const bool ordered_;
  std::map<int64_t, PodPtr> living_, condemned_;  // by ordinal
  StatefulSetPlan plan_;
};

}  // namespace

StatefulSetPlan plan_stateful_set(const StatefulSetInput& input) { return Planner(input).run(); }

}  // namespace orch::server
