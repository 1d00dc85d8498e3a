// The container runtime as the agent sees it: plain structs over CRI runtime/v1. Implemented by
// CriRuntime (cri/cri_runtime.h) and by test doubles. Every call is asynchronous: it returns at
// once and calls `done` once, on a thread of the runtime; callers post to their strand from there.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/error.h"
#include "orch/base/clock.h"

namespace orch::agent {

using StringMap = std::map<std::string, std::string>;

enum class NamespaceMode : uint8_t { kPod, kContainer, kNode, kTarget };

struct NamespaceOptions {
  NamespaceMode network = NamespaceMode::kPod;
  NamespaceMode pid = NamespaceMode::kContainer;
  NamespaceMode ipc = NamespaceMode::kPod;
  std::string target_id;  // kTarget: the container whose pid namespace is joined
};

struct SeccompProfile {
  enum class Type : uint8_t { kRuntimeDefault, kUnconfined, kLocalhost };
  Type type = Type::kUnconfined;
  std::string localhost_path;  // absolute
};

struct PortMapping {
  enum class Protocol : uint8_t { kTcp, kUdp, kSctp };
  Protocol protocol = Protocol::kTcp;
  int32_t container_port = 0, host_port = 0;
  std::string host_ip;
};

struct DnsConfig {
  std::vector<std::string> servers, searches, options;
};

struct LinuxResources {
  int64_t cpu_period_us = 0, cpu_quota_us = 0, cpu_shares = 0;
  int64_t memory_limit_bytes = 0;  // 0 = none
  int64_t oom_score_adj = 0;
  StringMap unified;  // cgroup v2 files
};

struct SandboxSpec {
  std::string name, namespace_, uid;
  uint32_t attempt = 0;
  std::string hostname;
  std::string log_directory;
  DnsConfig dns;
  std::vector<PortMapping> port_mappings;
  StringMap labels, annotations;
  std::string cgroup_parent;
  StringMap sysctls;
  NamespaceOptions namespaces;
  std::optional<int64_t> run_as_user, run_as_group;
  std::vector<int64_t> supplemental_groups;
  bool privileged = false;
  bool readonly_rootfs = false;
  SeccompProfile seccomp{SeccompProfile::Type::kRuntimeDefault, ""};
  std::string runtime_handler;
};

struct MountSpec {
  enum class Propagation : uint8_t { kPrivate, kHostToContainer, kBidirectional };
  std::string container_path, host_path;
  bool readonly = false;
  bool recursive_readonly = false;
  Propagation propagation = Propagation::kPrivate;
};

struct DeviceSpec {
  std::string container_path, host_path, permissions;
};

struct ContainerSpec {
  std::string sandbox_id;
  SandboxSpec sandbox;  // what the sandbox was made from
  std::string name;
  uint32_t attempt = 0;
  std::string image;       // what the runtime resolves (an image id after the pull)
  std::string user_image;  // as in the pod
  std::vector<std::string> command, args;
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> envs;
  std::vector<MountSpec> mounts;
  std::vector<DeviceSpec> devices;
  StringMap labels, annotations;
  std::string log_path;  // relative to the sandbox's log_directory
  bool stdin_open = false, stdin_once = false, tty = false;
  LinuxResources resources;
  std::vector<std::string> add_capabilities, drop_capabilities;
  bool privileged = false, readonly_rootfs = false, no_new_privs = false;
  NamespaceOptions namespaces;
  std::optional<int64_t> run_as_user, run_as_group;
  std::string run_as_username;
  std::vector<int64_t> supplemental_groups;
  bool supplemental_groups_strict = false;
  SeccompProfile seccomp;
  std::string apparmor_localhost;  // profile name; "" = runtime default
  bool apparmor_unconfined = false;
  std::vector<std::string> masked_paths, readonly_paths;
};

struct SandboxView {
  std::string id, name, namespace_, uid;
  uint32_t attempt = 0;
  bool ready = false;
  int64_t created_at_ns = 0;
  StringMap labels, annotations;
  // Only from sandbox_status().
  std::vector<std::string> ips;
  bool host_network = false;
};

enum class ContainerState : uint8_t { kCreated, kRunning, kExited, kUnknown };

struct ContainerView {
  std::string id, sandbox_id, name;
  uint32_t attempt = 0;
  ContainerState state = ContainerState::kUnknown;
  std::string image;      // as in the pod
  std::string image_ref;  // digest reference or id
  int64_t created_at_ns = 0;
  StringMap labels, annotations;
  // Only from container_status().
  bool detailed = false;
  int64_t started_at_ns = 0, finished_at_ns = 0;
  int32_t exit_code = 0;
  std::string reason, message;
  std::string log_path;  // absolute
};

struct RuntimeView {
  std::vector<SandboxView> sandboxes;
  std::vector<ContainerView> containers;
};

struct RuntimeInfo {
  std::string name, version;  // "containerd", "1.6.20~ds1"
  bool runtime_ready = false, network_ready = false;
  std::string runtime_message, network_message;  // why not
};

struct ImageView {
  std::string id;
  std::vector<std::string> tags, digests;
  uint64_t size_bytes = 0;
  std::optional<int64_t> uid;  // USER of the image, numeric
  std::string username;        // USER of the image, by name
  bool pinned = false;         // the runtime says: not to be removed
};

struct ImageAuth {
  std::string username, password, auth, server_address, identity_token, registry_token;
};

struct ExecOutput {
  std::string out, err;
  int32_t exit_code = 0;
};

struct ExecOptions {
  std::vector<std::string> command;
  bool tty = false, stdin_open = false, stdout_open = true, stderr_open = true;
};

struct UsageView {
  std::string id;    // container or sandbox
  std::string name;  // container name; "" for a sandbox
  std::string pod_uid, pod_name, pod_namespace;
  int64_t time_ns = 0;
  uint64_t cpu_nanoseconds = 0;  // since its start
  uint64_t memory_working_set_bytes = 0;
  uint64_t memory_usage_bytes = 0, memory_rss_bytes = 0;
  uint64_t filesystem_used_bytes = 0, filesystem_inodes = 0;
};

struct FilesystemView {
  std::string mountpoint;
  uint64_t used_bytes = 0, inodes_used = 0;
};

class ContainerRuntime {
 public:
  virtual ~ContainerRuntime() = default;

  virtual void status(Done<RuntimeInfo> done) = 0;
  // Ground truth, without the fields marked "only from ..._status".
  virtual void list(Done<RuntimeView> done) = 0;

  virtual void run_sandbox(const SandboxSpec& spec, Done<std::string> done) = 0;  // sandbox id
  virtual void stop_sandbox(const std::string& id, Done<Unit> done) = 0;          // gone = done
  virtual void remove_sandbox(const std::string& id, Done<Unit> done) = 0;        // gone = done
  virtual void sandbox_status(const std::string& id, Done<SandboxView> done) = 0;

  virtual void create_container(const ContainerSpec& spec, Done<std::string> done) = 0;
  virtual void start_container(const std::string& id, Done<Unit> done) = 0;
  virtual void stop_container(const std::string& id, Seconds grace, Done<Unit> done) = 0;
  virtual void remove_container(const std::string& id, Done<Unit> done) = 0;
  virtual void container_status(const std::string& id, Done<ContainerView> done) = 0;
  virtual void update_resources(const std::string& id, const LinuxResources& resources,
                                Done<Unit> done) = 0;
  virtual void reopen_log(const std::string& id, Done<Unit> done) = 0;

  virtual void exec_sync(const std::string& id, const std::vector<std::string>& command,
                         Seconds timeout, Done<ExecOutput> done) = 0;
  // Streaming URLs ("http://127.0.0.1:PORT/exec/TOKEN"), good for one connection.
  virtual void exec(const std::string& id, const ExecOptions& options, Done<std::string> done) = 0;
  virtual void attach(const std::string& id, const ExecOptions& options,
                      Done<std::string> done) = 0;
  virtual void port_forward(const std::string& sandbox_id, const std::vector<int32_t>& ports,
                            Done<std::string> done) = 0;

  virtual void container_stats(Done<std::vector<UsageView>> done) = 0;
  virtual void sandbox_stats(Done<std::vector<UsageView>> done) = 0;

  // nullopt = not there.
  virtual void image_status(const std::string& image, Done<std::optional<ImageView>> done) = 0;
  virtual void list_images(Done<std::vector<ImageView>> done) = 0;
  virtual void pull_image(const std::string& image, const std::optional<ImageAuth>& auth,
                          Done<std::string> done) = 0;  // image reference
  virtual void remove_image(const std::string& image, Done<Unit> done) = 0;
  virtual void image_fs(Done<std::vector<FilesystemView>> done) = 0;
};

}  // namespace orch::agent
