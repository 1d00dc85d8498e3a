#include "server/scheduler/queue.h"

#include <algorithm>

namespace orch::server::scheduler {
namespace {

constexpr Micros kBackoffFirst = Seconds{1};
constexpr Micros kBackoffMax = Seconds{10};
constexpr Micros kUnschedulableMax = std::chrono::minutes{5};

bool is_gated(const PodInfo& pod) { return !pod.pod->spec.schedulingGates.empty(); }

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

Micros Queue::backoff_of(int attempts) {
  Micros out = kBackoffFirst;
  for (int i = 1; i < attempts && out < kBackoffMax; ++i) out *= 2;
  return std::min(out, kBackoffMax);
}

void Queue::insert(QueuedPod pod, Place place, MonoTime now) {
  const std::string uid = pod.pod->uid();
  auto& slot = slots_[uid];
  slot.pod = std::move(pod);
  slot.place = place;
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
      break;
    case Place::kGated:
      gated_.insert(uid);
      break;
  }
}

void Queue::take_out(Slot& slot) {
  const std::string& uid = slot.pod.pod->uid();
  switch (slot.place) {
    case Place::kActive:
      active_.erase(&slot.pod);
      break;
    case Place::kBackoff:
      backoff_.erase({slot.due, uid});
      break;
    case Place::kUnschedulable:
      unschedulable_.erase({slot.due, uid});
      break;
    case Place::kGated:
      gated_.erase(uid);
      break;
  }
}

void Queue::move(Slot& slot, Place place, MonoTime now) {
  take_out(slot);
  QueuedPod pod = std::move(slot.pod);
  slots_.erase(pod.pod->uid());
  insert(std::move(pod), place, now);
}

void Queue::wake(Slot& slot, MonoTime now) {
  const bool waits = slot.pod.attempts > 0 && slot.pod.added + backoff_of(slot.pod.attempts) > now;
  move(slot, waits ? Place::kBackoff : Place::kActive, now);
}

void Queue::put(const PodInfoPtr& pod, MonoTime now) {
  if (auto flying = in_flight_.find(pod->uid()); flying != in_flight_.end()) {
    flying->second.updated = pod;
    flying->second.removed = false;
    return;
  }
  auto at = slots_.find(pod->uid());
  if (at == slots_.end()) {
    insert({pod, 0, now, now, {}}, is_gated(*pod) ? Place::kGated : Place::kActive, now);
    return;
  }
  Slot& slot = at->second;
  const bool matters = may_matter(*slot.pod.pod, *pod);
  const Place place = slot.place;
  take_out(slot);
  QueuedPod queued = std::move(slot.pod);
  slots_.erase(at);
  queued.pod = pod;
  if (is_gated(*pod)) {
    insert(std::move(queued), Place::kGated, now);
  } else if (place == Place::kGated) {
    queued.added = now;
    insert(std::move(queued), Place::kActive, now);
  } else {
    const std::string uid = pod->uid();
    insert(std::move(queued), place, now);
    if (place == Place::kUnschedulable && matters) wake(slots_.at(uid), now);
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
  in_flight_[uid] = {};
  return out;
}

void Queue::done(const std::string& uid) { in_flight_.erase(uid); }

void Queue::put_back(QueuedPod pod, MonoTime now) {
  const std::string uid = pod.pod->uid();
  InFlight flying;
  if (auto at = in_flight_.find(uid); at != in_flight_.end()) {
    flying = std::move(at->second);
    in_flight_.erase(at);
  }
  if (flying.removed) return;
  bool helped = pod.rejected_by.empty();  // a failure of ours: tried again whatever happens
  if (flying.updated) {
    helped |= may_matter(*pod.pod, *flying.updated);
    pod.pod = flying.updated;
  }
  helped |= std::any_of(flying.events.begin(), flying.events.end(),
                        [&](const ClusterEvent& event) { return hint_(event, pod); });
  pod.added = now;
  const Place place = is_gated(*pod.pod) ? Place::kGated
                      : helped           ? Place::kBackoff
                                         : Place::kUnschedulable;
  insert(std::move(pod), place, now);
}

void Queue::on_event(const ClusterEvent& event, MonoTime now) {
  for (auto& [uid, flying] : in_flight_) flying.events.push_back(event);
  std::vector<std::string> helped;
  for (const auto& [due, uid] : unschedulable_) {
    if (hint_(event, slots_.at(uid).pod)) helped.push_back(uid);
  }
  for (const auto& uid : helped) wake(slots_.at(uid), now);
}

void Queue::flush(MonoTime now) {
  while (!backoff_.empty() && backoff_.begin()->first <= now) {
    move(slots_.at(std::string(backoff_.begin()->second)), Place::kActive, now);
  }
  while (!unschedulable_.empty() && unschedulable_.begin()->first <= now) {
    wake(slots_.at(std::string(unschedulable_.begin()->second)), now);
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
