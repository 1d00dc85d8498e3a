// The node agent as one object: kubelet, service proxy, CNI, DNS. Built by main.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"

namespace orch::agent {

struct AgentConfig {
  std::string data_dir = "/var/lib/orch";
  std::string join;                    // "https://server:6443"
  std::string token;                   // "K10<hash>::user:secret" or a bare secret
  std::string node_name;               // "" = hostname, lower case
  std::string node_ip;                 // "" = the default route's source address
  std::string node_external_ip;        // "" = none
  std::vector<std::string> node_label; // "key=value"
  std::vector<std::string> node_taint; // "key=value:Effect"
  uint16_t kubelet_port = 10250;
  std::string container_runtime_endpoint;  // "" = supervise a containerd of our own
  std::string overlay = "vxlan";       // vxlan | host-gw | none
  std::string proxy_mode = "nftables"; // nftables | iptables
  bool seccomp_default = true;         // pods that name no seccomp profile get the runtime's
  std::string bind_address = "0.0.0.0";
  std::string pod_max_pids = "-1";         // of one pod; -1 = no limit
  // Image garbage collection and eviction, in the kubelet's notation.
  uint16_t image_gc_high_threshold = 85, image_gc_low_threshold = 80;  // percent
  std::string minimum_image_ttl_duration = "2m0s", image_maximum_gc_age = "0s";
  std::string pod_infra_container_image;  // of a foreign runtime: never removed
  std::vector<std::string> eviction_hard;  // "memory.available<100Mi"; empty = the defaults
  std::vector<std::string> eviction_soft, eviction_soft_grace_period, eviction_minimum_reclaim;
  std::string eviction_pressure_transition_period = "5m0s";
  std::string eviction_max_pod_grace_period = "0";  // seconds
};

// What can be told of a configuration before anything is started or written; the error names the
// flag.
Result<Unit, std::string> check_agent_config(const AgentConfig& config);

class Agent {
 public:
  // Returns when the agent runs (its node may not be Ready yet). It lives on when the server is
  // away; errors are for bad configuration, wrong token or CA.
  static Result<std::unique_ptr<Agent>, std::string> start(Env& env, const AgentConfig& config);
  virtual ~Agent() = default;
  virtual void stop() = 0;  // within 5 s; containers run on; idempotent
};

// `orch killall`: stops and removes what agents with this data dir made (containers, mounts, links,
// tables, cgroups). Works without a running orch. Errors are collected, not fatal.
std::vector<std::string> kill_all(const std::string& data_dir);

}  // namespace orch::agent
