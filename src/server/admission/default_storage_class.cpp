// DefaultStorageClass: a new claim that names no class gets the cluster's default one.
// PersistentVolumeClaimResize: claims grow only where their class says that volumes can.
#include "orch/api/volume_binding.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolumeClaim;
using storagev1::StorageClass;

class DefaultStorageClass final : public AdmissionPlugin {
 public:
  explicit DefaultStorageClass(const AdmissionContext& context)
      : classes_(context.informers.lister<StorageClass>()) {}
  std::string_view name() const override { return "DefaultStorageClass"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate ||
        !is_write_of(request, "", "persistentvolumeclaims")) {
      return Unit{};
    }
    auto& claim = static_cast<PersistentVolumeClaim&>(*request.object);
    if (has_class(claim)) return Unit{};
    // Without one it waits: the binder gives it the class that becomes the default later.
    if (auto found = default_class_of(classes_.list())) {
      claim.spec.storageClassName = found->metadata.name;
    }
    return Unit{};
  }

 private:
  client::Lister<StorageClass> classes_;
};

class ClaimResize final : public AdmissionPlugin {
 public:
  explicit ClaimResize(const AdmissionContext& context)
      : classes_(context.informers.lister<StorageClass>()) {}
  std::string_view name() const override { return "PersistentVolumeClaimResize"; }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (request.operation != Operation::kUpdate ||
        !is_write_of(request, "", "persistentvolumeclaims")) {
      return Unit{};
    }
    const auto& claim = static_cast<const PersistentVolumeClaim&>(*request.object);
    const auto& old = static_cast<const PersistentVolumeClaim&>(*request.old_object);
    if (storage_of(claim.spec.resources.requests) <= storage_of(old.spec.resources.requests)) {
      return Unit{};
    }
    const auto refuse = [&](std::string_view why) {
      return Err(forbidden({"", "persistentvolumeclaims"}, claim.metadata.name, why));
    };
    if (old.status.phase != "Bound") {
      return refuse("Only bound persistent volume claims can be expanded");
    }
    const std::string name = class_of(claim);
    auto found = name.empty() ? nullptr : classes_.get("", name);
    if (!found || !found->allowVolumeExpansion.value_or(false)) {
      return refuse(
          "only dynamically provisioned pvc can be resized and the storageclass that provisions "
          "the pvc must support resize");
    }
    return Unit{};
  }

 private:
  client::Lister<StorageClass> classes_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_default_storage_class(const AdmissionContext& context) {
  return std::make_unique<DefaultStorageClass>(context);
}
std::unique_ptr<AdmissionPlugin> make_claim_resize(const AdmissionContext& context) {
  return std::make_unique<ClaimResize>(context);
}

}  // namespace orch::server
