// The generated containerd configuration (version 2). Pure.
#pragma once

#include <string>

#include "agent/containerd/containerd.h"

namespace orch::agent {

struct ContainerdSettings {
  std::string snapshotter = "overlayfs";  // or "native"
  // We may not lower oom_score_adj here: containers get the lowest that is allowed.
  bool restrict_oom_score_adj = false;
};
std::string containerd_config(const ContainerdPaths& paths, const ContainerdSettings& settings);

}  // namespace orch::agent
