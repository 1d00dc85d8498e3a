// Claims of pods: from the claim to the volume it is bound to, and from there to a path on this
// node. Volumes of kind local and hostPath; those of the built-in provisioner are made here.
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "agent/storage/local_path.h"
#include "agent/volumes/volume.h"
#include "orch/api/volume_binding.h"
#include "orch/base/file.h"

namespace orch::agent {
namespace {

using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;

Error problem(std::string message) { return {Error::Code::kConfig, std::move(message)}; }

// What was set up once goes on although the claim is about to go.
bool is_set_up(const VolumeContext& context) { return file_exists(context.directory); }

Result<std::shared_ptr<const PersistentVolume>, Error> find_volume(const VolumeContext& context,
                                                                   const corev1::Volume& volume) {
  const std::string& ns = context.pod.metadata.namespace_;
  const std::string name = api::claim_name_of(context.pod, volume);
  const auto failed = [&](std::string why, Error::Code code = Error::Code::kNotFound) {
    return Err(Error{code, fmt::format("error processing PVC {}/{}: {}", ns, name, why)});
  };
  auto claim = context.objects.claim(ns, name);
  if (!claim) {
    return failed("failed to fetch PVC from API server: " + claim.error().message,
                  claim.error().code);
  }
  if (volume.ephemeral) {
    if (auto why = api::not_created_for(context.pod, **claim); !why.empty()) return failed(why);
  }
  if ((*claim)->metadata.deletionTimestamp && !is_set_up(context)) {
    return failed("PVC is being deleted");
  }
  if ((*claim)->status.phase != "Bound") return failed("PVC is not bound");
  const std::string& volume_name = (*claim)->spec.volumeName;
  if (volume_name.empty()) return failed("PVC has empty pvc.Spec.VolumeName");
  auto found = context.objects.persistent_volume(volume_name);
  if (!found) {
    return failed(fmt::format("failed to fetch PV \"{}\" from API server: {}", volume_name,
                              found.error().message),
                  found.error().code);
  }
  const auto& ref = (*found)->spec.claimRef;
  if (!ref) {
    return failed(
        fmt::format("found PV object \"{}\" but it has a nil pvc.Spec.ClaimRef "
                    "indicating it is not yet bound to the claim",
                    volume_name));
  }
  if (ref->uid != (*claim)->metadata.uid) {
    return failed(
        fmt::format("found PV object \"{}\" but its pvc.Spec.ClaimRef.UID \"{}\" does "
                    "not point to claim.UID \"{}\"",
                    volume_name, ref->uid, (*claim)->metadata.uid));
  }
  return *found;
}

template <class Mounts>
bool named(const Mounts& mounts, const std::string& name) {
  for (const auto& mount : mounts) {
    if (mount.name == name) return true;
  }
  return false;
}

Result<Unit, Error> check_mode(const corev1::Pod& pod, const std::string& name,
                               const PersistentVolume& volume) {
  const std::string mode = volume.spec.volumeMode.value_or("Filesystem");
  bool mounted = false, device = false;
  for (const auto& c : all_containers(pod)) {
    mounted |= named(c.spec.volumeMounts, name);
    device |= named(c.spec.volumeDevices, name);
  }
  if (mounted && mode != "Filesystem") {
    return Err(problem(
        fmt::format("volume {} has volumeMode {}, but is specified in volumeMounts", name, mode)));
  }
  if (device && mode != "Block") {
    return Err(problem(
        fmt::format("volume {} has volumeMode {}, but is specified in volumeDevices", name, mode)));
  }
  if (mode == "Block") {
    return Err(
        problem("MountVolume.MapVolume failed: volumes of mode Block are not supported "
                "here"));
  }
  return Unit{};
}

Result<std::string, Error> local_path(const VolumeContext& context,
                                      const PersistentVolume& volume) {
  const std::string& path = volume.spec.local->path;
  if (api::annotation(volume.metadata, api::kProvisionedBy) == api::kLocalPathProvisioner) {
    if (api::annotation(volume.metadata, api::kLocalPathNode) != context.pod.spec.nodeName) {
      return Err(
          problem(fmt::format("MountVolume.NodeAffinity check failed for volume \"{}\" : "
                              "no matching NodeSelectorTerms",
                              volume.metadata.name)));
    }
    const auto bytes = api::storage_of(volume.spec.capacity).value();
    ORCH_CHECK(LocalPathStore(context.storage_dir)
                   .ensure(path, static_cast<uint64_t>(std::max<int64_t>(0, bytes))));
    return path;
  }
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return Err(problem(fmt::format(
        "MountVolume.NewMounter initialization failed for volume \"{}\" : path \"{}\" {}",
        volume.metadata.name, path, errno == ENOENT ? "does not exist" : "is not a directory")));
  }
  return path;
}

// fsGroupChangePolicy: whether the tree is to be walked although the root may be right already.
bool group_is_right(const corev1::Pod& pod, const std::string& path, int64_t gid) {
  const auto& context = pod.spec.securityContext;
  if (!context || context->fsGroupChangePolicy.value_or("Always") != "OnRootMismatch") return false;
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && st.st_gid == static_cast<gid_t>(gid) &&
         (st.st_mode & 02770) == 02770;
}

// The volume, read-only, on a directory of the pod's.
Result<Unit, Error> bind_readonly(const std::string& path, const std::string& target) {
  if (is_mount_point(target)) return Unit{};
  if (::mount(path.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return Err(errno_error("bind " + path));
  }
  if (::mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    const Error error = errno_error("remount " + path);
    ::umount2(target.c_str(), MNT_DETACH);
    return Err(error);
  }
  return Unit{};
}

class ClaimVolume final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "persistent-volume-claim"; }
  bool handles(const corev1::Volume& volume) const override {
    return volume.persistentVolumeClaim || volume.ephemeral;
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    ORCH_TRY(const auto found, find_volume(context, volume));
    ORCH_CHECK(check_mode(context.pod, volume.name, *found));
    std::string path;
    if (found->spec.local) {
      ORCH_TRY(path, local_path(context, *found));
    } else if (found->spec.hostPath) {
      corev1::Volume on_host;
      on_host.hostPath = found->spec.hostPath;
      ORCH_TRY(path, find_volume_driver(on_host)->set_up(context, on_host));
    } else {
      return Err(
          problem(fmt::format("failed to get Plugin from volumeSpec for volume \"{}\" "
                              "err=no volume plugin matched",
                              found->metadata.name)));
    }
    const bool first = !is_set_up(context);
    if (auto made = make_directories(context.directory, 0750); !made) {
      return Err(Error{Error::Code::kInternal, made.error()});
    }
    if (volume.persistentVolumeClaim && volume.persistentVolumeClaim->readOnly) {
      ORCH_CHECK(bind_readonly(path, context.directory));
      return context.directory;
    }
    // Host paths belong to the host: their owners stay, as with the kubelet.
    const auto gid = fs_group_of(context.pod);
    if (first && gid && found->spec.local && !group_is_right(context.pod, path, *gid)) {
      auto given = set_group(path, *gid, true);
      if (!given) {
        ::rmdir(context.directory.c_str());  // so that it is done again
        return Err(std::move(given).error());
      }
    }
    return path;
  }
};

}  // namespace

const VolumeDriver& persistent_volume_claim_volume() {
  static const ClaimVolume driver;
  return driver;
}

}  // namespace orch::agent
