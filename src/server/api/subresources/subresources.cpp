#include "server/api/subresources/subresources.h"

#include "orch/api/metav1.h"
#include "server/api/encode.h"

namespace orch::server {
namespace {

const std::vector<Subresource>& all() {
  static const std::vector<Subresource> list{
      {"", "", "status", "", "", "", {"get", "patch", "update"}, serve_status},
      {"", "", "scale", "autoscaling", "v1", "Scale", {"get", "patch", "update"}, serve_scale},
      {"", "namespaces", "finalize", "", "", "", {"update"}, serve_finalize},
      {"",
       "nodes",
       "proxy",
       "",
       "v1",
       "NodeProxyOptions",
       {"create", "delete", "get", "patch", "update"},
       serve_node_proxy},
      {"", "pods", "attach", "", "v1", "PodAttachOptions", {"create", "get"}, serve_attach},
      {"", "pods", "binding", "", "v1", "Binding", {"create"}, serve_binding},
      {"",
       "pods",
       "ephemeralcontainers",
       "",
       "",
       "",
       {"get", "patch", "update"},
       serve_ephemeral_containers},
      {"", "pods", "eviction", "policy", "v1", "Eviction", {"create"}, serve_eviction},
      {"", "pods", "exec", "", "v1", "PodExecOptions", {"create", "get"}, serve_exec},
      {"", "pods", "log", "", "", "", {"get"}, serve_log},
      {"",
       "pods",
       "portforward",
       "",
       "v1",
       "PodPortForwardOptions",
       {"create", "get"},
       serve_port_forward},
      {"",
       "pods",
       "proxy",
       "",
       "v1",
       "PodProxyOptions",
       {"create", "delete", "get", "patch", "update"},
       serve_pod_proxy},
      {"", "pods", "resize", "", "", "", {"get", "patch", "update"}, serve_status},
      {"",
       "serviceaccounts",
       "token",
       "authentication.k8s.io",
       "v1",
       "TokenRequest",
       {"create"},
       serve_token},
      {"",
       "services",
       "proxy",
       "",
       "v1",
       "ServiceProxyOptions",
       {"create", "delete", "get", "patch", "update"},
       serve_service_proxy},
      {"certificates.k8s.io",
       "certificatesigningrequests",
       "approval",
       "",
       "",
       "",
       {"get", "patch", "update"},
       serve_status},
  };
  return list;
}

bool offered(const Subresource& subresource, const api::ResourceInfo& resource) {
  if (!subresource.resource.empty()) {
    return subresource.group == resource.group && subresource.resource == resource.plural;
  }
  return subresource.name == "status" ? resource.has_status : resource.has_scale;
}

}  // namespace

const Subresource* find_subresource(const api::ResourceInfo& resource, std::string_view name) {
  for (const Subresource& subresource : all()) {
    if (subresource.name == name && offered(subresource, resource)) return &subresource;
  }
  return nullptr;
}

std::vector<const Subresource*> subresources_of(const api::ResourceInfo& resource) {
  std::vector<const Subresource*> out;
  for (const Subresource& subresource : all()) {
    if (offered(subresource, resource)) out.push_back(&subresource);
  }
  return out;
}

void answer_success(const Call& call, int status, net::HttpResponse& response) {
  Encoding encoding;
  if (auto asked = encoding_of(call, WallTime{})) encoding = *asked;
  encoding.form.transform = Transform::kNone;
  answer_json(encoding,
              R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":)" +
                  std::to_string(status) + "}",
              &api::metav1::Status::type_info(), status, response);
}

Answer serve_status(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                    net::HttpResponse& response) {
  if (call.info.verb == "get") return verb_get(server, call, resource, response);
  if (call.info.verb == "patch") return verb_patch(server, call, resource, response);
  return verb_update(server, call, resource, response);
}

}  // namespace orch::server
