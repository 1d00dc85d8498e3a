#include "agent/volumes/volume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/storage/tree.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {

#define ORCH_VOLUME(name) const VolumeDriver& name##_volume();
#include "agent/volumes/volumes.def"
#undef ORCH_VOLUME

const VolumeDriver* find_volume_driver(const corev1::Volume& volume) {
  const VolumeDriver* drivers[] = {
#define ORCH_VOLUME(name) &name##_volume(),
#include "agent/volumes/volumes.def"
#undef ORCH_VOLUME
  };
  for (const VolumeDriver* driver : drivers) {
    if (driver->handles(volume)) return driver;
  }
  return nullptr;
}

std::string failed_mount_text(const std::string& volume, const Error& error) {
  const std::string& why = error.message;
  // These say themselves which step failed.
  if (why.starts_with("MountVolume.") || why.starts_with("failed to get Plugin")) return why;
  if (why.starts_with("error processing PVC") || why.find(" has volumeMode ") != why.npos) {
    return fmt::format(
        "Unable to attach or mount volumes: unmounted volumes=[{0}], unattached volumes=[], "
        "failed to process volumes=[{0}]: {1}",
        volume, why);
  }
  return fmt::format("MountVolume.SetUp failed for volume \"{}\" : {}", volume, why);
}

Error errno_error(const std::string& what) {
  return {Error::Code::kInternal, fmt::format("{}: {}", what, std::strerror(errno))};
}

bool is_mount_point(const std::string& path) {
  struct stat here {
  }, above{};
  if (::stat(path.c_str(), &here) != 0) return false;
  if (::stat((path + "/..").c_str(), &above) != 0) return false;
  return here.st_dev != above.st_dev;
}

Result<Unit, Error> mount_tmpfs(const std::string& directory, int64_t size_bytes) {
  if (auto made = make_directories(directory, 0755); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  if (is_mount_point(directory)) return Unit{};
  std::string options = "mode=0777";
  if (size_bytes > 0) options += fmt::format(",size={}", size_bytes);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return Err(errno_error("mount tmpfs on " + directory));
  }
  return Unit{};
}

std::optional<int64_t> fs_group_of(const corev1::Pod& pod) {
  return pod.spec.securityContext ? pod.spec.securityContext->fsGroup : std::nullopt;
}

Result<Unit, Error> set_group(const std::string& path, int64_t gid, bool writable) {
  return give_tree_to_group(path, static_cast<gid_t>(gid), writable ? 0660 : 0440);
}

Result<Unit, Error> check_relative(const std::string& path) {
  bool bad = path.empty() || path.front() == '/';
  for (const auto& part : split(path, '/')) bad |= part == "..";
  if (bad || path.starts_with("..")) {
    return Err(Error{Error::Code::kConfig,
                     fmt::format("invalid path \"{}\": must be relative, without \"..\"", path)});
  }
  return Unit{};
}

Result<Unit, Error> add_keys(const std::map<std::string, std::string>& data,
                             const std::vector<corev1::KeyToPath>& items, int32_t mode,
                             bool optional, std::string_view kind, VolumeFiles& files) {
  if (items.empty()) {
    for (const auto& [key, content] : data) {
      ORCH_CHECK(check_relative(key));
      files[key] = {content, mode, {}};
    }
    return Unit{};
  }
  for (const auto& item : items) {
    auto it = data.find(item.key);
    if (it == data.end()) {
      if (optional) continue;
      return Err(Error{Error::Code::kConfig,
                       fmt::format("references non-existent {} key: {}", kind, item.key)});
    }
    ORCH_CHECK(check_relative(item.path));
    files[item.path] = {it->second, item.mode.value_or(mode), {}};
  }
  return Unit{};
}

Result<Unit, Error> add_downward(const VolumeContext& context,
                                 const std::vector<corev1::DownwardAPIVolumeFile>& items,
                                 int32_t mode, VolumeFiles& files) {
  for (const auto& item : items) {
    ORCH_CHECK(check_relative(item.path));
    std::string content;
    if (item.fieldRef) {
      ORCH_TRY(content, field_value(context.pod, item.fieldRef->fieldPath, context.addresses));
    } else if (item.resourceFieldRef) {
      ORCH_TRY(content,
               resource_value(context.pod, *item.resourceFieldRef, nullptr, context.allocatable));
    }
    files[item.path] = {std::move(content), item.mode.value_or(mode), {}};
  }
  return Unit{};
}

}  // namespace orch::agent
