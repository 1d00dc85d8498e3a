// What the volume plugins share: the claims of a pod.
#pragma once

#include <string>
#include <vector>

#include "orch/base/result.h"
#include "server/scheduler/pod_info.h"
#include "server/scheduler/volume_view.h"

namespace orch::server::scheduler {

// The claims that the pod's volumes use, each once. Error: why the pod must wait, as users see it:
// a claim is not there, is being deleted, is lost, or belongs to another pod. No view: no claims.
Result<std::vector<VolumeView::Found<VolumeView::Claim>>, std::string> claims_of(
    const PodInfo& pod, const VolumeView* view);
// Whether a volume of the pod uses this claim (of the pod's namespace).
bool uses_claim(const PodInfo& pod, const api::Object& claim);
bool has_claims(const PodInfo& pod);

}  // namespace orch::server::scheduler
