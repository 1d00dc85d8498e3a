// stats/v1alpha1 Summary.
#include "agent/stats/stats.h"
#include "orch/api/json_value.h"
#include "orch/api/value.h"

namespace orch::agent {
namespace {

using api::JsonValue;

JsonValue number(uint64_t value) { return static_cast<int64_t>(value); }
JsonValue time(WallTime at) { return api::Time(at).str(); }

JsonValue cpu_of(const CpuStats& cpu) {
  JsonValue out = JsonValue::object();
  out.set("time", time(cpu.time));
  if (cpu.nanocores) out.set("usageNanoCores", number(*cpu.nanocores));
  out.set("usageCoreNanoSeconds", number(cpu.nanoseconds));
  return out;
}

JsonValue memory_of(const MemoryStats& memory, WallTime at) {
  JsonValue out = JsonValue::object();
  out.set("time", time(at));
  if (memory.available) out.set("availableBytes", number(*memory.available));
  out.set("usageBytes", number(memory.usage));
  out.set("workingSetBytes", number(memory.working_set));
  out.set("rssBytes", number(memory.rss));
  return out;
}

JsonValue fs_of(const FsStats& fs, WallTime at) {
  JsonValue out = JsonValue::object();
  out.set("time", time(at));
  out.set("availableBytes", number(fs.available));
  out.set("capacityBytes", number(fs.capacity));
  out.set("usedBytes", number(fs.used));
  out.set("inodesFree", number(fs.inodes_free));
  out.set("inodes", number(fs.inodes));
  out.set("inodesUsed", number(fs.inodes_used));
  return out;
}

JsonValue interface_of(const InterfaceStats& interface) {
  JsonValue out = JsonValue::object();
  out.set("name", interface.name);
  out.set("rxBytes", number(interface.received_bytes));
  out.set("rxErrors", number(interface.receive_errors));
  out.set("txBytes", number(interface.sent_bytes));
  out.set("txErrors", number(interface.send_errors));
  return out;
}

// The default interface's fields stand beside the list.
JsonValue network_of(const std::vector<InterfaceStats>& interfaces, WallTime at) {
  JsonValue out = interfaces.empty() ? JsonValue::object() : interface_of(interfaces.front());
  out.set("time", time(at));
  JsonValue list = JsonValue::array();
  for (const auto& interface : interfaces) list.push_back(interface_of(interface));
  out.set("interfaces", std::move(list));
  return out;
}

JsonValue container_of(const ContainerStats& container, const FsStats& disk) {
  JsonValue out = JsonValue::object();
  out.set("name", container.name);
  out.set("startTime", time(container.start));
  out.set("cpu", cpu_of(container.cpu));
  out.set("memory", memory_of(container.memory, container.cpu.time));
  FsStats layer = disk;
  layer.used = container.layer_bytes;
  layer.inodes_used = container.layer_inodes;
  out.set("rootfs", fs_of(layer, container.cpu.time));
  layer.used = 0;
  layer.inodes_used = 0;
  out.set("logs", fs_of(layer, container.cpu.time));
  return out;
}

JsonValue pod_of(const PodStats& pod, const FsStats& disk) {
  JsonValue out = JsonValue::object();
  JsonValue reference = JsonValue::object();
  reference.set("name", pod.name);
  reference.set("namespace", pod.namespace_);
  reference.set("uid", pod.uid);
  out.set("podRef", std::move(reference));
  out.set("startTime", time(pod.start));
  JsonValue containers = JsonValue::array();
  FsStats layers = disk;
  layers.used = 0;
  layers.inodes_used = 0;
  for (const auto& container : pod.containers) {
    containers.push_back(container_of(container, disk));
    layers.used += container.layer_bytes;
    layers.inodes_used += container.layer_inodes;
  }
  out.set("containers", std::move(containers));
  out.set("cpu", cpu_of(pod.cpu));
  out.set("memory", memory_of(pod.memory, pod.cpu.time));
  if (pod.network) out.set("network", network_of({*pod.network}, pod.cpu.time));
  out.set("ephemeral-storage", fs_of(layers, pod.cpu.time));
  JsonValue processes = JsonValue::object();
  processes.set("process_count", number(pod.processes));
  out.set("process_stats", std::move(processes));
  return out;
}

}  // namespace

std::string render_summary(const NodeStats& stats) {
  const WallTime at = stats.cpu.time;
  JsonValue node = JsonValue::object();
  node.set("nodeName", stats.name);
  node.set("startTime", time(stats.boot));
  node.set("cpu", cpu_of(stats.cpu));
  JsonValue memory = memory_of(stats.memory, at);
  memory.set("pageFaults", number(stats.page_faults));
  memory.set("majorPageFaults", number(stats.major_page_faults));
  node.set("memory", std::move(memory));
  node.set("network", network_of(stats.interfaces, at));
  node.set("fs", fs_of(stats.fs, at));
  JsonValue runtime = JsonValue::object();
  runtime.set("imageFs", fs_of(stats.image_fs, at));
  runtime.set("containerFs", fs_of(stats.image_fs, at));
  node.set("runtime", std::move(runtime));
  JsonValue pids = JsonValue::object();
  pids.set("time", time(at));
  pids.set("maxpid", stats.pids_max);
  pids.set("curproc", stats.pids);
  node.set("rlimit", std::move(pids));
  JsonValue out = JsonValue::object();
  out.set("node", std::move(node));
  JsonValue pods = JsonValue::array();
  for (const auto& pod : stats.pods) pods.push_back(pod_of(pod, stats.image_fs));
  out.set("pods", std::move(pods));
  return out.dump(1);
}

}  // namespace orch::agent
