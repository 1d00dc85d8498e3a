// The Node object this agent reports. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/eviction/thresholds.h"
#include "agent/node/machine.h"
#include "agent/node/pressure.h"
#include "agent/runtime.h"
#include "orch/api/corev1.h"

namespace orch::agent {

struct NodeFacts {
  std::string name, ip;
  std::string external_ip;  // "" = none
  uint16_t kubelet_port = 10250;
  std::vector<std::string> labels, taints;  // from flags, checked by check_labels, check_taints
  Machine machine;
  RuntimeInfo runtime;
  std::vector<ImageView> images;
  Pressure pressure;
  // What the hard eviction thresholds keep free is not there to be given away.
  Amount memory_reserve, disk_reserve;
  std::string not_ready_reason;  // beside the runtime: e.g. no pod CIDR yet; "" = none
};

// Error: names the flag and the entry.
Result<Unit, std::string> check_labels(const std::vector<std::string>& labels);
Result<Unit, std::string> check_taints(const std::vector<std::string>& taints);

// For registration: metadata, taints and status.
api::corev1::Node make_node(const NodeFacts& facts, WallTime now);
// The status now; conditions keep their transition times where nothing changed.
api::corev1::NodeStatus make_status(const NodeFacts& facts, const api::corev1::NodeStatus& before,
                                    WallTime now);
// True if the two differ in more than heartbeat times.
bool status_differs(const api::corev1::NodeStatus& a, const api::corev1::NodeStatus& b);
// The labels every node has, those of the flags, and the annotations by which the cloud's
// controllers learn this node's addresses, missing or different on `node`: applied; true if
// something changed.
bool apply_labels(const NodeFacts& facts, api::corev1::Node& node);

}  // namespace orch::agent
