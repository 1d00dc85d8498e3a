// What objects take of a ResourceQuota and need of a node: the arithmetic that admission, the
// recounting controller and autoscaling share. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/api/scheme.h"

namespace orch::api {

using ResourceList = std::map<std::string, Quantity>;

// A pod's requests or limits: the containers together, or an init container beside the sidecars
// started before it, whichever is more; and the overhead.
ResourceList pod_requests(const corev1::PodSpec& spec, bool with_overhead = true);
ResourceList pod_limits(const corev1::PodSpec& spec, bool with_overhead = true);
void add_resources(ResourceList& sum, const ResourceList& more);

// Whether objects of the resource are counted under this name of a quota.
bool quota_counts(const ResourceInfo& resource, std::string_view name);
// Whether the object is within the quota's scopes.
bool in_quota_scope(const corev1::ResourceQuotaSpec& quota, const ResourceInfo& resource,
                    const Object& object);
// What the object takes, under every name it is counted under.
ResourceList quota_usage(const ResourceInfo& resource, const Object& object, WallTime now);
// What the object must say to be counted under these names: "must specify limits.cpu for: c", or
// "".
std::string quota_lacks(const ResourceInfo& resource, const Object& object,
                        const ResourceList& names);

}  // namespace orch::api
