// The binder of claims and volumes (upstream's persistentvolume-binder-controller). Claims have
// keys with a namespace, volumes keys without; one strand works on both.
#include "server/controllers/persistent_volume_plan.h"
#include "server/controllers/specs.h"
#include "server/controllers/volume_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using corev1::Pod;
using storagev1::StorageClass;
using Outcome = ApiResult<Unit>;

class VolumeBinder final : public client::Reconciler {
 public:
  explicit VolumeBinder(client::ControllerContext& context)
      : context_(context),
        events_(context.events),
        claims_(context.informers.lister<PersistentVolumeClaim>()),
        volumes_(context.informers.lister<PersistentVolume>()),
        classes_(context.informers.lister<StorageClass>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (key.namespace_.empty()) {
      if (auto volume = volumes_.get("", key.name)) return outcome(sync_volume(*volume));
    } else if (auto claim = claims_.get(key.namespace_, key.name)) {
      return outcome(sync_claim(*claim));
    }
    events_.forget(key);
    return client::done();
  }

 private:
  // ---- claims ----

  ClaimInput input_of(const PersistentVolumeClaim& claim) const {
    ClaimInput input{.claim = claim,
                     .volumes = {},
                     .storage_class = nullptr,
                     .default_class = default_class_of(classes_.list()),
                     .waiting_pods = {}};
    // Only a claim that names no volume looks at all of them.
    if (claim.spec.volumeName.empty()) {
      input.volumes = volumes_.list();
    } else if (auto named = volumes_.get("", claim.spec.volumeName)) {
      input.volumes.push_back(std::move(named));
    }
    if (const std::string name = class_of(claim); !name.empty()) {
      input.storage_class = classes_.get("", name);
    }
    for (const auto& pod : pods_.by_index(kPodsByClaim, key_of(claim).str())) {
      if (pod->spec.nodeName.empty()) input.waiting_pods.push_back(pod->metadata.name);
    }
    return input;
  }

  Outcome sync_claim(const PersistentVolumeClaim& claim) {
    const ClaimDecision decision = decide_claim(input_of(claim));
    if (decision.event) {
      events_.tell(claim, decision.event->type, decision.event->reason, decision.event->message);
    }
    using Do = ClaimDecision::Do;
    switch (decision.action) {
      case Do::kNothing:
        return Unit{};
      case Do::kPending:
        return write_claim_status(claim, "Pending", nullptr);
      case Do::kLost:
        return write_claim_status(claim, "Lost", nullptr);
      case Do::kBind:
        return bind(*decision.volume, claim);
      case Do::kAssignClass: {
        PersistentVolumeClaim wanted = claim;
        wanted.spec.storageClassName = decision.storage_class;
        return write_if_changed(context_.client, claim, wanted);
      }
      case Do::kProvision: {
        PersistentVolumeClaim wanted = claim;
        wanted.metadata.annotations[kStorageProvisioner] = decision.provisioner;
        wanted.metadata.annotations[kBetaStorageProvisioner] = decision.provisioner;
        return write_if_changed(context_.client, claim, wanted);
      }
    }
    return Unit{};
  }

  // Each step may be the last one before a crash; the next round goes on from there.
  Outcome bind(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
    PersistentVolume wanted_volume = volume;
    bind_volume(wanted_volume, claim);
    ORCH_CHECK(write_if_changed(context_.client, volume, wanted_volume));
    ORCH_CHECK(write_volume_status(wanted_volume, "Bound", ""));
    PersistentVolumeClaim wanted_claim = claim;
    bind_claim(wanted_claim, volume);
    ORCH_CHECK(write_if_changed(context_.client, claim, wanted_claim));
    return write_claim_status(wanted_claim, "Bound", &volume);
  }

  Outcome write_claim_status(const PersistentVolumeClaim& claim, const std::string& phase,
                             const PersistentVolume* volume) {
    PersistentVolumeClaim wanted = claim;
    set_claim_status(wanted, phase, volume);
    return write_status_if_changed(context_.client, claim, wanted);
  }

  // ---- volumes ----

  Outcome sync_volume(const PersistentVolume& volume) {
    VolumeInput input{volume, nullptr};
    const auto& ref = volume.spec.claimRef;
    if (ref && !ref->uid.empty()) {
      ORCH_TRY(input.claim, find_claim(*ref));
    }
    const VolumeDecision decision = decide_volume(input);
    const bool changes = volume.status.phase != decision.phase;
    if (decision.event && (decision.action != VolumeDecision::Do::kPhase || changes)) {
      events_.tell(volume, decision.event->type, decision.event->reason, decision.event->message);
    }
    if (decision.claim_event) {
      events_.tell(*input.claim, decision.claim_event->type, decision.claim_event->reason,
                   decision.claim_event->message);
    }
    switch (decision.action) {
      case VolumeDecision::Do::kNothing:
        return Unit{};
      case VolumeDecision::Do::kPhase:
        return write_volume_status(volume, decision.phase, decision.message);
      case VolumeDecision::Do::kUnbind: {
        PersistentVolume wanted = volume;
        unbind_volume(wanted);
        ORCH_CHECK(write_if_changed(context_.client, volume, wanted));
        return write_volume_status(wanted, "Available", "");
      }
    }
    return Unit{};
  }

  // Data may be deleted when the claim is gone: so the cache's word for it is not enough.
  ApiResult<std::shared_ptr<const PersistentVolumeClaim>> find_claim(
      const corev1::ObjectReference& ref) {
    auto cached = claims_.get(ref.namespace_, ref.name);
    if (cached && cached->metadata.uid == ref.uid) return cached;
    auto live = context_.client.get<PersistentVolumeClaim>(ref.namespace_, ref.name);
    if (live) return std::make_shared<const PersistentVolumeClaim>(std::move(*live));
    if (live.error().is("NotFound")) return std::shared_ptr<const PersistentVolumeClaim>();
    return Err(std::move(live).error());
  }

  Outcome write_volume_status(const PersistentVolume& volume, const std::string& phase,
                              const std::string& message) {
    PersistentVolume wanted = volume;
    set_volume_status(wanted, phase, message, context_.env.clock.now());
    return write_status_if_changed(context_.client, volume, wanted);
  }

  client::ControllerContext context_;
  OnceRecorder events_;
  client::Lister<PersistentVolumeClaim> claims_;
  client::Lister<PersistentVolume> volumes_;
  client::Lister<StorageClass> classes_;
  client::Lister<Pod> pods_;
};

using Keys = std::vector<ObjectKey>;

// A volume concerns its claim; without one, what waits for a volume like it.
client::Watch of_volumes(const client::Lister<PersistentVolumeClaim>& claims) {
  return client::mapped<PersistentVolume>([claims](const PersistentVolume& volume) {
    Keys keys{{"", volume.metadata.name}};
    if (const auto& ref = volume.spec.claimRef) {
      keys.push_back({ref->namespace_, ref->name});
      return keys;
    }
    for (const auto& claim : claims.list()) {
      const std::string& named = claim->spec.volumeName;
      if (named.empty() ? class_of(*claim) == class_of(volume) : named == volume.metadata.name) {
        keys.push_back(key_of(*claim));
      }
    }
    return keys;
  });
}

client::Watch of_claims(const client::Lister<PersistentVolume>& volumes) {
  return client::mapped<PersistentVolumeClaim>([volumes](const PersistentVolumeClaim& claim) {
    Keys keys{key_of(claim)};
    if (!claim.spec.volumeName.empty()) keys.push_back({"", claim.spec.volumeName});
    for (const auto& volume : volumes.list()) {
      const auto& ref = volume->spec.claimRef;
      if (ref && ref->name == claim.metadata.name && ref->namespace_ == claim.metadata.namespace_ &&
          volume->metadata.name != claim.spec.volumeName) {
        keys.push_back({"", volume->metadata.name});
      }
    }
    return keys;
  });
}

client::Watch of_classes(const client::Lister<PersistentVolumeClaim>& claims) {
  return client::mapped<StorageClass>([claims](const StorageClass& changed) {
    Keys keys;
    for (const auto& claim : claims.list()) {
      if (is_fully_bound(*claim)) continue;
      if (!has_class(*claim) || class_of(*claim) == changed.metadata.name) {
        keys.push_back(key_of(*claim));
      }
    }
    return keys;
  });
}

// Claims tell which pods they wait for.
client::Watch of_pods(const client::Lister<PersistentVolumeClaim>& claims) {
  return client::mapped<Pod>([claims](const Pod& pod) {
    Keys keys;
    for (auto& key : claims_of(pod)) {
      auto claim = claims.get(key.namespace_, key.name);
      if (claim && claim->spec.volumeName.empty()) keys.push_back(std::move(key));
    }
    return keys;
  });
}

}  // namespace

client::ControllerSpec persistent_volume_binder(client::ControllerContext& context,
                                                const ControllersConfig&) {
  index_pods_by_claim(context.informers);
  const auto claims = context.informers.lister<PersistentVolumeClaim>();
  const auto volumes = context.informers.lister<PersistentVolume>();
  return {.name = "persistentvolume-binder-controller",
          .watches = {of_claims(volumes), of_volumes(claims), of_classes(claims), of_pods(claims)},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<VolumeBinder>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
