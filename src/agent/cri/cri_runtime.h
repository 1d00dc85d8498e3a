// ContainerRuntime over CRI runtime/v1 gRPC on a unix socket: works with any CRI runtime. One
// thread completes all calls; callbacks run on it.
#pragma once

#include <memory>
#include <string>

#include "agent/runtime.h"

namespace orch::agent {

// endpoint: "unix:///run/containerd/containerd.sock" (or a bare path). Connects lazily and
// reconnects by itself; calls fail with kUnavailable while the socket does not answer.
std::unique_ptr<ContainerRuntime> make_cri_runtime(const std::string& endpoint);

}  // namespace orch::agent
