// Plain structs <-> CRI messages. Pure.
#pragma once

#include <runtime_v1.pb.h>

#include "agent/runtime.h"

namespace orch::agent::cri {

namespace v1 = ::runtime::v1;

v1::PodSandboxConfig to_message(const SandboxSpec& spec);
v1::ContainerConfig to_message(const ContainerSpec& spec);
v1::LinuxContainerResources to_message(const LinuxResources& resources);

SandboxView from_message(const v1::PodSandbox& sandbox);
SandboxView from_message(const v1::PodSandboxStatus& status);
ContainerView from_message(const v1::Container& container);
ContainerView from_message(const v1::ContainerStatus& status);
ImageView from_message(const v1::Image& image);
UsageView from_message(const v1::ContainerStats& stats);
UsageView from_message(const v1::PodSandboxStats& stats);
RuntimeInfo from_message(const v1::StatusResponse& status);

}  // namespace orch::agent::cri
