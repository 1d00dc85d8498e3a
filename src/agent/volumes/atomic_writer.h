// Files that change all at once: each version lies in a folder of its own, `..data` points to the
// present one, and what the container opens are links through it. As the kubelet lays volumes out.
#pragma once

#include <string>

#include "agent/volumes/volume.h"

namespace orch::agent {

// Brings `directory` to hold exactly `files`. Writes nothing when it does already. gid: fsGroup.
Result<Unit, Error> write_atomically(const std::string& directory, const VolumeFiles& files,
                                     std::optional<int64_t> gid, WallTime now);

}  // namespace orch::agent
