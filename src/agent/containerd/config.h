// The generated containerd configuration (version 2). Pure.
#pragma once

#include <string>

#include "agent/containerd/containerd.h"

namespace orch::agent {

// snapshotter: "overlayfs" or "native".
std::string containerd_config(const ContainerdPaths& paths, const std::string& snapshotter);

}  // namespace orch::agent
