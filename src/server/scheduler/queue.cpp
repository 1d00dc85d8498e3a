#include "server/scheduler/queue.h"

#include <algorithm>

namespace orch::server::scheduler {
namespace {

constexpr Micros kUnschedulableMax = std::chrono::minutes{5};
constexpr ClusterEvent::Mask kAnyEvent = ~ClusterEvent::Mask{0};

// Causes of moves, as upstream's metrics call them.
constexpr std::string_view kPodAdd = "PodAdd";
constexpr std::string_view kPodUpdate = "PodUpdate";
constexpr std::string_view kAttemptFailure = "ScheduleAttemptFailure";
constexpr std::string_view kBackoffComplete = "BackoffComplete";
constexpr std::string_view kTimeout = "UnschedulableTimeout";

std::string_view name_of(const ClusterEvent& event) {
  using Kind = ClusterEvent::Kind;
  if (event.kind == Kind::kStorage) return "StorageChange";
  const bool node = event.kind == Kind::kNode;
  if (event.has(ClusterEvent::kAdd)) return node ? "NodeAdd" : "AssignedPodAdd";
  if (event.has(ClusterEvent::kDelete)) return node ? "NodeDelete" : "AssignedPodDelete";
  return node ? "NodeUpdate" : "AssignedPodUpdate";
}

bool is_going(const ClusterEvent& event) {
  return event.kind == ClusterEvent::Kind::kAssignedPod && event.has(ClusterEvent::kDelete) &&
         event.pod;
}

// Did anything change that decides where a pod may go?
bool may_matter(const PodInfo& old, const PodInfo& now) {
  return old.labels() != now.labels() ||
         old.pod->metadata.annotations != now.pod->metadata.annotations ||
         !api::equal(old.pod->spec, now.pod->spec);
}

}  // namespace

bool Queue::ActiveLess::operator()(const QueuedPod* a, const QueuedPod* b) const {
  if (a->pod->priority != b->pod->priority) return a->pod->priority > b->pod->priority;
  if (a->added != b->added) return a->added < b->added;
  return a->pod->uid() < b->pod->uid();
}

bool Queue::held_back(const PodInfo& pod) const {
  return rules_.held_back ? rules_.held_back(pod) : !pod.pod->spec.schedulingGates.empty();
}

Micros Queue::backoff_of(int attempts) const {
  Micros out = rules_.backoff_first;
  for (int i = 1; i < attempts && out < rules_.backoff_max; ++i) out *= 2;
  return std::min(out, rules_.backoff_max);
}

void Queue::insert(QueuedPod pod, Place place, MonoTime now, std::string_view cause) {
  if (rules_.incoming) {
    constexpr std::string_view kNames[] = {"active", "backoff", "unschedulable", "gated"};
    rules_.incoming(kNames[static_cast<size_t>(place)], cause);
  }
  const std::string uid = pod.pod->uid();
  auto& slot = slots_[uid];
  slot.pod = std::move(pod);
  slot.place = place;
  for (const auto& victim : slot.pod.awaited) waiters_[victim].insert(uid);
  switch (place) {
    case Place::kActive:
      active_.insert(&slot.pod);
      break;
    case Place::kBackoff:
      slot.due = slot.pod.added + backoff_of(slot.pod.attempts);
      backoff_.emplace(slot.due, uid);
      break;
    case Place::kUnschedulable:
      slot.due = now + kUnschedulableMax;
      unschedulable_.emplace(slot.due, uid);
      slot.group = {rules_.interests ? rules_.interests(slot.pod) : kAnyEvent,
                    rules_.alike ? rules_.alike(slot.pod) : ""};
      groups_[slot.group].insert(uid);
      break;
    case Place::kGated:
      gated_.insert(uid);
      break;
  }
}

void Queue::take_out(Slot& slot) {
  const std::string& uid = slot.pod.pod->uid();
  for (const auto& victim : slot.pod.awaited) {
    auto at = waiters_.find(victim);
    if (at == waiters_.end()) continue;
    at->second.erase(uid);
    if (at->second.empty()) waiters_.erase(at);
  }
  switch (slot.place) {
    case Place::kActive:
      active_.erase(&slot.pod);
      break;
    case Place::kBackoff:
      backoff_.erase({slot.due, uid});
      break;
    case Place::kUnschedulable:
      unschedulable_.erase({slot.due, uid});
      if (auto same = groups_.find(slot.group); same != groups_.end()) {
        same->second.erase(uid);
        if (same->second.empty()) groups_.erase(same);
      }
      break;
    case Place::kGated:
      gated_.erase(uid);
      break;
  }
}

void Queue::move(Slot& slot, Place place, MonoTime now, std::string_view cause) {
  take_out(slot);
  QueuedPod pod = std::move(slot.pod);
  slots_.erase(pod.pod->uid());
  insert(std::move(pod), place, now, cause);
}

void Queue::wake(Slot& slot, MonoTime now, std::string_view cause) {
  const bool waits = slot.pod.attempts > 0 && slot.pod.added + backoff_of(slot.pod.attempts) > now;
  move(slot, waits ? Place::kBackoff : Place::kActive, now, cause);
}

void Queue::put(const PodInfoPtr& pod, MonoTime now) {
  if (auto flying = in_flight_.find(pod->uid()); flying != in_flight_.end()) {
    flying->second.updated = pod;
    flying->second.removed = false;
    return;
  }
  auto at = slots_.find(pod->uid());
  if (at == slots_.end()) {
    insert({pod, 0, now, now, {}}, held_back(*pod) ? Place::kGated : Place::kActive, now, kPodAdd);
    return;
  }
  Slot& slot = at->second;
  const bool matters = may_matter(*slot.pod.pod, *pod);
  const Place place = slot.place;
  take_out(slot);
  QueuedPod queued = std::move(slot.pod);
  slots_.erase(at);
  queued.pod = pod;
  if (held_back(*pod)) {
    insert(std::move(queued), Place::kGated, now, kPodUpdate);
  } else if (place == Place::kGated) {
    queued.added = now;
    insert(std::move(queued), Place::kActive, now, kPodUpdate);
  } else {
    const std::string uid = pod->uid();
    insert(std::move(queued), place, now, kPodUpdate);
    if (place == Place::kUnschedulable && matters) wake(slots_.at(uid), now, kPodUpdate);
  }
}

void Queue::remove(const std::string& uid) {
  if (auto flying = in_flight_.find(uid); flying != in_flight_.end()) flying->second.removed = true;
  auto at = slots_.find(uid);
  if (at == slots_.end()) return;
  take_out(at->second);
  slots_.erase(at);
}

bool Queue::contains(const std::string& uid) const { return slots_.contains(uid); }

std::optional<QueuedPod> Queue::pop() {
  if (active_.empty()) return std::nullopt;
  const std::string uid = (*active_.begin())->pod->uid();
  Slot& slot = slots_.at(uid);
  take_out(slot);
  QueuedPod out = std::move(slot.pod);
  slots_.erase(uid);
  ++out.attempts;
  in_flight_[uid] = {events_.size(), nullptr, false};
  return out;
}

void Queue::done(const std::string& uid) {
  in_flight_.erase(uid);
  forget_old_events();
}

// Those that came before all that is in flight now.
void Queue::forget_old_events() {
  constexpr size_t kWorthwhile = 1024;
  if (in_flight_.empty()) return events_.clear();
  if (events_.size() < kWorthwhile) return;
  size_t old = events_.size();
  for (const auto& [uid, flying] : in_flight_) old = std::min(old, flying.events_from);
  if (old < events_.size() / 2) return;
  events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(old));
  for (auto& [uid, flying] : in_flight_) flying.events_from -= old;
}

void Queue::put_back(QueuedPod pod, MonoTime now) {
  const std::string uid = pod.pod->uid();
  InFlight flying{events_.size(), nullptr, false};  // of what is not: no events
  if (auto at = in_flight_.find(uid); at != in_flight_.end()) flying = at->second;
  if (flying.removed) return done(uid);
  bool helped = pod.rejected_by.empty();  // a failure of ours: tried again whatever happens
  if (flying.updated) {
    helped |= may_matter(*pod.pod, *flying.updated);
    pod.pod = flying.updated;
  }
  const bool awaits = !pod.awaited.empty();
  for (size_t i = flying.events_from; i < events_.size(); ++i) {
    const ClusterEvent& event = events_[i];
    const bool of_victim = awaits && is_going(event) && pod.awaited.erase(event.pod->uid()) > 0;
    helped = helped || (!of_victim && rules_.hint(event, pod));
  }
  done(uid);
  pod.added = now;
  const Place place = held_back(*pod.pod)             ? Place::kGated
                      : awaits && pod.awaited.empty() ? Place::kActive
                      : helped                        ? Place::kBackoff
                                                      : Place::kUnschedulable;
  insert(std::move(pod), place, now, kAttemptFailure);
}

std::vector<std::string> Queue::victim_gone(const ClusterEvent& event, MonoTime now) {
  std::vector<std::string> still;
  auto at = waiters_.find(event.pod->uid());
  if (at == waiters_.end()) return still;
  const std::set<std::string> waiting = std::move(at->second);
  waiters_.erase(at);
  for (const auto& uid : waiting) {
    Slot& slot = slots_.at(uid);
    slot.pod.awaited.erase(event.pod->uid());
    if (!slot.pod.awaited.empty()) {
      still.push_back(uid);
    } else if (slot.place == Place::kBackoff || slot.place == Place::kUnschedulable) {
      move(slot, Place::kActive, now, name_of(event));
    }
  }
  return still;
}

// Whom of a group `event` may help.
void Queue::ask(const ClusterEvent& event, const std::pair<ClusterEvent::Mask, std::string>& group,
                const std::set<std::string>& uids, const std::vector<std::string>& apart,
                std::vector<std::string>& helped) const {
  auto is_apart = [&](const std::string& uid) {
    return std::find(apart.begin(), apart.end(), uid) != apart.end();
  };
  auto helps = [&](const std::string& uid) { return rules_.hint(event, slots_.at(uid).pod); };
  if (group.second.empty()) {
    std::copy_if(uids.begin(), uids.end(), std::back_inserter(helped), helps);
    return;
  }
  auto one = std::find_if_not(uids.begin(), uids.end(), is_apart);
  const bool all = one != uids.end() && helps(*one);
  if (all) std::copy_if(one, uids.end(), std::back_inserter(helped), std::not_fn(is_apart));
  for (const auto& uid : apart) {
    if (uids.contains(uid) && helps(uid)) helped.push_back(uid);
  }
}

void Queue::on_event(const ClusterEvent& event, MonoTime now) {
  if (!in_flight_.empty()) events_.push_back(event);
  std::vector<std::string> awaiting;
  if (is_going(event)) awaiting = victim_gone(event, now);
  std::vector<std::string> helped, apart;
  if (rules_.apart && !groups_.empty()) apart = rules_.apart(event);
  for (const auto& [group, uids] : groups_) {
    if (group.first != kAnyEvent && (group.first & event.mask()) == 0) continue;
    ask(event, group, uids, apart, helped);
  }
  for (const auto& uid : helped) {
    if (std::find(awaiting.begin(), awaiting.end(), uid) != awaiting.end()) continue;
    wake(slots_.at(uid), now, name_of(event));
  }
}

void Queue::flush(MonoTime now) {
  while (!backoff_.empty() && backoff_.begin()->first <= now) {
    move(slots_.at(std::string(backoff_.begin()->second)), Place::kActive, now, kBackoffComplete);
  }
  while (!unschedulable_.empty() && unschedulable_.begin()->first <= now) {
    wake(slots_.at(std::string(unschedulable_.begin()->second)), now, kTimeout);
  }
}

std::optional<MonoTime> Queue::next_due() const {
  std::optional<MonoTime> out;
  for (const auto* set : {&backoff_, &unschedulable_}) {
    if (!set->empty() && (!out || set->begin()->first < *out)) out = set->begin()->first;
  }
  return out;
}

}  // namespace orch::server::scheduler
