// Starts, watches and restarts a containerd of our own, with a generated configuration, everything
// under the data directory. Containers survive this process; a containerd left by a killed orch is
// adopted when its socket answers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"

namespace orch::agent {

// Where things of the agent with this data dir lie. Pure function of the data dir.
struct ContainerdPaths {
  std::string root;           // <data-dir>/agent/containerd/root
  std::string state;          // /run/orch/<hash>/containerd: shims' sockets need short paths
  std::string run_directory;  // /run/orch/<hash>
  std::string socket;         // unix socket path
  std::string endpoint;       // "unix://" + socket
  std::string config_file, log_file, pid_file;
  std::string owner_file;    // which orch process supervises it
  std::string cni_bin_dir;   // holds the symlink orch-cni -> the orch binary
  std::string cni_conf_dir;  // <data-dir>/agent/etc/cni/net.d
  std::string certs_dir;     // <data-dir>/agent/etc/containerd/certs.d (hosts.toml per registry)
  std::string images_dir;    // <data-dir>/agent/images: archives imported at start and later
};
ContainerdPaths containerd_paths(const std::string& data_dir);

// The pause image built into orch: "orch.local/pause:1".
std::string_view pause_image_name();

struct ContainerdOptions {
  std::string data_dir;
  std::string binary = "containerd";          // looked up in PATH
  std::string cni_binary = "/proc/self/exe";  // where cni_bin_dir/orch-cni points (resolved)
};

class Containerd {
 public:
  // Returns when the child was started or adopted, not yet when its socket answers. Error:
  // "containerd not found in PATH; install it or give --container-runtime-endpoint".
  static Result<std::unique_ptr<Containerd>, std::string> start(Env& env,
                                                                const ContainerdOptions& options);
  virtual ~Containerd() = default;
  // Ends containerd; shims and containers live on. Idempotent.
  virtual void stop() = 0;
  virtual const ContainerdPaths& paths() const = 0;
  // Blocks until the socket answers and the pause image is there, at most `timeout`.
  virtual bool wait_ready(Millis timeout) = 0;
};

// For `orch killall`: ends the orch that supervises, containerd, shims and their containers of this
// data dir, unmounts what they mounted below its root and state, removes the run directory. Errors
// are collected.
std::vector<std::string> kill_containerd(const std::string& data_dir);

}  // namespace orch::agent
