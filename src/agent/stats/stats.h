// Use of resources on this node, as the kubelet's endpoints show it: measured by StatsCollector,
// rendered by pure functions. Nothing is measured unless someone asks.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod/cgroups.h"
#include "agent/pod_manager.h"

namespace orch::agent {

struct CpuStats {
  WallTime time{};
  uint64_t nanoseconds = 0;           // since start
  std::optional<uint64_t> nanocores;  // since the measurement before this one
};
struct MemoryStats {
  uint64_t usage = 0, working_set = 0, rss = 0;
  std::optional<uint64_t> available;  // limit (of a node: capacity) minus working set
};
struct FsStats {
  uint64_t capacity = 0, available = 0, used = 0, inodes = 0, inodes_free = 0, inodes_used = 0;
};
struct InterfaceStats {
  std::string name;
  uint64_t received_bytes = 0, received_packets = 0, receive_errors = 0, receive_drops = 0;
  uint64_t sent_bytes = 0, sent_packets = 0, send_errors = 0, send_drops = 0;
};
struct ContainerStats {
  std::string name, id, image;
  WallTime start{};
  CpuStats cpu;
  MemoryStats memory;
  uint64_t layer_bytes = 0, layer_inodes = 0;  // the writable layer
  int64_t cpu_limit_milli = 0, cpu_request_milli = 0, memory_limit = 0;
  std::string cgroup;
  std::optional<CpuThrottling> throttling;
};
struct PodStats {
  std::string namespace_, name, uid, sandbox_id, cgroup;
  WallTime start{};
  CpuStats cpu;
  MemoryStats memory;
  std::optional<InterfaceStats> network;  // none for pods in the host's network
  uint64_t processes = 0;
  std::vector<ContainerStats> containers;
};
struct NodeStats {
  std::string name;
  WallTime boot{};
  CpuStats cpu;
  MemoryStats memory;
  uint64_t page_faults = 0, major_page_faults = 0;
  FsStats fs, image_fs;  // image_fs.used: what images and layers take
  std::vector<InterfaceStats> interfaces;
  int64_t pids_max = 0, pids = 0, cpus = 0, memory_capacity = 0;
  std::string kernel, os;
  std::vector<PodStats> pods;
};

class StatsCollector {
 public:
  StatsCollector(Env& env, PodManager& pods) : env_(env), pods_(pods) {}
  // Blocks for the runtime. Any thread.
  Result<NodeStats, Error> collect();

 private:
  struct Before {
    WallTime time{};
    uint64_t nanoseconds = 0;
    std::optional<uint64_t> nanocores;
  };
  void add_rates(NodeStats& stats);
  Env& env_;
  PodManager& pods_;
  std::mutex mutex_;
  std::map<std::string, Before> before_;  // by cgroup; the node's is ""
};

// "Inter-| ..." of /proc/net/dev.
std::vector<InterfaceStats> parse_net_dev(const std::string& text);
// Core-nanoseconds a second between two measurements; nullopt: too close, or the counter restarted.
std::optional<uint64_t> nanocores_between(WallTime before, uint64_t nanoseconds_before,
                                          WallTime now, uint64_t nanoseconds_now);

std::string render_summary(const NodeStats& stats);                       // /stats/summary, JSON
std::string render_resource_metrics(const NodeStats& stats);              // /metrics/resource
std::string render_cadvisor_metrics(const NodeStats& stats);              // /metrics/cadvisor
std::string render_probe_metrics(const std::vector<ProbeCount>& counts);  // /metrics/probes
std::string render_failed_scrape();  // /metrics/resource without stats

}  // namespace orch::agent
