// The status of a pod as the API shows it, from what the runtime shows. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/pod/plan.h"
#include "agent/pod/pod_access.h"
#include "agent/pod/resize.h"

namespace orch::agent {

struct StatusInput {
  const corev1::Pod& pod;  // with the status last known to the API
  const PodObserved& observed;
  const std::map<std::string, ContainerMemory>& memory;
  const std::map<std::string, Waiting>& waiting;  // from the plan
  std::vector<std::string> pod_ips, host_ips;
  WallTime now;
  // Nothing runs any more and nothing will: decides between Running and Succeeded or Failed.
  bool terminal = false;
  bool rejected = false;  // nothing of it was ever started here: no containers, no conditions
  // Ended by the agent itself: DeadlineExceeded, Evicted ...; becomes Failed.
  std::string reason, message;
  Applied applied;         // resources of the runs
  std::string resize;      // of the pod: "", "InProgress" ...
  bool disrupted = false;  // the node ended it for its own sake: condition DisruptionTarget
  std::string runtime_name = "containerd";  // prefix of container ids
  // The termination message of a run, by container id.
  std::map<std::string, std::string> termination_messages;
};

corev1::PodStatus make_status(const StatusInput& input);

}  // namespace orch::agent
