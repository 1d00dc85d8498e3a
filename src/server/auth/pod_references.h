// What a Pod names beside itself: secrets, config maps, claims, its service account. Pure.
#pragma once

#include <set>
#include <string>

#include "orch/api/corev1.h"

namespace orch::server {

struct PodReferences {
  std::set<std::string> secrets, config_maps, claims;  // in the Pod's namespace
  std::string service_account;
};
// Of all containers, volumes and image pull secrets. Claims of ephemeral volumes are included by
// the name they get.
PodReferences references_of(const api::corev1::Pod& pod);

// The secrets a PersistentVolume names: "namespace/name"; those without a namespace are in the
// claim's.
std::set<std::string> secrets_of(const api::corev1::PersistentVolume& volume);

// A pod that shows what a node runs without the API server's doing (static pods).
bool is_mirror_pod(const api::corev1::Pod& pod);

}  // namespace orch::server
