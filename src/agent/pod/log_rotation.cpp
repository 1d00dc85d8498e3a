#include "agent/pod/log_rotation.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace orch::agent {

std::vector<std::string> rotated_logs(const std::string& file) {
  std::vector<std::string> out;
  std::error_code ec;
  const std::filesystem::path path(file);
  const std::string prefix = path.filename().string() + ".";
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), ec)) {
    if (entry.path().filename().string().starts_with(prefix)) out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool rotate_log(const std::string& file, const LogLimits& limits, WallTime now) {
  struct stat st {};
  if (::stat(file.c_str(), &st) != 0 || st.st_size < limits.file_bytes_max) return false;
  auto seconds = std::chrono::floor<Seconds>(now);
  const std::string target = fmt::format("{}.{:%Y%m%d-%H%M%S}", file, seconds);
  if (::rename(file.c_str(), target.c_str()) != 0) return false;
  auto old = rotated_logs(file);
  const size_t keep = limits.files_max > 1 ? static_cast<size_t>(limits.files_max) - 1 : 0;
  for (size_t i = 0; i + keep < old.size(); ++i) ::unlink(old[i].c_str());
  return true;
}

}  // namespace orch::agent
