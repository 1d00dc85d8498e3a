// What the plugins of resources share: amounts by the resource's name, as scores count them.
#pragma once

#include <string>

#include "server/scheduler/framework.h"

namespace orch::server::scheduler::plugins {

inline int64_t amount_of(const Resources& resources, const std::string& name) {
  if (name == "cpu") return resources.milli_cpu;
  if (name == "memory") return resources.memory_bytes;
  if (name == "ephemeral-storage") return resources.ephemeral_storage_bytes;
  auto at = resources.scalar.find(name);
  return at == resources.scalar.end() ? 0 : at->second;
}

// Extended resources are the business of those pods only that ask for them.
inline bool is_extended(const std::string& name) {
  return name != "cpu" && name != "memory" && name != "ephemeral-storage" && name != "pods" &&
         !name.starts_with("hugepages-");
}

}  // namespace orch::server::scheduler::plugins
