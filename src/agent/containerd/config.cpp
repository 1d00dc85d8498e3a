#include "agent/containerd/config.h"

#include <fmt/format.h>

#include <filesystem>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

// A TOML basic string.
std::string quote(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + '"';
}

}  // namespace

std::string_view pause_image_name() { return "orch.local/pause:1"; }

ContainerdPaths containerd_paths(const std::string& data_dir) {
  std::error_code ec;
  std::string dir = std::filesystem::weakly_canonical(data_dir, ec).string();
  if (ec || dir.empty()) dir = data_dir;
  ContainerdPaths paths;
  const std::string agent = dir + "/agent";
  // Unix socket paths end at 107 bytes and shims append to the state directory: keep it short.
  paths.run_directory = fmt::format("/run/orch/{:08x}", fnv1a32(dir));
  paths.state = paths.run_directory + "/containerd";
  paths.socket = paths.run_directory + "/containerd.sock";
  paths.endpoint = "unix://" + paths.socket;
  paths.root = agent + "/containerd/root";
  paths.config_file = agent + "/etc/containerd/config.toml";
  paths.log_file = agent + "/containerd/containerd.log";
  paths.pid_file = paths.run_directory + "/containerd.pid";
  paths.owner_file = paths.run_directory + "/orch.pid";
  paths.cni_bin_dir = agent + "/cni/bin";
  paths.cni_conf_dir = agent + "/etc/cni/net.d";
  paths.certs_dir = agent + "/etc/containerd/certs.d";
  paths.images_dir = agent + "/images";
  return paths;
}

std::string containerd_config(const ContainerdPaths& paths, const ContainerdSettings& settings) {
  return fmt::format(
      R"(# Written by orch at every start; changes are lost.
version = 2
root = {root}
state = {state}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = {socket}

[ttrpc]
  address = {ttrpc}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  stream_idle_timeout = "4h0m0s"
  restrict_oom_score_adj = {restrict_oom}
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  max_container_log_line_size = 16384
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  device_ownership_from_security_context = false

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = {cni_bin}
  conf_dir = {cni_conf}
  max_conf_num = 1

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = {certs}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}
)",
      fmt::arg("root", quote(paths.root)), fmt::arg("state", quote(paths.state)),
      fmt::arg("socket", quote(paths.socket)), fmt::arg("ttrpc", quote(paths.socket + ".ttrpc")),
      fmt::arg("pause", pause_image_name()), fmt::arg("snapshotter", settings.snapshotter),
      fmt::arg("restrict_oom", settings.restrict_oom_score_adj),
      fmt::arg("cni_bin", quote(paths.cni_bin_dir)),
      fmt::arg("cni_conf", quote(paths.cni_conf_dir)), fmt::arg("certs", quote(paths.certs_dir)),
      fmt::arg("opt", quote(paths.root + "/opt")));
}

}  // namespace orch::agent
