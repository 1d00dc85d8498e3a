#include "agent/pod/mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "agent/pod/dns.h"
#include "agent/pod/termination_message.h"
#include "agent/volumes/sub_path.h"
#include "orch/base/file.h"

namespace orch::agent {
namespace {

Error config_error(std::string message) { return {Error::Code::kConfig, std::move(message)}; }

MountSpec::Propagation propagation_of(const corev1::VolumeMount& mount) {
  const std::string mode = mount.mountPropagation.value_or("");
  if (mode == "HostToContainer") return MountSpec::Propagation::kHostToContainer;
  if (mode == "Bidirectional") return MountSpec::Propagation::kBidirectional;
  return MountSpec::Propagation::kPrivate;
}

// subPathExpr must resolve wholly.
Result<std::string, Error> expanded(const std::string& text, const Variables& environment) {
  std::string missing;
  std::string out = expand(text, [&](const std::string& name) -> const std::string* {
    for (const auto& [n, v] : environment) {
      if (n == name) return &v;
    }
    missing = name;
    return nullptr;
  });
  if (!missing.empty()) {
    return Err(config_error(
        fmt::format("failed to expand subPathExpr \"{}\": missing value for {}", text, missing)));
  }
  return out;
}

// Written in place: running containers have this very file mounted.
Result<Unit, Error> write_file(const std::string& path, const std::string& content, mode_t mode) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (auto made = make_directories(parent, 0750); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  bool ok = fd >= 0 && ::fchmod(fd, mode) == 0 &&
            ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  int saved = errno;
  if (fd >= 0) ::close(fd);
  if (ok) return Unit{};
  return Err(Error{Error::Code::kInternal, fmt::format("{}: {}", path, std::strerror(saved))});
}

Result<Unit, Error> add_volumes(const MountsInput& input, std::vector<MountSpec>& out) {
  int index = 0;
  for (const auto& mount : input.container.volumeMounts) {
    auto volume = input.volume_paths.find(mount.name);
    if (volume == input.volume_paths.end()) {
      return Err(config_error(fmt::format("volume \"{}\" is not mounted", mount.name)));
    }
    MountSpec m;
    m.container_path = mount.mountPath;
    if (!m.container_path.starts_with('/')) m.container_path.insert(0, "/");
    m.host_path = volume->second;
    m.readonly = mount.readOnly;
    m.recursive_readonly = mount.recursiveReadOnly == "Enabled";
    m.propagation = propagation_of(mount);
    std::string sub_path = mount.subPath;
    if (!mount.subPathExpr.empty()) {
      ORCH_TRY(sub_path, expanded(mount.subPathExpr, input.environment));
    }
    if (!sub_path.empty()) {
      const std::string target = fmt::format("{}/volume-subpaths/{}/{}/{}", input.pod_dir,
                                             mount.name, input.container.name, index);
      auto bound = bind_sub_path(m.host_path, sub_path, target);
      if (!bound) {
        return Err(config_error(
            fmt::format("failed to prepare subPath for volumeMount \"{}\" of container \"{}\": {}",
                        mount.name, input.container.name, bound.error().message)));
      }
      m.host_path = target;
    }
    ++index;
    out.push_back(std::move(m));
  }
  return Unit{};
}

bool mounts_over(const std::vector<MountSpec>& mounts, const std::string& path) {
  for (const auto& m : mounts) {
    if (m.container_path == path) return true;
  }
  return false;
}

Result<Unit, Error> add_hosts(const MountsInput& input, std::vector<MountSpec>& out) {
  if (mounts_over(out, "/etc/hosts")) return Unit{};
  const std::string file = input.pod_dir + "/etc-hosts";
  const std::string host_hosts =
      input.pod.spec.hostNetwork ? read_file("/etc/hosts").value_or("") : "";
  const std::string content =
      hosts_file(input.pod, input.pod_ips, input.cluster_domain, host_hosts);
  // What a container changed stays, unless the pod's address is another now.
  auto present = read_file(file);
  const bool keep =
      present && !present->empty() &&
      (input.pod_ips.empty() || present->find(input.pod_ips[0] + "\t") != std::string::npos ||
       input.pod.spec.hostNetwork);
  if (!keep) ORCH_CHECK(write_file(file, content, 0644));
  out.push_back({.container_path = "/etc/hosts", .host_path = file});
  return Unit{};
}

}  // namespace

Result<std::vector<MountSpec>, Error> make_mounts(const MountsInput& input) {
  std::vector<MountSpec> out;
  if (!input.container.volumeDevices.empty()) {
    return Err(config_error("volumeDevices are not supported here"));
  }
  ORCH_CHECK(add_volumes(input, out));
  ORCH_CHECK(add_hosts(input, out));
  if (!input.container.terminationMessagePath.empty() &&
      !mounts_over(out, input.container.terminationMessagePath)) {
    const std::string file =
        termination_file(input.pod_dir, input.container.name, input.restart_count);
    ORCH_CHECK(write_file(file, "", 0666));
    out.push_back({.container_path = input.container.terminationMessagePath, .host_path = file});
  }
  return out;
}

}  // namespace orch::agent
