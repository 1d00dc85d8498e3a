#include "agent/node/machine.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "agent/pod/cgroups.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

std::string first_line(const std::string& path) {
  const std::string text = read_file(path).value_or("");
  return std::string(trim(text.substr(0, text.find('\n'))));
}

// "MemTotal:       2048 kB" -> bytes.
int64_t meminfo(const std::string& text, std::string_view key) {
  const size_t at = text.find(std::string(key) + ":");
  if (at == std::string::npos) return 0;
  std::string_view rest = std::string_view(text).substr(at + key.size() + 1);
  rest = trim(rest.substr(0, rest.find('\n')));
  return parse_int(rest.substr(0, rest.find(' '))).value_or(0) * 1024;
}

std::string pretty_name() {
  const std::string text = read_file("/etc/os-release").value_or("");
  for (const auto& line : split(text, '\n')) {
    if (!line.starts_with("PRETTY_NAME=")) continue;
    std::string value = line.substr(12);
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return "Linux";
}

// Go's names, which Kubernetes uses.
std::string architecture(const std::string& machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace

MachineMemory read_machine_memory() {
  const std::string info = read_file("/proc/meminfo").value_or("");
  const auto bytes = [&](std::string_view key) {
    return static_cast<uint64_t>(std::max<int64_t>(0, meminfo(info, key)));
  };
  MachineMemory out;
  out.total = bytes("MemTotal");
  out.anonymous = bytes("AnonPages");
  // The root of cgroup v2 counts no memory.
  const auto root = cgroup_is_v2() ? std::nullopt : cgroup_usage("");
  if (root && root->memory_usage_bytes > 0) {
    out.usage = root->memory_usage_bytes;
    out.working_set = root->memory_working_set_bytes;
    return out;
  }
  const uint64_t inactive = bytes("Inactive(file)");
  out.usage = out.total - std::min(out.total, bytes("MemFree"));
  out.working_set = out.usage - std::min(out.usage, inactive);
  return out;
}

MachinePids read_machine_pids() {
  MachinePids out;
  out.max = parse_int(first_line("/proc/sys/kernel/pid_max")).value_or(0);
  const int64_t threads = parse_int(first_line("/proc/sys/kernel/threads-max")).value_or(0);
  if (threads > 0 && threads < out.max) out.max = threads;
  // loadavg's fourth word: running/all tasks.
  const std::string load = first_line("/proc/loadavg");
  if (const size_t slash = load.find('/'); slash != std::string::npos) {
    const std::string rest = load.substr(slash + 1);
    out.used = parse_int(rest.substr(0, rest.find(' '))).value_or(0);
  }
  return out;
}

Machine read_machine(const std::string& data_dir) {
  Machine machine;
  machine.cpus = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  const std::string memory = read_file("/proc/meminfo").value_or("");
  machine.memory_bytes = meminfo(memory, "MemTotal");
  machine.memory_available_bytes = meminfo(memory, "MemAvailable");
  struct statvfs disk {};
  if (statvfs(data_dir.c_str(), &disk) == 0) {
    machine.disk_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
    machine.disk_available_bytes = static_cast<int64_t>(disk.f_bavail * disk.f_frsize);
    machine.inodes = static_cast<int64_t>(disk.f_files);
    machine.inodes_available = static_cast<int64_t>(disk.f_favail);
  }
  const MachinePids pids = read_machine_pids();
  machine.pids_max = pids.max;
  machine.pids_used = pids.used;
  machine.machine_id = first_line("/etc/machine-id");
  machine.system_uuid = to_lower(first_line("/sys/class/dmi/id/product_uuid"));
  if (machine.system_uuid.empty()) machine.system_uuid = machine.machine_id;
  machine.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  machine.os_image = pretty_name();
  utsname names{};
  uname(&names);
  machine.kernel = names.release;
  machine.architecture = architecture(names.machine);
  return machine;
}

}  // namespace orch::agent
