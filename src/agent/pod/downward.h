// The downward API: values of a pod's own fields and resources. Pure.
#pragma once

#include <map>
#include <string>

#include "agent/error.h"
#include "agent/pod/pod_access.h"

namespace orch::agent {

// What is known of the pod beyond its spec at the time of asking.
struct PodAddresses {
  std::vector<std::string> pod_ips, host_ips;
};

// fieldPath as in ObjectFieldSelector. Error: `unsupported fieldPath: x`.
Result<std::string, Error> field_value(const corev1::Pod& pod, const std::string& field_path,
                                       const PodAddresses& addresses);
// `container`: the one the selector's containerName defaults to. Limits that are not set count as
// the node's allocatable.
Result<std::string, Error> resource_value(const corev1::Pod& pod,
                                          const corev1::ResourceFieldSelector& selector,
                                          const corev1::Container* container,
                                          const std::map<std::string, api::Quantity>& allocatable);

// key="value" lines, sorted, values quoted as Go does.
std::string format_map(const std::map<std::string, std::string>& map);

}  // namespace orch::agent
