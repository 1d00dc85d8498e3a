// ComponentStatuses: the parts of the control plane, which here are one process. The store is
// asked; scheduler and controllers live as long as whoever answers.
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"

namespace orch::server {
namespace {

using api::corev1::ComponentStatus;

std::string store_error(ApiServer& server) {
  storage::RangeRequest request;
  request.key = "/registry/health";
  const auto answer = server.registry().store().range(request);
  return answer ? std::string() : answer.error().message;
}

Stored component(const char* name, const std::string& error) {
  ComponentStatus status;
  status.metadata.name = name;
  auto& condition = status.conditions.emplace_back();
  condition.type = "Healthy";
  condition.status = error.empty() ? "True" : "False";
  condition.message = error.empty() ? "ok" : error;
  return Stored(Stored::pack(api::to_json(status)), 0);
}

}  // namespace

Answer answer_component_status(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                               net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  call.warnings.push_back("v1 ComponentStatus is deprecated in v1.19+");
  const Stored all[] = {component("controller-manager", ""), component("scheduler", ""),
                        component("etcd-0", store_error(server))};
  if (call.info.verb == "get") {
    for (const Stored& item : all) {
      if (item.string_at("metadata.name") == call.info.name) {
        return answer_object(encoding, resource, item, 200, response);
      }
    }
    return Err(api::not_found(resource.group_resource(), call.info.name));
  }
  ORCH_TRY(const ListParams params, list_params(call, resource, false));
  Page page;
  for (const Stored& item : all) {
    if (params.filter.matches(item)) page.items.push_back(item);
  }
  return answer_list(encoding, resource, std::move(page), response);
}

}  // namespace orch::server
