// The local-path provisioner: a claim whose pod got a node gets a volume there, a directory that
// the node's agent makes. A released volume is deleted: its finalizer goes when the agent has
// removed the data. Claims have keys with a namespace, volumes keys without.
#include <fmt/format.h>

#include "server/controllers/local_path_plan.h"
#include "server/controllers/specs.h"
#include "server/controllers/volume_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using storagev1::StorageClass;

const ObjectKey kTheClass{"", " the storage class"};  // no volume is called so

class LocalPath final : public client::Reconciler {
 public:
  explicit LocalPath(client::ControllerContext& context)
      : client_(context.client),
        events_(context.events),
        claims_(context.informers.lister<PersistentVolumeClaim>()),
        volumes_(context.informers.lister<PersistentVolume>()),
        classes_(context.informers.lister<StorageClass>()),
        nodes_(context.informers.lister<Node>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (key == kTheClass) return ensure_class();
    if (key.namespace_.empty()) {
      auto volume = volumes_.get("", key.name);
      return volume ? sync_volume(*volume) : client::done();
    }
    auto claim = claims_.get(key.namespace_, key.name);
    if (claim) return provision(*claim);
    events_.forget(key);
    return client::done();
  }

 private:
  // At start only: who deletes it gets it back with the next start, who changes it keeps the
  // change.
  client::ReconcileResult ensure_class() {
    const StorageClass wanted = local_path_class();
    auto existing = client_.get<StorageClass>("", wanted.metadata.name);
    if (existing) return client::done();
    auto created = client_.create(wanted);
    if (created || created.error().is("AlreadyExists")) return client::done();
    return Err(client::ReconcileError(created.error()));
  }

  client::ReconcileResult provision(const PersistentVolumeClaim& claim) {
    const std::string class_name = class_of(claim);
    const std::string node = annotation(claim.metadata, kSelectedNode);
    ProvisionDecision decision =
        decide_provision({claim, class_name.empty() ? nullptr : classes_.get("", class_name),
                          node.empty() ? nullptr : nodes_.get("", node)});
    switch (decision.action) {
      case ProvisionDecision::Do::kNothing:
        return client::done();
      case ProvisionDecision::Do::kRefuse:
        events_.tell(claim, "Warning", "ProvisioningFailed",
                     fmt::format("failed to provision volume with StorageClass {}: {}",
                                 go_quoted(class_name), decision.error));
        return client::done();
      case ProvisionDecision::Do::kReselect: {
        PersistentVolumeClaim wanted = claim;
        wanted.metadata.annotations.erase(kSelectedNode);
        return outcome(write_if_changed(client_, claim, wanted));
      }
      case ProvisionDecision::Do::kCreate:
        return create(claim, *decision.volume);
    }
    return client::done();
  }

  client::ReconcileResult create(const PersistentVolumeClaim& claim,
                                 const PersistentVolume& volume) {
    if (volumes_.get("", volume.metadata.name)) return client::done();  // to be bound in a moment
    auto created = client_.create(volume);
    if (!created && created.error().is("AlreadyExists")) return client::done();
    if (!created) return Err(client::ReconcileError(created.error()));
    events_.tell(claim, "Normal", "ProvisioningSucceeded",
                 "Successfully provisioned volume " + volume.metadata.name);
    return client::done();
  }

  client::ReconcileResult sync_volume(const PersistentVolume& volume) {
    if (to_delete(volume)) {
      client::DeleteOptions options;
      options.uid = volume.metadata.uid;
      return outcome(client_.remove<PersistentVolume>("", volume.metadata.name, options));
    }
    const auto& meta = volume.metadata;
    if (!meta.deletionTimestamp || !has_finalizer(meta, kLocalPathFinalizer) ||
        volume.status.phase == "Bound") {
      return client::done();
    }
    // Its agent removes the data and the finalizer. A node that is gone took the data with it.
    const std::string node = annotation(meta, kLocalPathNode);
    if (!node.empty()) {
      if (nodes_.get("", node)) return client::done();
      auto live = client_.get<Node>("", node);
      if (live || !live.error().is("NotFound")) return client::requeue_after(Seconds{10});
    }
    PersistentVolume wanted = volume;
    std::erase(wanted.metadata.finalizers, kLocalPathFinalizer);
    return outcome(write_if_changed(client_, volume, wanted));
  }

  const client::Client& client_;
  OnceRecorder events_;
  client::Lister<PersistentVolumeClaim> claims_;
  client::Lister<PersistentVolume> volumes_;
  client::Lister<StorageClass> classes_;
  client::Lister<Node> nodes_;
};

bool is_ours(const PersistentVolume& volume) {
  return annotation(volume.metadata, kProvisionedBy) == kLocalPathProvisioner;
}

// A node that comes or goes concerns its volumes and the claims that wait for it.
client::Watch of_nodes(const client::Lister<PersistentVolumeClaim>& claims,
                       const client::Lister<PersistentVolume>& volumes) {
  return {&resource_of<Node>(), [claims, volumes](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            const auto directory = [](const ObjectPtr& node) {
              return node ? annotation(node->metadata, kLocalPathDirectory) : "";
            };
            if (old && now && directory(old) == directory(now)) return keys;
            const std::string& name = (now ? now : old)->metadata.name;
            for (const auto& volume : volumes.list()) {
              if (!now && is_ours(*volume) && volume->metadata.deletionTimestamp &&
                  annotation(volume->metadata, kLocalPathNode) == name) {
                keys.push_back(key_of(*volume));
              }
            }
            for (const auto& claim : claims.list()) {
              if (claim->spec.volumeName.empty() &&
                  annotation(claim->metadata, kSelectedNode) == name) {
                keys.push_back(key_of(*claim));
              }
            }
            return keys;
          }};
}

std::vector<ObjectKey> if_ours(const PersistentVolume& volume) {
  if (!is_ours(volume)) return {};
  return {key_of(volume)};
}

}  // namespace

client::ControllerSpec local_storage(client::ControllerContext& context, const ControllersConfig&) {
  return {.name = "local-storage",
          .watches = {client::primary<PersistentVolumeClaim>(),
                      client::mapped<PersistentVolume>(if_ours),
                      of_nodes(context.informers.lister<PersistentVolumeClaim>(),
                               context.informers.lister<PersistentVolume>()),
                      client::mapped<StorageClass>(
                          [](const StorageClass&) -> std::vector<ObjectKey> { return {}; })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<LocalPath>(c);
          },
          .initial_keys = {kTheClass}};
}

}  // namespace orch::server
