// The subresources, one file each. Adding one: a file with its function, a line in
// subresources.cpp.
#pragma once

#include <string_view>
#include <vector>

#include "server/api/verbs/verbs.h"

namespace orch::server {

struct Subresource {
  std::string_view group, resource;  // resource "" = every resource that has it (status, scale)
  std::string_view name;
  std::string_view kind_group, kind_version, kind;  // of its body; kind "" = the resource's own
  std::vector<std::string_view> verbs;
  Answer (*serve)(ApiServer&, Call&, const api::ResourceInfo&, net::HttpResponse&);
};
const Subresource* find_subresource(const api::ResourceInfo& resource, std::string_view name);
// Those of one resource, for discovery.
std::vector<const Subresource*> subresources_of(const api::ResourceInfo& resource);

using SubresourceFn = Answer(ApiServer&, Call&, const api::ResourceInfo&, net::HttpResponse&);
SubresourceFn serve_status, serve_scale, serve_binding, serve_eviction, serve_ephemeral_containers,
    serve_token, serve_finalize, serve_log, serve_exec, serve_attach, serve_port_forward,
    serve_pod_proxy, serve_service_proxy, serve_node_proxy;
// The collection POST /bindings.
SubresourceFn create_binding;
// TokenReview, SubjectAccessReview and the like: resources that are only answered.
SubresourceFn answer_review;
// ComponentStatuses: answered too, but read.
SubresourceFn answer_component_status;
// metrics.k8s.io.
SubresourceFn answer_metrics;

// {"kind":"Status",...,"status":"Success"}
void answer_success(const Call& call, int status, net::HttpResponse& response);

}  // namespace orch::server
