#include <fmt/format.h>

#include <algorithm>

#include "agent/node/machine.h"
#include "agent/pod/pod_access.h"
#include "agent/pod/resources.h"
#include "agent/stats/stats.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr auto kRateFrom = std::chrono::milliseconds(500);

// "Name:   12 kB" and "name 12", as /proc/meminfo, /proc/vmstat and /proc/stat write it.
uint64_t number_after(const std::string& text, std::string_view key) {
  size_t at = text.find(key);
  while (at != std::string::npos && at > 0 && text[at - 1] != '\n') at = text.find(key, at + 1);
  if (at == std::string::npos) return 0;
  at = text.find_first_of("0123456789", at + key.size());
  if (at == std::string::npos) return 0;
  const size_t end = text.find_first_not_of("0123456789", at);
  return static_cast<uint64_t>(parse_int(text.substr(at, end - at)).value_or(0));
}

void add_machine_memory(NodeStats& stats) {
  const MachineMemory memory = read_machine_memory();
  stats.memory = {memory.usage, memory.working_set, memory.anonymous, memory.available()};
  const std::string vm = read_file("/proc/vmstat").value_or("");
  stats.page_faults = number_after(vm, "pgfault ");
  stats.major_page_faults = number_after(vm, "pgmajfault ");
}

void add_machine(NodeStats& stats, const Machine& machine, WallTime now) {
  stats.cpus = machine.cpus;
  stats.memory_capacity = machine.memory_bytes;
  stats.pids_max = machine.pids_max;
  stats.pids = machine.pids_used;
  stats.kernel = machine.kernel;
  stats.os = machine.os_image;
  const auto u = [](int64_t value) { return static_cast<uint64_t>(std::max<int64_t>(0, value)); };
  FsStats& fs = stats.fs;
  fs = {u(machine.disk_bytes), u(machine.disk_available_bytes), 0,
        u(machine.inodes),     u(machine.inodes_available),     0};
  fs.used = fs.capacity - std::min(fs.capacity, fs.available);
  fs.inodes_used = fs.inodes - std::min(fs.inodes, fs.inodes_free);
  stats.image_fs = fs;
  const std::string stat = read_file("/proc/stat").value_or("");
  stats.boot = WallTime{Seconds{static_cast<int64_t>(number_after(stat, "btime "))}};
  stats.cpu.time = now;
  if (const auto usage = cgroup_usage("")) stats.cpu.nanoseconds = usage->cpu_nanoseconds;
}

const corev1::ContainerStatus* status_of(const corev1::Pod& pod, const std::string& id) {
  for (const auto* list : {&pod.status.containerStatuses, &pod.status.initContainerStatuses,
                           &pod.status.ephemeralContainerStatuses}) {
    for (const auto& status : *list) {
      if (status.containerID.ends_with("://" + id)) return &status;
    }
  }
  return nullptr;
}

int64_t amount(const std::map<std::string, api::Quantity>& list, const char* name, bool milli) {
  const auto it = list.find(name);
  if (it == list.end()) return 0;
  return milli ? it->second.milli() : it->second.value();
}

ContainerStats container_stats(const corev1::Pod& pod, const UsageView& usage,
                               const std::string& pod_cgroup, WallTime now) {
  ContainerStats out;
  out.name = usage.name;
  out.id = usage.id;
  out.cgroup = pod_cgroup + "/" + usage.id;
  out.cpu = {usage.time_ns > 0 ? WallTime{Micros{usage.time_ns / 1000}} : now,
             usage.cpu_nanoseconds, std::nullopt};
  out.memory = {usage.memory_usage_bytes, usage.memory_working_set_bytes, usage.memory_rss_bytes,
                std::nullopt};
  out.layer_bytes = usage.filesystem_used_bytes;
  out.layer_inodes = usage.filesystem_inodes;
  for (const auto& c : all_containers(pod)) {
    if (c.spec.name != usage.name) continue;
    out.image = c.spec.image;
    out.cpu_limit_milli = amount(c.spec.resources.limits, "cpu", true);
    out.cpu_request_milli = amount(c.spec.resources.requests, "cpu", true);
    out.memory_limit = amount(c.spec.resources.limits, "memory", false);
  }
  if (out.memory_limit > 0) {
    const auto limit = static_cast<uint64_t>(out.memory_limit);
    out.memory.available = limit - std::min(limit, out.memory.working_set);
  }
  const auto* status = status_of(pod, usage.id);
  if (status != nullptr && status->state.running) {
    out.start = status->state.running->startedAt.wall();
  }
  out.throttling = cgroup_throttling(out.cgroup);
  return out;
}

// Of the host's end of the pod's veth: what it receives the pod sent.
std::optional<InterfaceStats> pod_network(const PodUsage& usage,
                                          const std::vector<InterfaceStats>& interfaces) {
  if (usage.pod->spec.hostNetwork || usage.sandbox_id.empty()) return std::nullopt;
  const std::string link = fmt::format("veth{:08x}", fnv1a32(usage.sandbox_id + "/eth0"));
  for (const auto& i : interfaces) {
    if (i.name != link) continue;
    return InterfaceStats{"eth0",         i.sent_bytes,     i.sent_packets,     i.send_errors,
                          i.send_drops,   i.received_bytes, i.received_packets, i.receive_errors,
                          i.receive_drops};
  }
  return std::nullopt;
}

PodStats pod_stats(const PodUsage& usage, const std::string& cgroup_root,
                   const std::vector<InterfaceStats>& interfaces, WallTime now) {
  const corev1::Pod& pod = *usage.pod;
  PodStats out;
  out.namespace_ = pod.metadata.namespace_;
  out.name = pod.metadata.name;
  out.uid = pod.metadata.uid;
  out.sandbox_id = usage.sandbox_id;
  out.cgroup = pod_cgroup_path(cgroup_root, pod);
  if (pod.status.startTime) out.start = pod.status.startTime->wall();
  out.cpu.time = now;
  if (const auto whole = cgroup_usage(out.cgroup)) {
    out.cpu.nanoseconds = whole->cpu_nanoseconds;
    out.memory = {whole->memory_usage_bytes, whole->memory_working_set_bytes,
                  whole->memory_rss_bytes, std::nullopt};
    out.processes = cgroup_processes(out.cgroup).size();
  }
  for (const auto& container : usage.containers) {
    out.containers.push_back(container_stats(pod, container, out.cgroup, now));
  }
  std::sort(out.containers.begin(), out.containers.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  out.network = pod_network(usage, interfaces);
  return out;
}

bool is_pod_link(const InterfaceStats& interface) {
  return interface.name == "lo" ||
         (interface.name.starts_with("veth") && interface.name.size() == 12);
}

}  // namespace

std::vector<InterfaceStats> parse_net_dev(const std::string& text) {
  std::vector<InterfaceStats> out;
  for (const auto& line : split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::vector<uint64_t> values;
    for (const auto& word : split(std::string_view(line).substr(colon + 1), ' ')) {
      if (const auto value = parse_int(word)) values.push_back(static_cast<uint64_t>(*value));
    }
    if (values.size() < 12) continue;
    out.push_back({std::string(trim(line.substr(0, colon))), values[0], values[1], values[2],
                   values[3], values[8], values[9], values[10], values[11]});
  }
  return out;
}

std::optional<uint64_t> nanocores_between(WallTime before, uint64_t nanoseconds_before,
                                          WallTime now, uint64_t nanoseconds_now) {
  if (now - before < kRateFrom || nanoseconds_now < nanoseconds_before) return std::nullopt;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - before).count();
  return static_cast<uint64_t>(static_cast<double>(nanoseconds_now - nanoseconds_before) * 1e6 /
                               static_cast<double>(took));
}

// Kept are the newest measurements only: what is gone is forgotten.
void StatsCollector::add_rates(NodeStats& stats) {
  std::lock_guard lock(mutex_);
  std::map<std::string, Before> now;
  const auto rate = [&](const std::string& key, CpuStats& cpu) {
    const auto it = before_.find(key);
    Before mine{cpu.time, cpu.nanoseconds, std::nullopt};
    if (it != before_.end()) {
      mine.nanocores =
          nanocores_between(it->second.time, it->second.nanoseconds, cpu.time, cpu.nanoseconds);
      // Asked again at once: the measurement before stands.
      if (!mine.nanocores && cpu.nanoseconds >= it->second.nanoseconds) mine = it->second;
    }
    cpu.nanocores = mine.nanocores;
    now[key] = mine;
  };
  rate("", stats.cpu);
  for (auto& pod : stats.pods) {
    rate(pod.cgroup, pod.cpu);
    for (auto& container : pod.containers) rate(container.cgroup, container.cpu);
  }
  before_ = std::move(now);
}

Result<NodeStats, Error> StatsCollector::collect() {
  ORCH_TRY(const auto usage, pods_.usage());
  const PodManagerConfig& config = pods_.config();
  const WallTime now = env_.clock.now();
  NodeStats stats;
  stats.name = config.node_name;
  add_machine(stats, read_machine(config.data_dir), now);
  add_machine_memory(stats);
  const auto interfaces = parse_net_dev(read_file("/proc/self/net/dev").value_or(""));
  const std::string root =
      config.cgroup_root.empty() ? cgroup_root_of(config.data_dir) : config.cgroup_root;
  for (const auto& pod : usage) stats.pods.push_back(pod_stats(pod, root, interfaces, now));
  for (const auto& interface : interfaces) {
    if (!is_pod_link(interface)) stats.interfaces.push_back(interface);
  }
  if (auto images = pods_.image_filesystems(); images && !images->empty()) {
    stats.image_fs.used = images->front().used_bytes;
    stats.image_fs.inodes_used = images->front().inodes_used;
  }
  add_rates(stats);
  return stats;
}

}  // namespace orch::agent
