// Files: whole-file reads and crash-safe writes.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "orch/base/result.h"

namespace orch {

// Text of the form "PATH: strerror".
using FileError = std::string;

Result<std::string, FileError> read_file(const std::string& path);
// Writes a temporary beside `path`, fsyncs, renames, fsyncs the directory: after a crash the file
// holds the old or the new content, never a part.
Result<Unit, FileError> write_file_atomic(const std::string& path, std::string_view content,
                                          mode_t mode = 0600);
Result<Unit, FileError> make_directories(const std::string& path, mode_t mode = 0755);
bool file_exists(const std::string& path);

}  // namespace orch
