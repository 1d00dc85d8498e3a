// DaemonSet: the decisions, as upstream's: first every node gets its one pod, then, if nothing was
// to do, old pods are replaced.
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/controllers/controller_revisions.h"
#include "server/controllers/daemon_set.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using appsv1::DaemonSet;
using corev1::Pod;

namespace {

constexpr size_t kBurst = 250;
constexpr Micros kBackoffFirst = Seconds{1};
constexpr Micros kBackoffMax = Seconds{15 * 60};

// A percentage of the wanted pods is rounded up.
int32_t resolve(const std::optional<IntOrString>& value, int32_t wanted, int32_t otherwise) {
  if (!value) return otherwise;
  if (!value->is_string) return value->int_value;
  const std::string_view text = value->string_value;
  const int64_t percent = parse_int(text.substr(0, text.size() - 1)).value_or(0);
  return static_cast<int32_t>((percent * wanted + 99) / 100);
}

bool is_going(const Pod& pod) { return pod.metadata.deletionTimestamp.has_value(); }

class Planner {
 public:
  explicit Planner(const DaemonSetInput& input) : in_(input), set_(input.set) {
    Pod pod;
    pod.spec = set_.spec.template_.spec;
    add_daemon_tolerations(pod.spec);
    for (const auto& node : in_.nodes) places_[node->metadata.name] = place_of(pod, *node);
    for (const auto& held : in_.pods) {
      if (is_terminal(*held) && is_going(*held)) continue;  // only its record is left
      pods_[target_node(*held)].push_back(held);
    }
    for (auto& [node, pods] : pods_) sort_oldest_first(pods);
    for (const auto& [node, place] : places_) wanted_ += place.should_run ? 1 : 0;
    if (const auto& rolling = set_.spec.updateStrategy.rollingUpdate) {
      surge_ = resolve(rolling->maxSurge, wanted_, 0);
      unavailable_ = resolve(rolling->maxUnavailable, wanted_, 1);
      surges_ = surge_ > 0;
    }
    if (surge_ == 0 && unavailable_ == 0) unavailable_ = 1;
  }

  DaemonSetPlan run() {
    if (!set_.metadata.deletionTimestamp) {
      for (const auto& [node, place] : places_) manage(node, place);
      drop_unplaceable();
      if (plan_.creates.empty() && plan_.deletes.empty() &&
          set_.spec.updateStrategy.type == "RollingUpdate") {
        surges_ ? roll_with_surge() : roll();
      }
      if (plan_.creates.size() > kBurst) plan_.creates.resize(kBurst);
      if (plan_.deletes.size() > kBurst) plan_.deletes.resize(kBurst);
    }
    count();
    return std::move(plan_);
  }

 private:
  // Pods that are on their node come before pods that are not yet.
  static void sort_oldest_first(std::vector<PodPtr>& pods) {
    std::sort(pods.begin(), pods.end(), [](const PodPtr& a, const PodPtr& b) {
      const auto key = [](const Pod& p) {
        return std::make_tuple(p.spec.nodeName.empty(), p.metadata.creationTimestamp.unix_seconds,
                               p.metadata.name);
      };
      return key(*a) < key(*b);
    });
  }

  const std::vector<PodPtr>& pods_on(const std::string& node) const {
    static const std::vector<PodPtr> kNone;
    auto it = pods_.find(node);
    return it == pods_.end() ? kNone : it->second;
  }
  bool is_updated(const Pod& pod) const {
    auto it = pod.metadata.labels.find(kRevisionHashLabel);
    return it != pod.metadata.labels.end() && it->second == in_.hash;
  }
  bool available(const Pod& pod) const {
    return is_available(pod, Seconds{set_.spec.minReadySeconds}, in_.now);
  }

  // ---- one pod a node ----

  void manage(const std::string& node, const DaemonPlace& place) {
    const auto& pods = pods_on(node);
    if (pods.empty()) {
      if (place.should_run) plan_.creates.push_back(node);
      return;
    }
    if (!place.may_stay) {
      for (const auto& pod : pods) {
        if (!is_going(*pod)) plan_.deletes.push_back(pod);
      }
      return;
    }
    std::vector<PodPtr> running;
    for (const auto& pod : pods) {
      if (is_going(*pod)) continue;
      if (is_terminal(*pod)) {
        bury(node, pod);
      } else {
        running.push_back(pod);
      }
    }
    if (surges_) {
      manage_surge(node, place, running);
    } else if (running.size() > 1) {
      plan_.deletes.insert(plan_.deletes.end(), running.begin() + 1, running.end());
    }
  }

  // Finished pods make room for the next; failed ones with a growing delay, for a node that
  // refuses the pod would refuse the next one too.
  void bury(const std::string& node, const PodPtr& pod) {
    const std::string what = fmt::format("daemon pod {}/{} on node {}", pod->metadata.namespace_,
                                         pod->metadata.name, node);
    if (pod->status.phase == "Succeeded") {
      plan_.notes.push_back(
          {"Normal", "SucceededDaemonPod", "Found succeeded " + what + ", will try to delete it"});
      plan_.deletes.push_back(pod);
      return;
    }
    FailedPodBackoff next{kBackoffFirst, in_.now};
    auto it = in_.backoff.find(node);
    if (it != in_.backoff.end() && in_.now - it->second.since <= 2 * kBackoffMax) {
      const Micros left = it->second.since + it->second.delay - in_.now;
      if (left.count() > 0) {
        look_again(left);
        return;
      }
      next.delay = std::min(2 * it->second.delay, kBackoffMax);
    }
    plan_.backoff[node] = next;
    plan_.notes.push_back(
        {"Warning", "FailedDaemonPod", "Found failed " + what + ", will try to kill it"});
    plan_.deletes.push_back(pod);
  }

  // An old and a new pod may stand side by side until the new one is available or the old one is
  // not ready.
  void manage_surge(const std::string& node, const DaemonPlace& place,
                    const std::vector<PodPtr>& running) {
    if (running.empty() && place.should_run) plan_.creates.push_back(node);
    if (running.size() <= 1) return;
    PodPtr newer, older;
    for (const auto& pod : running) {
      PodPtr& slot = is_updated(*pod) ? newer : older;
      if (slot) {
        plan_.deletes.push_back(pod);
      } else {
        slot = pod;
      }
    }
    if (newer && older && (!is_ready(*older) || available(*newer))) plan_.deletes.push_back(older);
  }

  // Pods that wait for a node that is gone, or for none at all.
  void drop_unplaceable() {
    for (const auto& [node, pods] : pods_) {
      if (places_.count(node) > 0) continue;
      for (const auto& pod : pods) {
        if (pod->spec.nodeName.empty() && !is_going(*pod)) plan_.deletes.push_back(pod);
      }
    }
  }

  // ---- rolling update ----

  struct OnNode {
    PodPtr newer, older;
    bool clear = true;  // at most one of each
  };
  OnNode look_at(const std::string& node) const {
    OnNode out;
    for (const auto& pod : pods_on(node)) {
      if (is_going(*pod)) continue;
      PodPtr& slot = is_updated(*pod) ? out.newer : out.older;
      if (slot) out.clear = false;
      slot = pod;
    }
    return out;
  }
  std::vector<std::string> nodes_in_play() const {
    std::vector<std::string> out;
    for (const auto& [node, place] : places_) {
      if (place.should_run || pods_.count(node) > 0) out.push_back(node);
    }
    return out;
  }

  void roll() {
    int32_t unavailable = 0;
    std::vector<PodPtr> candidates;
    for (const auto& node : nodes_in_play()) {
      const OnNode at = look_at(node);
      if (!at.clear || (at.newer == nullptr) == (at.older == nullptr)) {
        ++unavailable;  // between two pods
      } else if (at.newer) {
        if (!available(*at.newer)) ++unavailable;
      } else if (!available(*at.older)) {
        plan_.deletes.push_back(at.older);  // nothing is lost by it
      } else {
        candidates.push_back(at.older);
      }
    }
    take(candidates, unavailable_ - unavailable, plan_.deletes);
  }

  void roll_with_surge() {
    int32_t surged = 0;
    std::vector<std::string> candidates;
    for (const auto& node : nodes_in_play()) {
      const OnNode at = look_at(node);
      if (!at.clear) {
        ++surged;
      } else if (!at.older) {
        continue;
      } else if (!at.newer) {
        if (!places_.at(node).should_run) continue;  // no second pod where none may come
        if (available(*at.older)) {
          candidates.push_back(node);
        } else {
          plan_.creates.push_back(node);
        }
      } else if (available(*at.newer)) {
        plan_.deletes.push_back(at.older);
      } else {
        ++surged;
      }
    }
    take(candidates, surge_ - surged, plan_.creates);
  }

  template <class T>
  static void take(const std::vector<T>& from, int32_t count, std::vector<T>& to) {
    const auto taken = std::min<size_t>(from.size(), static_cast<size_t>(std::max(0, count)));
    to.insert(to.end(), from.begin(), from.begin() + static_cast<ptrdiff_t>(taken));
  }

  // ---- status ----

  void count() {
    auto& status = plan_.status;
    status.observedGeneration = set_.metadata.generation;
    status.collisionCount = set_.status.collisionCount;
    status.conditions = set_.status.conditions;
    for (const auto& [node, place] : places_) {
      const auto& pods = pods_on(node);
      if (!place.should_run) {
        if (!pods.empty()) ++status.numberMisscheduled;
        continue;
      }
      ++status.desiredNumberScheduled;
      if (pods.empty()) continue;
      ++status.currentNumberScheduled;
      const Pod& pod = *pods.front();
      if (is_ready(pod)) ++status.numberReady;
      if (available(pod)) ++status.numberAvailable;
      if (is_updated(pod)) ++status.updatedNumberScheduled;
      for (const auto& any : pods) {
        const auto in = available_in(*any, Seconds{set_.spec.minReadySeconds}, in_.now);
        if (in) look_again(*in);
      }
    }
    status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable;
  }

  void look_again(Micros in) {
    if (!plan_.look_again || in < *plan_.look_again) plan_.look_again = in;
  }

  const DaemonSetInput& in_;
  const DaemonSet& set_;
  std::map<std::string, DaemonPlace> places_;        // by node
  std::map<std::string, std::vector<PodPtr>> pods_;  // by the node they are on or meant for
  int32_t wanted_ = 0, surge_ = 0, unavailable_ = 0;
  bool surges_ = false;
  DaemonSetPlan plan_;
};

}  // namespace

DaemonSetPlan plan_daemon_set(const DaemonSetInput& input) { return Planner(input).run(); }

}  // namespace orch::server
