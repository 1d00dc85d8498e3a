// Volumes of pods: one driver a kind of source, each in its own file, listed in volumes.def.
// Drivers are stateless; their calls do file system work and may block on the server through
// ObjectSource. One call at a time for a volume.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/error.h"
#include "agent/pod/downward.h"
#include "agent/pod/environment.h"
#include "agent/pod/pod_access.h"
#include "orch/base/env.h"

namespace orch::agent {

struct VolumeContext {
  const corev1::Pod& pod;
  std::string directory;  // this volume's own: <pod dir>/volumes/kubernetes.io~<kind>/<name>
  ObjectSource& objects;
  PodAddresses addresses;
  std::map<std::string, api::Quantity> allocatable;
  WallTime now;
  std::string storage_dir;  // where local-path volumes of this node are
};

class VolumeDriver {
 public:
  virtual ~VolumeDriver() = default;
  virtual std::string_view kind() const = 0;  // "empty-dir": part of the directory's name
  virtual bool handles(const corev1::Volume& volume) const = 0;
  // Makes the volume, or brings it up to date. The path to mount into containers.
  virtual Result<std::string, Error> set_up(const VolumeContext& context,
                                            const corev1::Volume& volume) const = 0;
  // True: set_up() is called again about every minute while the pod runs.
  virtual bool refreshes() const { return false; }
};

// What the event FailedMount says of a volume that could not be made, in the kubelet's words.
std::string failed_mount_text(const std::string& volume, const Error& error);

// nullptr: no driver for it.
const VolumeDriver* find_volume_driver(const corev1::Volume& volume);

// ---- what drivers share ----

// A tmpfs on `directory`, unless one is there. size_bytes 0 = the kernel's default.
Result<Unit, Error> mount_tmpfs(const std::string& directory, int64_t size_bytes);
bool is_mount_point(const std::string& path);
Error errno_error(const std::string& what);
std::optional<int64_t> fs_group_of(const corev1::Pod& pod);
// Gives the tree to the group as the kubelet does: setgid folders, group read (and write).
Result<Unit, Error> set_group(const std::string& path, int64_t gid, bool writable);

// Files of a projected kind of volume: relative path -> content.
struct VolumeFile {
  std::string content;
  int32_t mode = 0644;
  std::optional<int64_t> uid;
};
using VolumeFiles = std::map<std::string, VolumeFile>;

// Adds the keys of a ConfigMap or Secret. Empty items = all keys. Error:
// "references non-existent config key: k".
Result<Unit, Error> add_keys(const std::map<std::string, std::string>& data,
                             const std::vector<corev1::KeyToPath>& items, int32_t mode,
                             bool optional, std::string_view kind, VolumeFiles& files);
Result<Unit, Error> add_downward(const VolumeContext& context,
                                 const std::vector<corev1::DownwardAPIVolumeFile>& items,
                                 int32_t mode, VolumeFiles& files);
// Refuses paths that are absolute or have "..".
Result<Unit, Error> check_relative(const std::string& path);

}  // namespace orch::agent
