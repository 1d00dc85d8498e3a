// Rotation of container log files: FILE -> FILE.<time>; the runtime opens a new one. Blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orch/base/clock.h"

namespace orch::agent {

struct LogLimits {
  int64_t file_bytes_max = 10 * 1024 * 1024;
  int files_max = 5;  // with the present one
};
// True when the file was over its limit and is renamed now: the runtime has to reopen it. Older
// files beyond the limit are deleted.
bool rotate_log(const std::string& file, const LogLimits& limits, WallTime now);
// Rotated files of a log, oldest first.
std::vector<std::string> rotated_logs(const std::string& file);

}  // namespace orch::agent
