// Why the nodes refused a pod, in a form that is cheap for thousands of nodes: refusals are shared.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/scheduler/node_info.h"
#include "server/scheduler/status.h"

namespace orch::server::scheduler {

// A value that can be moved, not copied: it points into itself. Lives as long as the cycle.
struct Diagnosis {
  Diagnosis() = default;
  Diagnosis(Diagnosis&&) = default;
  Diagnosis& operator=(Diagnosis&&) = default;

  size_t all_nodes = 0;
  std::optional<Status> absent;   // of nodes without a refusal of their own
  std::set<std::string> plugins;  // that refused
  std::string pre_filter_message, post_filter_message;

  void refuse(const NodeInfo& node, Status status);  // keeps it
  void refuse(uint32_t slot, const Status* status);  // which outlives this
  const Status* of(uint32_t slot) const;             // null = neither refusal nor `absent`
  // As upstream words it: "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were
  // unschedulable. preemption: ..."
  std::string message() const;

 private:
  std::deque<Status> kept_;
  std::vector<const Status*> by_slot_;
  size_t refused_ = 0;
  const Status* last_ = nullptr;
};

}  // namespace orch::server::scheduler
