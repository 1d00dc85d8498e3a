#include "server/scheduler/volume_claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "orch/api/error.h"
#include "orch/api/volume_binding.h"

namespace orch::server::scheduler {

using namespace api;

Result<std::vector<VolumeView::Found<VolumeView::Claim>>, std::string> claims_of(
    const PodInfo& pod, const VolumeView* view) {
  std::vector<VolumeView::Found<VolumeView::Claim>> out;
  std::set<std::string> names;
  for (const auto& volume : pod.pod->spec.volumes) {
    const std::string name = claim_name_of(*pod.pod, volume);
    if (name.empty() || view == nullptr || !names.insert(name).second) continue;
    auto claim = view->claim(pod.namespace_(), name);
    if (!claim) {
      if (volume.ephemeral) {
        return Err(fmt::format(
            "waiting for ephemeral volume controller to create the persistentvolumeclaim {}",
            go_quoted(name)));
      }
      return Err(fmt::format("persistentvolumeclaim {} not found", go_quoted(name)));
    }
    if (claim->status.phase == "Lost") {
      return Err(fmt::format("persistentvolumeclaim {} bound to non-existent persistentvolume {}",
                             go_quoted(name), go_quoted(claim->spec.volumeName)));
    }
    if (claim->metadata.deletionTimestamp) {
      return Err(fmt::format("persistentvolumeclaim {} is being deleted", go_quoted(name)));
    }
    if (volume.ephemeral) {
      if (auto why = not_created_for(*pod.pod, *claim); !why.empty()) return Err(std::move(why));
    }
    out.push_back(std::move(claim));
  }
  return out;
}

bool uses_claim(const PodInfo& pod, const Object& claim) {
  const auto& volumes = pod.pod->spec.volumes;
  return claim.metadata.namespace_ == pod.namespace_() &&
         std::any_of(volumes.begin(), volumes.end(), [&](const auto& volume) {
           return claim_name_of(*pod.pod, volume) == claim.metadata.name;
         });
}

bool has_claims(const PodInfo& pod) {
  const auto& volumes = pod.pod->spec.volumes;
  return std::any_of(volumes.begin(), volumes.end(), [](const auto& volume) {
    return volume.persistentVolumeClaim || volume.ephemeral;
  });
}

}  // namespace orch::server::scheduler
