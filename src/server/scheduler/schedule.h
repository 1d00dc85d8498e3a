// schedule(): where does this pod go? Pure: the same snapshot, pod and random numbers give the same
// answer; nothing is written, no clock is read.
#pragma once

#include <string>
#include <vector>

#include "server/scheduler/class_cache.h"
#include "server/scheduler/framework.h"

namespace orch::server::scheduler {

class Extenders;

struct Decision {
  Status status;
  std::string node;     // set when status.ok()
  CycleState state;     // for Reserve and Bind
  Diagnosis diagnosis;  // why not, when status.rejected(); its message() is for users
  // When refused: the pod's nomination from now on ("" = none), and the pods to delete so that it
  // fits there.
  std::string nominated_node;
  std::vector<PodInfoPtr> victims;
  size_t evaluated = 0, feasible = 0;
  // Of all passing plugins; for the queue's hints.
  std::set<std::string> rejected_by;
};

struct ScheduleOptions {
  // Where among the nodes the search begins (moved on by `evaluated` each time, so that sampling
  // sees every node).
  size_t start = 0;
  int64_t percentage_of_nodes = 0;  // feasible nodes that are enough; 0 = by the cluster's size
  ClassCache* classes = nullptr;    // of this framework; makes it faster, never different
  Extenders* extenders = nullptr;   // asked after the plugins; their calls block
};

// How many feasible nodes are enough: all below 100 nodes; else `percentage` of them, or if that
// is 0 50 % down to 5 % of big clusters; never less than 100.
size_t feasible_nodes_to_find(size_t nodes, int64_t percentage = 0);

Decision schedule(const Framework& framework, const Snapshot& snapshot, const PodInfo& pod,
                  Random& random, const ScheduleOptions& options = {});

}  // namespace orch::server::scheduler
