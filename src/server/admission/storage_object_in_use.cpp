// StorageObjectInUseProtection: claims and volumes are born with the finalizers that keep them
// while they are used. LocalPathRestriction: what a node may change of a volume is one thing, to
// take away the finalizer of its own local-path volumes once the data is removed.
#include <fmt/format.h>

#include "orch/api/volume_binding.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolume;

class StorageObjectInUse final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "StorageObjectInUseProtection"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate) return Unit{};
    const char* finalizer = nullptr;
    if (is_write_of(request, "", "persistentvolumeclaims")) finalizer = kClaimProtection;
    if (is_write_of(request, "", "persistentvolumes")) finalizer = kVolumeProtection;
    if (finalizer != nullptr && !has_finalizer(request.object->metadata, finalizer)) {
      request.object->metadata.finalizers.emplace_back(finalizer);
    }
    return Unit{};
  }
};

class LocalPathRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "LocalPathRestriction"; }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    constexpr std::string_view kNodeUser = "system:node:";
    if (request.resource->group != "" || request.resource->plural != "persistentvolumes" ||
        request.user == nullptr || !request.user->in_group("system:nodes")) {
      return Unit{};
    }
    const auto refuse = [&](std::string_view why) {
      return Err(forbidden({"", "persistentvolumes"}, request.name, why));
    };
    if (!is_write_of(request, "", "persistentvolumes") || request.operation != Operation::kUpdate) {
      return refuse("nodes only update PersistentVolumes");
    }
    const auto& old = static_cast<const PersistentVolume&>(*request.old_object);
    if (!request.user->name.starts_with(kNodeUser) ||
        annotation(old.metadata, kLocalPathNode) != request.user->name.substr(kNodeUser.size()) ||
        annotation(old.metadata, kProvisionedBy) != kLocalPathProvisioner ||
        !old.metadata.deletionTimestamp) {
      return refuse("a node only updates local-path volumes of its own that are being deleted");
    }
    PersistentVolume expected = old;
    std::erase(expected.metadata.finalizers, kLocalPathFinalizer);
    PersistentVolume now = static_cast<const PersistentVolume&>(*request.object);
    now.metadata.managedFields = expected.metadata.managedFields;
    now.metadata.resourceVersion = expected.metadata.resourceVersion;
    if (!equal(now, expected)) return refuse("a node only removes the finalizer of its own");
    return Unit{};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_storage_object_in_use(const AdmissionContext&) {
  return std::make_unique<StorageObjectInUse>();
}
std::unique_ptr<AdmissionPlugin> make_local_path_restriction(const AdmissionContext&) {
  return std::make_unique<LocalPathRestriction>();
}

}  // namespace orch::server
