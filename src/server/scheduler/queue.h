// The pods that wait for a node. Three places: active (to be tried next: priority, then age),
// back-off (tried before, wait 1 s to 10 s), unschedulable (wait for a cluster event that may help,
// at most five minutes). Not thread-safe: the scheduler's mutex guards it. Time is passed in.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "server/scheduler/framework.h"

namespace orch::server::scheduler {

struct QueuedPod {
  PodInfoPtr pod;
  int attempts = 0;
  MonoTime added{};  // when it came to where it is; orders equals and counts back-off
  MonoTime first_seen{};
  std::set<std::string> rejected_by;  // plugins; empty = the scheduler failed, not the cluster
  // Uids of the pods it preempted that are not gone yet. The last one's going makes it active at
  // once, without back-off; that of the others does not help it.
  std::set<std::string> awaited;
};

class Queue {
 public:
  // Could this event help this pod? Asked for unschedulable pods only.
  using Hint = std::function<bool(const ClusterEvent&, const QueuedPod&)>;
  struct Rules {
    Hint hint;
    // The only events worth asking `hint` about; empty = all.
    std::function<ClusterEvent::Mask(const QueuedPod&)> interests;
    // Pods of the same non-empty text get the same answer of `hint`, but for those named by `apart`
    // (uids), which are asked on their own. Empty = each is asked.
    std::function<std::string(const QueuedPod&)> alike;
    std::function<std::vector<std::string>(const ClusterEvent&)> apart;
    // May the pod not even be tried? Empty = only pods with scheduling gates.
    std::function<bool(const PodInfo&)> held_back;
    // Told of every entry: the queue's and the cause's names, as upstream's metrics call them.
    std::function<void(std::string_view queue, std::string_view event)> incoming;
    Micros backoff_first = Seconds{1}, backoff_max = Seconds{10};
  };
  explicit Queue(Rules rules) : rules_(std::move(rules)) {}

  // A new pod, or a new version of one that waits. Changes that may help wake it. Pods with
  // scheduling gates are kept apart until these are gone.
  void put(const PodInfoPtr& pod, MonoTime now);
  void remove(const std::string& uid);
  bool contains(const std::string& uid) const;  // waits here
  bool in_flight(const std::string& uid) const { return in_flight_.contains(uid); }

  // The next pod to try; it is "in flight" until one of the three below.
  std::optional<QueuedPod> pop();
  void done(const std::string& uid);
  // Tried in vain. Events that came meanwhile count.
  void put_back(QueuedPod pod, MonoTime now);

  void on_event(const ClusterEvent& event, MonoTime now);
  // Moves what is due out of back-off, and what waited too long out of unschedulable.
  void flush(MonoTime now);
  // When flush() has something to do next; nullopt = never.
  std::optional<MonoTime> next_due() const;

  size_t active() const { return active_.size(); }
  size_t backing_off() const { return backoff_.size(); }
  size_t unschedulable() const { return unschedulable_.size(); }
  size_t gated() const { return gated_.size(); }

  Micros backoff_of(int attempts) const;

 private:
  enum class Place { kActive, kBackoff, kUnschedulable, kGated };
  struct ActiveLess {
    bool operator()(const QueuedPod* a, const QueuedPod* b) const;
  };
  struct Slot {
    QueuedPod pod;
    Place place;
    MonoTime due{};  // of back-off and unschedulable
    // Of unschedulable: who is asked together about which events.
    std::pair<ClusterEvent::Mask, std::string> group;
  };
  void insert(QueuedPod pod, Place place, MonoTime now, std::string_view cause);
  void take_out(Slot& slot);
  void move(Slot& slot, Place place, MonoTime now, std::string_view cause);
  // To back-off, or active if that is over.
  void wake(Slot& slot, MonoTime now, std::string_view cause);
  bool held_back(const PodInfo& pod) const;
  void forget_old_events();
  // A pod went: who waited for it. The uids of those that go on waiting for others.
  std::vector<std::string> victim_gone(const ClusterEvent& event, MonoTime now);
  void ask(const ClusterEvent& event, const std::pair<ClusterEvent::Mask, std::string>& group,
           const std::set<std::string>& uids, const std::vector<std::string>& apart,
           std::vector<std::string>& helped) const;

  const Rules rules_;
  std::map<std::string, Slot> slots_;  // by uid; nodes are stable
  std::set<const QueuedPod*, ActiveLess> active_;
  std::set<std::pair<MonoTime, std::string>> backoff_, unschedulable_;
  std::map<std::pair<ClusterEvent::Mask, std::string>, std::set<std::string>> groups_;
  std::map<std::string, std::set<std::string>> waiters_;  // by the uid they await
  std::set<std::string> gated_;
  struct InFlight {
    size_t events_from = 0;  // those of events_ that came meanwhile
    PodInfoPtr updated;      // a newer version came
    bool removed = false;
  };
  std::map<std::string, InFlight> in_flight_;
  std::vector<ClusterEvent> events_;  // while something is in flight
};

}  // namespace orch::server::scheduler
