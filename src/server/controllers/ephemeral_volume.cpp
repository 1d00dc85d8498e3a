// Generic ephemeral volumes (KEP-1698): a claim per pod and volume, made of the volume's template,
// owned by the pod.
#include <fmt/format.h>

#include "server/controllers/specs.h"
#include "server/controllers/volume_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolumeClaim;
using corev1::Pod;

PersistentVolumeClaim claim_of(const Pod& pod, const corev1::Volume& volume) {
  const auto& source = *volume.ephemeral->volumeClaimTemplate;
  PersistentVolumeClaim claim;
  claim.metadata.name = claim_name_of(pod, volume);
  claim.metadata.namespace_ = pod.metadata.namespace_;
  claim.metadata.labels = source.metadata.labels;
  claim.metadata.annotations = source.metadata.annotations;
  auto& owner = claim.metadata.ownerReferences.emplace_back();
  owner.apiVersion = "v1";
  owner.kind = "Pod";
  owner.name = pod.metadata.name;
  owner.uid = pod.metadata.uid;
  owner.controller = true;
  owner.blockOwnerDeletion = true;
  claim.spec = source.spec;
  return claim;
}

class EphemeralVolumes final : public client::Reconciler {
 public:
  explicit EphemeralVolumes(client::ControllerContext& context)
      : client_(context.client),
        pods_(context.informers.lister<Pod>()),
        claims_(context.informers.lister<PersistentVolumeClaim>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto pod = pods_.get(key.namespace_, key.name);
    if (!pod || pod->metadata.deletionTimestamp) return client::done();
    for (const auto& volume : pod->spec.volumes) {
      if (!volume.ephemeral || !volume.ephemeral->volumeClaimTemplate) continue;
      if (auto made = ensure(*pod, volume); !made) return made;
    }
    return client::done();
  }

 private:
  client::ReconcileResult ensure(const Pod& pod, const corev1::Volume& volume) {
    if (auto existing = claims_.get(pod.metadata.namespace_, claim_name_of(pod, volume))) {
      const std::string why = not_created_for(pod, *existing);
      if (why.empty()) return client::done();
      return Err(client::ReconcileError(fmt::format("ephemeral volume {}: {}", volume.name, why)));
    }
    auto created = client_.create(claim_of(pod, volume));
    // Made a moment ago by us, or in its place by someone else: the next look at it tells.
    if (created || created.error().is("AlreadyExists")) return client::done();
    if (created.error().is("NotFound")) return client::done();  // the namespace is going
    return Err(client::ReconcileError(
        fmt::format("create PVC {}: {}", claim_name_of(pod, volume), created.error().message)));
  }

  const client::Client& client_;
  client::Lister<Pod> pods_;
  client::Lister<PersistentVolumeClaim> claims_;
};

std::vector<ObjectKey> if_ephemeral(const Pod& pod) {
  for (const auto& volume : pod.spec.volumes) {
    if (volume.ephemeral) return {key_of(pod)};
  }
  return {};
}

}  // namespace

client::ControllerSpec ephemeral_volume(client::ControllerContext&, const ControllersConfig&) {
  return {
      .name = "ephemeral-volume-controller",
      .watches = {client::mapped<Pod>(if_ephemeral), client::owned<PersistentVolumeClaim, Pod>()},
      .strands = 1,
      .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<EphemeralVolumes>(c);
      },
      .initial_keys = {}};
}

}  // namespace orch::server
