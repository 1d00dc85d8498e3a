#include "agent/pod/termination_message.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/pod/plan.h"
#include "agent/pod/sandbox_config.h"

namespace orch::agent {
namespace {

constexpr size_t kMessageBytesMax = 4096, kLogBytesMax = 2048, kLogLinesMax = 80;

// The last `bytes` of a regular file; "" when there is none. Never follows a container's links.
std::string read_end(const std::string& path, size_t bytes) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return "";
  struct stat st {};
  std::string out;
  if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    off_t from = std::max<off_t>(0, st.st_size - static_cast<off_t>(bytes));
    out.resize(bytes);
    ssize_t n = ::pread(fd, out.data(), bytes, from);
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  }
  ::close(fd);
  return out;
}

}  // namespace

std::string termination_file(const std::string& pod_dir, const std::string& container,
                             uint32_t restart_count) {
  return fmt::format("{}/containers/{}/{}", pod_dir, container, restart_count);
}

std::string plain_log_text(std::string_view log) {
  std::string out;
  while (!log.empty()) {
    size_t end = log.find('\n');
    std::string_view line = log.substr(0, end);
    log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
    bool partial = false;
    bool whole = true;
    for (int field = 0; field < 3; ++field) {  // time, stream, tag
      size_t space = line.find(' ');
      if (space == std::string_view::npos) {
        whole = false;
        break;
      }
      if (field == 2) partial = line.substr(0, space) == "P";
      line.remove_prefix(space + 1);
    }
    if (!whole) continue;  // cut at the front
    out += line;
    if (!partial) out += '\n';
  }
  return out;
}

std::string read_termination_message(const ContainerView& c, const std::string& pod_dir) {
  std::string text =
      read_end(termination_file(pod_dir, c.name, restart_count_of(c)), kMessageBytesMax);
  if (!text.empty()) return text;
  auto policy = c.annotations.find(kTerminationPolicyAnnotation);
  if (policy == c.annotations.end() || policy->second != "FallbackToLogsOnError" ||
      c.exit_code == 0 || c.log_path.empty()) {
    return "";
  }
  text = plain_log_text(read_end(c.log_path, 64 * 1024));
  size_t lines = 0, from = text.size();
  while (from > 0 && text.size() - from < kLogBytesMax) {
    if (text[from - 1] == '\n' && from != text.size() && ++lines == kLogLinesMax) break;
    --from;
  }
  return text.substr(from);
}

}  // namespace orch::agent
