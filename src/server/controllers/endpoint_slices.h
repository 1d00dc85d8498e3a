// Which pods stand behind a Service: the pure core of the EndpointSlice and Endpoints controllers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;

inline constexpr size_t kEndpointsPerSlice = 100;
inline constexpr const char* kManagedBy = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kSliceController = "endpointslice-controller.k8s.io";
inline constexpr const char* kMirrorController = "endpointslicemirroring-controller.k8s.io";
inline constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";

using SlicePtr = std::shared_ptr<const api::discoveryv1::EndpointSlice>;

// The slices a Service should have; named deterministically, so that a cache that lags leads to
// AlreadyExists and not to a second slice. Pods are those the selector matches. `node_zone` gives a
// node's zone label, "" = none. Endpoints stay in the slice of `existing` (the controller's own)
// that they are in.
std::vector<api::discoveryv1::EndpointSlice> plan_slices(
    const api::corev1::Service& service, const std::vector<PodPtr>& pods,
    const std::function<std::string(const std::string& node)>& node_zone,
    const std::vector<SlicePtr>& existing = {});

// The Endpoints object of the same; at most 1,000 addresses, as upstream.
api::corev1::Endpoints plan_endpoints(const api::corev1::Service& service,
                                      const std::vector<PodPtr>& pods);

// Whether the Endpoints object is one that somebody keeps by hand and that is to be mirrored.
bool should_mirror(const api::corev1::Endpoints& endpoints, const api::corev1::Service* service);
struct MirrorPlan {
  std::vector<api::discoveryv1::EndpointSlice> slices;
  size_t invalid = 0;  // addresses that are none
  size_t skipped = 0;  // beyond 1,000 a subset
};
MirrorPlan plan_mirror(const api::corev1::Endpoints& endpoints);

// The container port a Service port leads to in this pod; nullopt if it names none there.
std::optional<int32_t> find_port(const api::corev1::Pod& pod, const api::corev1::ServicePort& port);
// Whether the pod is listed at all, and whether as ready.
bool should_be_listed(const api::corev1::Pod& pod, bool include_terminating);

}  // namespace orch::server
