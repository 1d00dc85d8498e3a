#include "server/auth/pod_references.h"

namespace orch::server {
namespace {

using namespace api::corev1;

template <class Ref>
void add_name(std::set<std::string>& to, const api::Ptr<Ref>& ref) {
  if (ref && !ref->name.empty()) to.insert(ref->name);
}

template <class Containers>
void add_environment(PodReferences& out, const Containers& containers) {
  for (const auto& container : containers) {
    for (const auto& source : container.envFrom) {
      add_name(out.config_maps, source.configMapRef);
      add_name(out.secrets, source.secretRef);
    }
    for (const auto& variable : container.env) {
      if (!variable.valueFrom) continue;
      add_name(out.config_maps, variable.valueFrom->configMapKeyRef);
      add_name(out.secrets, variable.valueFrom->secretKeyRef);
    }
  }
}

void add_volume(PodReferences& out, const Pod& pod, const Volume& volume) {
  if (volume.secret) out.secrets.insert(volume.secret->secretName);
  if (volume.azureFile) out.secrets.insert(volume.azureFile->secretName);
  if (volume.cephfs) add_name(out.secrets, volume.cephfs->secretRef);
  if (volume.cinder) add_name(out.secrets, volume.cinder->secretRef);
  if (volume.flexVolume) add_name(out.secrets, volume.flexVolume->secretRef);
  if (volume.rbd) add_name(out.secrets, volume.rbd->secretRef);
  if (volume.scaleIO) add_name(out.secrets, volume.scaleIO->secretRef);
  if (volume.iscsi) add_name(out.secrets, volume.iscsi->secretRef);
  if (volume.storageos) add_name(out.secrets, volume.storageos->secretRef);
  if (volume.csi) add_name(out.secrets, volume.csi->nodePublishSecretRef);
  if (volume.configMap) out.config_maps.insert(volume.configMap->name);
  if (volume.persistentVolumeClaim) out.claims.insert(volume.persistentVolumeClaim->claimName);
  if (volume.ephemeral) out.claims.insert(pod.metadata.name + "-" + volume.name);
  if (!volume.projected) return;
  for (const auto& source : volume.projected->sources) {
    add_name(out.secrets, source.secret);
    add_name(out.config_maps, source.configMap);
  }
}

template <class Ref>
void add_secret(std::set<std::string>& to, const PersistentVolume& volume,
                const api::Ptr<Ref>& ref) {
  if (!ref || ref->name.empty()) return;
  std::string ns = ref->namespace_;
  if (ns.empty() && volume.spec.claimRef) ns = volume.spec.claimRef->namespace_;
  to.insert(ns + "/" + ref->name);
}

}  // namespace

PodReferences references_of(const Pod& pod) {
  PodReferences out;
  const auto& spec = pod.spec;
  for (const auto& secret : spec.imagePullSecrets) {
    if (!secret.name.empty()) out.secrets.insert(secret.name);
  }
  add_environment(out, spec.initContainers);
  add_environment(out, spec.containers);
  add_environment(out, spec.ephemeralContainers);
  for (const auto& volume : spec.volumes) add_volume(out, pod, volume);
  out.service_account = spec.serviceAccountName;
  return out;
}

std::set<std::string> secrets_of(const PersistentVolume& volume) {
  std::set<std::string> out;
  const auto& spec = volume.spec;
  if (spec.azureFile) {
    const auto& file = *spec.azureFile;
    const std::string ns =
        file.secretNamespace.value_or(spec.claimRef ? spec.claimRef->namespace_ : std::string());
    out.insert(ns + "/" + file.secretName);
  }
  if (spec.cephfs) add_secret(out, volume, spec.cephfs->secretRef);
  if (spec.cinder) add_secret(out, volume, spec.cinder->secretRef);
  if (spec.flexVolume) add_secret(out, volume, spec.flexVolume->secretRef);
  if (spec.rbd) add_secret(out, volume, spec.rbd->secretRef);
  if (spec.scaleIO) add_secret(out, volume, spec.scaleIO->secretRef);
  if (spec.iscsi) add_secret(out, volume, spec.iscsi->secretRef);
  if (spec.storageos) add_secret(out, volume, spec.storageos->secretRef);
  if (spec.csi) {
    add_secret(out, volume, spec.csi->controllerPublishSecretRef);
    add_secret(out, volume, spec.csi->nodePublishSecretRef);
    add_secret(out, volume, spec.csi->nodeStageSecretRef);
    add_secret(out, volume, spec.csi->nodeExpandSecretRef);
  }
  return out;
}

bool is_mirror_pod(const Pod& pod) {
  return pod.metadata.annotations.count("kubernetes.io/config.mirror") != 0;
}

}  // namespace orch::server
