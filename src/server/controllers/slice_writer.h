// Brings the EndpointSlices of one owner in line with what is wanted; shared by the EndpointSlice
// and the mirroring controller.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/api/discoveryv1.h"
#include "orch/client/reconciler.h"
#include "server/controllers/endpoint_slices.h"

namespace orch::server {

// `existing` of other managers (label endpointslice.kubernetes.io/managed-by) are theirs. Slices
// are told apart by their names; of their metadata labels, owners and, where `wanted` has some,
// annotations count.
bool is_managed(const api::discoveryv1::EndpointSlice& slice, const std::string& manager);
Result<Unit, client::ReconcileError> write_slices(
    const client::ControllerContext& context, const std::vector<SlicePtr>& existing,
    const std::string& manager, std::vector<api::discoveryv1::EndpointSlice> wanted);

}  // namespace orch::server
