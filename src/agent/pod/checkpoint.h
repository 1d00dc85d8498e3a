// The last known pods on disk, so that an agent restarted without its server still runs them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/pod/pod_access.h"

namespace orch::agent {

// A PodList document, one item a line. A missing, empty or damaged file gives what can be read.
std::vector<std::shared_ptr<const corev1::Pod>> load_pods(const std::string& file);
Result<Unit, std::string> save_pods(const std::string& file,
                                    const std::vector<std::shared_ptr<const corev1::Pod>>& pods);

}  // namespace orch::agent
