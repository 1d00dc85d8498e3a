#include "agent/pod/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "orch/base/clock.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMount = "/sys/fs/cgroup";
constexpr long kCgroup2Magic = 0x63677270;
constexpr int64_t kPeriodMicros = 100'000;

// Roots of the hierarchies that hold pods: v2 the one; v1 each controller's mount (symlinks such as
// cpu -> cpu,cpuacct once).
const std::vector<std::string>& hierarchies() {
  static const std::vector<std::string> roots = [] {
    if (cgroup_is_v2()) return std::vector<std::string>{kMount};
    std::vector<std::string> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(kMount, ec)) {
      if (entry.is_symlink() || !entry.is_directory()) continue;
      std::string name = entry.path().filename().string();
      if (name != "unified" && fs::exists(entry.path() / "cgroup.procs", ec)) {
        out.push_back(entry.path().string());
      }
    }
    std::sort(out.begin(), out.end());
    return out;
  }();
  return roots;
}

bool has_controller(const std::string& hierarchy, std::string_view name) {
  auto parts = split(fs::path(hierarchy).filename().string(), ',');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

Result<Unit, std::string> write_value(const std::string& file, std::string_view value) {
  int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Err(fmt::format("{}: {}", file, std::strerror(errno)));
  ssize_t n = ::write(fd, value.data(), value.size());
  int saved = errno;
  ::close(fd);
  if (n < 0) return Err(fmt::format("{}: {}", file, std::strerror(saved)));
  return Unit{};
}

// v1 cpusets start empty and take no process until they are filled from the parent.
void inherit_cpuset(const std::string& dir) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    auto own = read_file(dir + file);
    if (!own || !trim(*own).empty()) continue;
    auto parent = read_file(fs::path(dir).parent_path().string() + file);
    if (parent) (void)write_value(dir + file, trim(*parent));
  }
}

// v2: a group with processes of its own passes no controller on. The machine's root may; but where
// this is a container, its root group is not that: who is in there moves to a group beside ours.
void empty_root() {
  const std::string root = kMount, leaf = root + "/init";
  if (!file_exists(root + "/cgroup.type")) return;
  // Who forks meanwhile leaves a child behind.
  for (int round = 0; round < 10; ++round) {
    const auto text = read_file(root + "/cgroup.procs");
    if (!text || trim(*text).empty()) return;
    if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return;
    for (const auto& pid : split(trim(*text), '\n')) {
      (void)write_value(leaf + "/cgroup.procs", pid);
    }
  }
}

// v2: a controller works in a child only if its parent passes it on.
void pass_controllers_on(const std::string& dir) {
  if (dir == kMount) empty_root();
  auto available = read_file(dir + "/cgroup.controllers");
  if (!available) return;
  for (const auto& name : split(trim(*available), ' ')) {
    if (!name.empty()) (void)write_value(dir + "/cgroup.subtree_control", "+" + name);
  }
}

Result<Unit, std::string> make_path(const std::string& hierarchy, const std::string& path) {
  std::string dir = hierarchy;
  const bool v2 = cgroup_is_v2();
  for (const auto& part : split(path, '/')) {
    if (part.empty()) continue;
    if (v2) pass_controllers_on(dir);
    dir += "/" + part;
    if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
      return Err(fmt::format("{}: {}", dir, std::strerror(errno)));
    }
    if (has_controller(hierarchy, "cpuset")) inherit_cpuset(dir);
  }
  if (v2) pass_controllers_on(dir);
  return Unit{};
}

// `file` is CONTROLLER.WHAT. Kernels can be built or started without a controller.
Result<Unit, std::string> set_v2(const std::string& dir, std::string_view file,
                                 std::string_view value) {
  const std::string path = fmt::format("{}/{}", dir, file);
  if (file_exists(path)) return write_value(path, value);
  return Err(
      fmt::format("{}: the cgroup controller {} is not available (see "
                  "{}/cgroup.controllers)",
                  path, file.substr(0, file.find('.')), kMount));
}

Result<Unit, std::string> limit_v2(const std::string& dir, const CgroupLimits& limits) {
  const auto or_max = [](int64_t value) {
    return value > 0 ? std::to_string(value) : std::string("max");
  };
  if (limits.cpu_shares) {
    ORCH_CHECK(set_v2(dir, "cpu.weight", std::to_string(cpu_weight_of_shares(*limits.cpu_shares))));
  }
  if (limits.cpu_quota_us) {
    ORCH_CHECK(
        set_v2(dir, "cpu.max", fmt::format("{} {}", or_max(*limits.cpu_quota_us), kPeriodMicros)));
  }
  if (limits.memory_max_bytes) {
    ORCH_CHECK(set_v2(dir, "memory.max", or_max(*limits.memory_max_bytes)));
  }
  if (limits.pids_max) ORCH_CHECK(set_v2(dir, "pids.max", or_max(*limits.pids_max)));
  return Unit{};
}

Result<Unit, std::string> limit_v1(const std::string& hierarchy, const std::string& dir,
                                   const CgroupLimits& limits) {
  if (has_controller(hierarchy, "cpu")) {
    if (limits.cpu_shares) {
      ORCH_CHECK(write_value(dir + "/cpu.shares", std::to_string(*limits.cpu_shares)));
    }
    // Kernels without bandwidth control have no such file.
    if (limits.cpu_quota_us && file_exists(dir + "/cpu.cfs_quota_us")) {
      ORCH_CHECK(write_value(dir + "/cpu.cfs_period_us", std::to_string(kPeriodMicros)));
      ORCH_CHECK(write_value(dir + "/cpu.cfs_quota_us", std::to_string(*limits.cpu_quota_us)));
    }
  }
  if (has_controller(hierarchy, "memory") && limits.memory_max_bytes) {
    ORCH_CHECK(
        write_value(dir + "/memory.limit_in_bytes", std::to_string(*limits.memory_max_bytes)));
  }
  if (has_controller(hierarchy, "pids") && limits.pids_max) {
    ORCH_CHECK(write_value(dir + "/pids.max", std::to_string(*limits.pids_max)));
  }
  return Unit{};
}

void remove_tree(const std::string& dir, std::vector<std::string>& errors) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(dir, ec)) {
    if (entry.is_directory() && !entry.is_symlink()) remove_tree(entry.path().string(), errors);
  }
  // Just-killed processes leave a moment later.
  for (int i = 0; i < 50; ++i) {
    if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) return;
    if (errno != EBUSY) break;
    std::this_thread::sleep_for(Millis{10});
  }
  errors.push_back(fmt::format("{}: {}", dir, std::strerror(errno)));
}

std::optional<uint64_t> number_in(const std::string& file) {
  auto text = read_file(file);
  if (!text) return std::nullopt;
  auto value = parse_int(trim(*text));
  return value ? std::optional<uint64_t>(*value) : std::nullopt;
}

uint64_t field_in(const std::string& file, std::string_view key) {
  auto text = read_file(file);
  if (!text) return 0;
  for (const auto& line : split(*text, '\n')) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return static_cast<uint64_t>(parse_int(trim(line.substr(key.size()))).value_or(0));
    }
  }
  return 0;
}

}  // namespace

bool cgroup_is_v2() {
  static const bool v2 = [] {
    struct statfs st {};
    return ::statfs(kMount, &st) == 0 && st.f_type == kCgroup2Magic;
  }();
  return v2;
}

int64_t cpu_weight_of_shares(int64_t shares) {
  shares = std::clamp<int64_t>(shares, 2, 262144);
  return 1 + (shares - 2) * 9999 / 262142;
}

std::string cgroup_root_of(const std::string& data_dir) {
  std::error_code ec;
  std::string dir = fs::weakly_canonical(data_dir, ec).string();
  if (ec || dir.empty()) dir = data_dir;
  return fmt::format("/orch/{:08x}", fnv1a32(dir));
}

Result<Unit, std::string> make_cgroup(const std::string& path, const CgroupLimits& limits) {
  for (const auto& hierarchy : hierarchies()) {
    ORCH_CHECK(make_path(hierarchy, path));
    if (cgroup_is_v2()) {
      ORCH_CHECK(limit_v2(hierarchy + path, limits));
    } else {
      ORCH_CHECK(limit_v1(hierarchy, hierarchy + path, limits));
    }
  }
  return Unit{};
}

std::vector<std::string> remove_cgroups(const std::string& path) {
  std::vector<std::string> errors;
  // In a hybrid setup runc mirrors the path in the unified hierarchy, which holds no controllers.
  std::vector<std::string> roots = hierarchies();
  if (!cgroup_is_v2()) roots.push_back(std::string(kMount) + "/unified");
  for (const auto& root : roots) {
    if (file_exists(root + path)) remove_tree(root + path, errors);
  }
  return errors;
}

std::set<pid_t> cgroup_processes(const std::string& path) {
  std::set<pid_t> out;
  for (const auto& hierarchy : hierarchies()) {
    std::error_code ec;
    auto add = [&](const fs::path& dir) {
      auto text = read_file((dir / "cgroup.procs").string());
      if (!text) return;
      for (const auto& line : split(*text, '\n')) {
        if (auto pid = parse_int(line)) out.insert(static_cast<pid_t>(*pid));
      }
    };
    if (!fs::exists(hierarchy + path, ec)) continue;
    add(hierarchy + path);
    for (const auto& entry : fs::recursive_directory_iterator(hierarchy + path, ec)) {
      if (entry.is_directory(ec)) add(entry.path());
    }
  }
  return out;
}

std::optional<CgroupUsage> cgroup_usage(const std::string& path) {
  CgroupUsage usage;
  if (cgroup_is_v2()) {
    const std::string dir = kMount + path;
    if (!file_exists(dir)) return std::nullopt;
    usage.cpu_nanoseconds = field_in(dir + "/cpu.stat", "usage_usec") * 1000;
    usage.memory_usage_bytes = number_in(dir + "/memory.current").value_or(0);
    usage.memory_rss_bytes = field_in(dir + "/memory.stat", "anon");
    uint64_t inactive = field_in(dir + "/memory.stat", "inactive_file");
    usage.memory_working_set_bytes =
        usage.memory_usage_bytes - std::min(usage.memory_usage_bytes, inactive);
    return usage;
  }
  bool found = false;
  for (const auto& hierarchy : hierarchies()) {
    const std::string dir = hierarchy + path;
    if (has_controller(hierarchy, "cpuacct")) {
      auto value = number_in(dir + "/cpuacct.usage");
      found |= value.has_value();
      usage.cpu_nanoseconds = value.value_or(0);
    }
    if (has_controller(hierarchy, "memory")) {
      usage.memory_usage_bytes = number_in(dir + "/memory.usage_in_bytes").value_or(0);
      usage.memory_rss_bytes = field_in(dir + "/memory.stat", "total_rss");
      uint64_t inactive = field_in(dir + "/memory.stat", "total_inactive_file");
      usage.memory_working_set_bytes =
          usage.memory_usage_bytes - std::min(usage.memory_usage_bytes, inactive);
    }
  }
  return found ? std::optional(usage) : std::nullopt;
}

std::optional<CpuThrottling> cgroup_throttling(const std::string& path) {
  for (const auto& hierarchy : hierarchies()) {
    const std::string file = hierarchy + path + "/cpu.stat";
    if ((!cgroup_is_v2() && !has_controller(hierarchy, "cpu")) || !file_exists(file)) continue;
    CpuThrottling out;
    out.periods = field_in(file, "nr_periods");
    out.throttled_periods = field_in(file, "nr_throttled");
    out.throttled_nanoseconds =
        cgroup_is_v2() ? field_in(file, "throttled_usec") * 1000 : field_in(file, "throttled_time");
    if (out.periods == 0) return std::nullopt;
    return out;
  }
  return std::nullopt;
}

}  // namespace orch::agent
