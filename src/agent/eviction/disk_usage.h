// How much the files below a folder take. Containers may change the tree meanwhile, make it as deep
// as they like, or put links into it: no link is followed, no other file system entered, and only
// two descriptors are open at a time.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "agent/eviction/pod_use.h"
#include "orch/base/clock.h"

namespace orch::agent {

// What is not there takes nothing. `stop`: set by another thread, ends the walk early; so does
// `budget`, as nothing else is watched meanwhile: then it is at least what is returned.
DiskUse disk_usage(const std::string& folder, const std::atomic<bool>& stop,
                   Millis budget = Millis{10'000});

// One file, a link not followed; nullopt: not there.
std::optional<DiskUse> disk_usage_of_file(const std::string& file);

}  // namespace orch::agent
