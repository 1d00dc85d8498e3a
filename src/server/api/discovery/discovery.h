// Paths that are no resources: discovery, versions, health, metrics, OpenAPI. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/net/http.h"
#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

// Answers any non-resource path; unknown ones are 404.
void answer_path(ApiServer& server, Call& call, net::HttpResponse& response);
// "404 page not found", as upstream's mux.
void answer_page_not_found(net::HttpResponse& response);

// Documents (JSON).
std::string api_versions_json(const ApiServerConfig& config);
std::string api_group_list_json();
std::string api_group_json(std::string_view group);  // "" = no such group
std::string api_resource_list_json(std::string_view group, std::string_view version);  // "" = none
// `core`: of /api, else of /apis. version: "v2" or "v2beta1".
std::string aggregated_json(bool core, std::string_view version);

// /healthz, /livez, /readyz and their parts. False = not such a path.
bool answer_health(ApiServer& server, const Call& call, net::HttpResponse& response);
// /openapi/...; false = not such a path.
bool answer_openapi(ApiServer& server, const Call& call, net::HttpResponse& response);

// "\"...\"": the value of an ETag header.
std::string etag_of(std::string_view body);
// Whether If-None-Match names this ETag: in a list, weakly, or by "*".
bool not_modified(const Call& call, std::string_view etag);

}  // namespace orch::server
