#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "agent/containerd/containerd.h"
#include "agent/containerd/process.h"
#include "agent/pod/cgroups.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

std::vector<pid_t> all_processes() {
  std::vector<pid_t> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/proc", ec)) {
    if (auto pid = parse_int(entry.path().filename().string())) {
      out.push_back(static_cast<pid_t>(*pid));
    }
  }
  return out;
}

// containerd itself and its shims name our socket or configuration on their command lines.
std::set<pid_t> runtime_processes(const ContainerdPaths& paths) {
  std::set<pid_t> out;
  for (pid_t pid : all_processes()) {
    for (const auto& word : command_line_of(pid)) {
      if (word == paths.config_file || word == paths.socket) out.insert(pid);
    }
  }
  out.erase(::getpid());
  return out;
}

// Octal escapes of /proc/self/mountinfo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> mounts_below(const std::vector<std::string>& roots) {
  std::vector<std::string> out;
  auto text = read_file("/proc/self/mountinfo");
  if (!text) return out;
  for (const auto& line : split(*text, '\n')) {
    auto fields = split(line, ' ');
    if (fields.size() < 5) continue;
    std::string target = unescape(fields[4]);
    for (const auto& root : roots) {
      if (target.starts_with(root + "/")) out.push_back(target);
    }
  }
  std::reverse(out.begin(), out.end());  // children before parents
  return out;
}

void kill_until_gone(const std::function<std::set<pid_t>()>& find, const char* what,
                     std::vector<std::string>& errors) {
  for (int round = 0; round < 100; ++round) {
    auto pids = find();
    if (pids.empty()) return;
    for (pid_t pid : pids) {
      ::kill(pid, SIGKILL);
      // A zombie child of ours stays visible until reaped.
      if (int fd = open_process(pid); fd >= 0) {
        wait_process(fd, pid, Millis{0});
        ::close(fd);
      }
    }
    std::this_thread::sleep_for(Millis{20});
  }
  errors.push_back(fmt::format("{} still running", what));
}

// The orch that would start everything again.
void end_supervisor(const ContainerdPaths& paths) {
  auto text = read_file(paths.owner_file);
  if (!text) return;
  const std::string identity(trim(*text));
  auto pid = parse_int(identity.substr(0, identity.find(' ')));
  if (!pid || *pid <= 1 || *pid == ::getpid()) return;
  const auto process = static_cast<pid_t>(*pid);
  if (process_identity(process) != identity) return;
  int fd = open_process(process);
  if (fd < 0) return;
  ::kill(process, SIGTERM);
  if (!wait_process(fd, process, Millis{6000})) {
    ::kill(process, SIGKILL);
    wait_process(fd, process, Millis{2000});
  }
  ::close(fd);
}

}  // namespace

std::vector<std::string> kill_containerd(const std::string& data_dir) {
  std::vector<std::string> errors;
  const ContainerdPaths paths = containerd_paths(data_dir);
  end_supervisor(paths);
  kill_until_gone([&] { return runtime_processes(paths); }, "containerd or its shims", errors);
  const std::string cgroup = cgroup_root_of(data_dir);
  kill_until_gone([&] { return cgroup_processes(cgroup); }, "containers", errors);

  std::error_code ec;
  std::string dir = fs::weakly_canonical(data_dir, ec).string();
  if (ec || dir.empty()) dir = data_dir;
  for (const auto& target : mounts_below({dir + "/agent", paths.run_directory})) {
    if (::umount2(target.c_str(), MNT_DETACH) != 0 && errno != EINVAL) {
      errors.push_back(fmt::format("unmount {}: {}", target, std::strerror(errno)));
    }
  }
  for (const auto& error : remove_cgroups(cgroup)) errors.push_back(error);
  fs::remove_all(paths.run_directory, ec);
  if (ec) errors.push_back(fmt::format("{}: {}", paths.run_directory, ec.message()));
  return errors;
}

}  // namespace orch::agent
