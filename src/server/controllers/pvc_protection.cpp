// Keeps claims that pods use, and volumes that claims use, from vanishing: finalizers that go when
// nobody uses the object any more (upstream's pvc-protection-controller and
// pv-protection-controller).
#include "server/controllers/specs.h"
#include "server/controllers/volume_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using corev1::Pod;

// A pod without a node does not count: no agent starts it once the claim is being deleted.
bool uses(const Pod& pod, const PersistentVolumeClaim& claim) {
  if (pod.spec.nodeName.empty()) return false;
  const bool shut_down =
      pod.metadata.deletionTimestamp && pod.metadata.deletionGracePeriodSeconds.value_or(1) == 0;
  for (const auto& volume : pod.spec.volumes) {
    if (claim_name_of(pod, volume) != claim.metadata.name) continue;
    if (volume.persistentVolumeClaim) return true;
    if (!shut_down && not_created_for(pod, claim).empty()) return true;
  }
  return false;
}

template <class T>
ApiResult<Unit> add_finalizer(const client::Client& client, const T& object, const char* name) {
  if (has_finalizer(object.metadata, name)) return Unit{};
  T wanted = object;
  wanted.metadata.finalizers.emplace_back(name);
  return write_if_changed(client, object, wanted);
}

template <class T>
ApiResult<Unit> remove_finalizer(const client::Client& client, const T& object, const char* name) {
  T wanted = object;
  std::erase(wanted.metadata.finalizers, name);
  return write_if_changed(client, object, wanted);
}

class ClaimProtection final : public client::Reconciler {
 public:
  explicit ClaimProtection(client::ControllerContext& context)
      : client_(context.client),
        claims_(context.informers.lister<PersistentVolumeClaim>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto claim = claims_.get(key.namespace_, key.name);
    if (!claim) return client::done();
    if (!claim->metadata.deletionTimestamp) {
      return outcome(add_finalizer(client_, *claim, kClaimProtection));
    }
    if (!has_finalizer(claim->metadata, kClaimProtection)) return client::done();
    for (const auto& pod : pods_.by_index(kPodsByClaim, key.str())) {
      if (uses(*pod, *claim)) return client::done();
    }
    // The cache may not show a pod yet that was just bound.
    auto live = client_.list<Pod>(key.namespace_);
    if (!live) return Err(client::ReconcileError(live.error()));
    for (const auto& pod : live->items) {
      if (uses(*pod, *claim)) return client::done();
    }
    return outcome(remove_finalizer(client_, *claim, kClaimProtection));
  }

 private:
  const client::Client& client_;
  client::Lister<PersistentVolumeClaim> claims_;
  client::Lister<Pod> pods_;
};

class VolumeProtection final : public client::Reconciler {
 public:
  explicit VolumeProtection(client::ControllerContext& context)
      : client_(context.client), volumes_(context.informers.lister<PersistentVolume>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto volume = volumes_.get("", key.name);
    if (!volume) return client::done();
    if (!volume->metadata.deletionTimestamp) {
      return outcome(add_finalizer(client_, *volume, kVolumeProtection));
    }
    if (volume->status.phase == "Bound" || !has_finalizer(volume->metadata, kVolumeProtection)) {
      return client::done();
    }
    return outcome(remove_finalizer(client_, *volume, kVolumeProtection));
  }

 private:
  const client::Client& client_;
  client::Lister<PersistentVolume> volumes_;
};

}  // namespace

client::ControllerSpec pvc_protection(client::ControllerContext& context,
                                      const ControllersConfig&) {
  index_pods_by_claim(context.informers);
  return {.name = "persistentvolumeclaim-protection-controller",
          .watches = {client::primary<PersistentVolumeClaim>(),
                      client::mapped<Pod>([](const Pod& pod) { return claims_of(pod); })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<ClaimProtection>(c);
          },
          .initial_keys = {}};
}

client::ControllerSpec pv_protection(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "persistentvolume-protection-controller",
          .watches = {client::primary<PersistentVolume>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<VolumeProtection>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
