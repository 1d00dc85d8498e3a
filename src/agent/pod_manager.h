// Runs the node's pods: one worker each, over a ContainerRuntime. Owned by the agent's composition
// root. What it is told (pods) and what it sees (the runtime) are its only inputs; it writes pod
// status, deletes pods that ended, and records events. Any thread may call any method.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/error.h"
#include "agent/node/pressure.h"
#include "agent/runtime.h"
#include "orch/api/corev1.h"  // generated
#include "orch/base/env.h"
#include "orch/client/events.h"
#include "orch/client/transport.h"

namespace orch::agent {

struct PodManagerConfig {
  std::string data_dir;  // state under <data_dir>/agent
  std::string node_name;
  std::vector<std::string> node_ips;     // at the start; first = primary: hostIP of pods
  std::vector<std::string> cluster_dns;  // "" entries are not allowed; empty = no cluster DNS
  std::string cluster_domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
  std::string cgroup_root;  // "" = cgroup_root_of(data_dir)
  int64_t log_file_bytes_max = 10 * 1024 * 1024;
  int log_files_max = 5;
  int64_t pod_pids_max = -1;    // -1 = none
  bool seccomp_default = true;  // RuntimeDefault where a pod names no seccomp profile
};

struct PodManagerDeps {
  client::Transport& transport;  // with the node's identity
  ContainerRuntime& runtime;
  client::EventRecorder& events;  // component kubelet, host = node name
  // All Services known here, for the service environment; may be empty while not synced.
  std::function<std::vector<std::shared_ptr<const api::corev1::Service>>()> services;
  // This node as the server has it; null while it is not known.
  std::function<std::shared_ptr<const api::corev1::Node>()> node;
  // The Node's allocatable, the default of resourceFieldRef limits.
  std::function<std::map<std::string, api::Quantity>()> allocatable;
  // What the node is short of: new pods may be refused for it.
  std::function<Pressure()> pressure;
  PodManagerConfig config;
};

// A container of a pod; container "" = the annotated default, or the first.
struct ContainerTarget {
  std::string namespace_, pod, container;
  std::string pod_uid;  // "" = any
};

// How often a probe of a container was asked, by answer, as long as its pod lives.
struct ProbeCount {
  std::string namespace_, pod, pod_uid, container, type;  // type: "Liveness", ...
  uint64_t successful = 0, failed = 0, unknown = 0;
};

struct PodUsage {
  std::shared_ptr<const api::corev1::Pod> pod;  // with its newest status
  std::string sandbox_id;                       // "" = none runs
  std::vector<UsageView> containers;
};

// Why and how a pod is evicted.
struct Eviction {
  std::string message;
  int64_t grace_seconds = 1;
  bool disruption = false;  // told in the condition DisruptionTarget too
};

class PodManager {
 public:
  static std::unique_ptr<PodManager> create(Env& env, PodManagerDeps deps);
  virtual ~PodManager() = default;

  // Loads the checkpoint of last known pods and starts them (or goes on with them), at once, server
  // or not. stop() leaves containers running; idempotent.
  virtual void start() = 0;
  virtual void stop() = 0;

  // Pods bound to this node, straight from a pod informer's handler (selector spec.nodeName): null
  // old = added, null now = deleted.
  virtual void on_pod_change(const api::ObjectPtr& old, const api::ObjectPtr& now) = 0;
  // After the informer's first list, all of which was given to on_pod_change: from now on what runs
  // but is not wanted is an orphan and is removed.
  virtual void on_pods_synced() = 0;

  // The node has other addresses: pods' hostIP follows.
  virtual void set_node_ips(std::vector<std::string> ips) = 0;

  // The pods here with their newest status, as the agent computes it (may be ahead of the server).
  virtual std::vector<std::shared_ptr<const api::corev1::Pod>> pods() const = 0;
  virtual size_t pod_count() const = 0;

  // What the runtime last said of itself (asked every 10 s and at start), for node conditions.
  // Unreachable: runtime_ready false, with the reason.
  virtual RuntimeInfo runtime_info() const = 0;
  // Called (on some thread) when runtime_info() changes.
  virtual void on_runtime_change(std::function<void()> fn) = 0;

  // Streaming URLs of the runtime. Error kNotFound: `pod does not exist` or
  // `container not found ("x")`; other codes otherwise. They block for the runtime's answer.
  virtual Result<std::string, Error> exec_url(const ContainerTarget& target,
                                              const ExecOptions& options) = 0;
  // `options` becomes what is attached to: tty and stdin are the container's.
  virtual Result<std::string, Error> attach_url(const ContainerTarget& target,
                                                ExecOptions& options) = 0;
  virtual Result<std::string, Error> port_forward_url(const ContainerTarget& pod,
                                                      const std::vector<int32_t>& ports) = 0;
  // The CRI log file of the container's current (or previous) run. Errors as kubectl shows them:
  // `container "c" in pod "p" is waiting to start: ContainerCreating`,
  // `previous terminated container "c" in pod "p" not found`.
  virtual Result<std::string, Error> log_path(const ContainerTarget& target, bool previous) = 0;
  // True while the container whose log is followed still runs (a follower ends when it does not).
  virtual bool container_running(const ContainerTarget& target) const = 0;

  // Usage by container from the runtime; blocks for its answer.
  virtual Result<std::vector<PodUsage>, Error> usage() = 0;
  // Where the runtime keeps images and writable layers; blocks too.
  virtual Result<std::vector<FilesystemView>, Error> image_filesystems() = 0;
  virtual std::vector<ProbeCount> probes() const = 0;

  // The pod fails with reason Evicted and its containers are stopped. False: it is not here, or has
  // ended, or is being evicted already.
  virtual bool evict(const std::string& uid, const Eviction& eviction) = 0;
  // Nothing of it runs, and its volumes are gone.
  virtual bool is_cleaned(const std::string& uid) const = 0;
  // Begins to remove the runtime's records (layers and logs with them) of pods that ended; how many
  // are left. To be called again until there are none.
  virtual size_t remove_ended() = 0;
  virtual const PodManagerConfig& config() const = 0;
};

// "/orch/<hash of data dir>": the parent of this agent's pod cgroups in every hierarchy.
std::string cgroup_root_of(const std::string& data_dir);

}  // namespace orch::agent
