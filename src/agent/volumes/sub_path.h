// subPath mounts, safe against containers that swap path parts for links while we look: every step
// is resolved below the volume by the kernel (openat2, RESOLVE_BENEATH), and what is bound is the
// opened file itself. CVE-2017-1002101, CVE-2021-25741.
#pragma once

#include <string>

#include "agent/error.h"

namespace orch::agent {

// Binds `volume`/`sub_path` (made as a folder if it is missing) on `target`, a path of ours that is
// made to fit; an earlier bind there is replaced.
Result<Unit, Error> bind_sub_path(const std::string& volume, const std::string& sub_path,
                                  const std::string& target);

// Detaches every mount at or below `path`, innermost first. Error: the first that failed.
Result<Unit, Error> unmount_below(const std::string& path);

}  // namespace orch::agent
