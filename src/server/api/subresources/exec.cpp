// pods/exec, attach and portforward: the connection is joined to the kubelet's as raw bytes, so
// that SPDY and WebSocket both pass.
#include <fmt/format.h>

#include "server/api/relay.h"
#include "server/api/subresources/pod_target.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

api::ApiResult<PodPtr> find_pod(ApiServer& server, Call& call) {
  ORCH_TRY(PodPtr pod,
           server.registry().get_typed<api::corev1::Pod>(call.info.namespace_, call.info.name));
  if (pod->spec.nodeName.empty()) {
    return Err(
        api::bad_request(fmt::format("pod {} does not have a host assigned", pod->metadata.name)));
  }
  return pod;
}

Answer connect(ApiServer& server, Call& call, const api::ResourceInfo& resource,
               const api::corev1::Pod& pod, std::string target, net::HttpResponse& response) {
  Writer writer(server, call, resource, {});
  ORCH_CHECK(writer.admit(Operation::kConnect, call.info.namespace_, call.info.name,
                          call.info.subresource, nullptr));
  if (!wants_upgrade(call)) return Err(api::bad_request("Upgrade request required"));
  RelayRequest request;
  ORCH_TRY(request.client, server.nodes().kubelet(pod.spec.nodeName));
  request.method = call.method;
  request.target = std::move(target);
  request.headers = forwardable(*call.http, true);
  return relay_upgrade(std::move(request), response);
}

// The streams asked for, in the kubelet's words. Error: none at all.
api::ApiResult<Pairs> streams(const Call& call, std::string_view kind) {
  Pairs out;
  if (call.flag("stdin")) out.emplace_back("input", "1");
  if (call.flag("stdout")) out.emplace_back("output", "1");
  if (call.flag("stderr") && !call.flag("tty")) out.emplace_back("error", "1");
  if (out.empty()) {
    return Err(api::bad_request(
        fmt::format("{} is invalid: you must specify at least 1 of stdin, stdout, stderr", kind)));
  }
  if (call.flag("tty")) out.emplace_back("tty", "1");
  return out;
}

}  // namespace

Answer serve_exec(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response) {
  ORCH_TRY(const PodPtr pod, find_pod(server, call));
  ORCH_TRY(const std::string container, choose_container(*pod, call.param("container")));
  ORCH_TRY(Pairs query, streams(call, "PodExecOptions"));
  const auto commands = call.query.equal_range("command");
  for (auto it = commands.first; it != commands.second; ++it) {
    query.emplace_back("command", it->second);
  }
  if (commands.first == commands.second) {
    return Err(api::bad_request("you must specify a command for the container"));
  }
  return connect(server, call, resource, *pod,
                 fmt::format("/exec/{}/{}/{}?{}", call.info.namespace_, call.info.name, container,
                             make_query(query)),
                 response);
}

Answer serve_attach(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                    net::HttpResponse& response) {
  ORCH_TRY(const PodPtr pod, find_pod(server, call));
  ORCH_TRY(const std::string container, choose_container(*pod, call.param("container")));
  ORCH_TRY(const Pairs query, streams(call, "PodAttachOptions"));
  return connect(server, call, resource, *pod,
                 fmt::format("/attach/{}/{}/{}?{}", call.info.namespace_, call.info.name, container,
                             make_query(query)),
                 response);
}

Answer serve_port_forward(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                          net::HttpResponse& response) {
  ORCH_TRY(const PodPtr pod, find_pod(server, call));
  Pairs query;
  const auto ports = call.query.equal_range("ports");
  for (auto it = ports.first; it != ports.second; ++it) query.emplace_back("port", it->second);
  std::string target = fmt::format("/portForward/{}/{}", call.info.namespace_, call.info.name);
  if (!query.empty()) target += "?" + make_query(query);
  return connect(server, call, resource, *pod, std::move(target), response);
}

}  // namespace orch::server
