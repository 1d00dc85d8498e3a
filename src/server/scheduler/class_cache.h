// Pods of one owner differ in their names only: what the local plugins (Filter::filter_is_local())
// said of a node to the last of them holds for the next one, as long as the node did not change.
// One per profile; the cycle's thread only. Results are those of a cycle without it.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "server/scheduler/node_info.h"
#include "server/scheduler/status.h"

namespace orch::server::scheduler {

// What preemption found out about a node.
struct PreemptionTrial {
  uint64_t generation = 0;  // of the node
  const NodeInfo* node = nullptr;
  const Status* refusal = nullptr;  // null: the victims make room
  std::vector<PodInfoPtr> victims;  // the most important first
  // The less, the better a choice: budgets broken, the highest priority, the sum of priorities, the
  // number of victims, how long ago the most important of them started.
  std::tuple<int64_t, int64_t, int64_t, size_t, int64_t> rank{};
};

struct PodClass {
  static constexpr int kScoresMax = 6;
  struct Row {
    uint64_t generation = 0;  // of the node
    const Status* refusal = nullptr;
    uint32_t scored = 0;  // bits of `scores`
    std::array<int32_t, kScoresMax> scores{};
  };
  std::vector<Row> rows;  // by slot
  // Of pods of one priority: what counts beside the class when pods are nominated to a node, and
  // for preemption.
  struct Nominated {
    uint64_t generation = 0;
    const Status* refusal = nullptr;
  };
  struct OfPriority {
    std::vector<Nominated> nominated;     // by slot
    std::vector<PreemptionTrial> trials;  // by slot
  };
  OfPriority& of_priority(int32_t priority);
  // The one kept status that equals `status`.
  const Status* keep(Status status);
  size_t refusals() const { return refusals_.size(); }
  uint64_t used = 0;

 private:
  std::deque<Status> refusals_;
  std::map<int32_t, OfPriority> of_priority_;
};

// All that local plugins may look at of a pod, as one text.
std::string class_of(const PodInfo& pod);

class ClassCache {
 public:
  // Null for a class that is met for the first time: many pods are the only ones of theirs.
  PodClass* find(const PodInfo& pod, size_t slots);

 private:
  std::unordered_map<std::string, PodClass> classes_;
  std::vector<size_t> met_;  // hashes of classes met lately, a ring
  size_t next_met_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace orch::server::scheduler
