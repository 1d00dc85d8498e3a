#include <fmt/format.h>

#include <algorithm>

#include "orch/api/metav1.h"
#include "orch/base/json_scan.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"
#include "server/api/discovery/discovery.h"
#include "server/api/encode.h"
#include "server/api/internals.h"

namespace orch::server {
namespace {

void answer_document(const Call& call, std::string json, const api::TypeInfo* type,
                     net::HttpResponse& response) {
  Encoding encoding;
  auto asked = encoding_of(call, WallTime{}, false);
  if (!asked) {
    // Discovery clients list forms we may not know; JSON is always among what they read.
    if (call.accept.find("as=") == std::string::npos) {
      answer_error(call, asked.error(), response);
      return;
    }
  } else {
    encoding = *asked;
  }
  answer_json(encoding, std::move(json), type, 200, response);
}

// Aggregated discovery, if the client wants that before anything else.
bool answer_aggregated(const Call& call, bool core, net::HttpResponse& response) {
  for (const AcceptedType& accepted : parse_accept(call.accept)) {
    if (accepted.type != "application/json" && accepted.type != "*/*") continue;
    if (accepted.as.empty()) return false;
    if (accepted.as != "APIGroupDiscoveryList" || accepted.group != "apidiscovery.k8s.io") continue;
    if (accepted.version != "v2" && accepted.version != "v2beta1") continue;
    std::string body = aggregated_json(core, accepted.version);
    const std::string etag = etag_of(body);
    response.set("ETag", etag);
    response.set("Vary", "Accept");
    response.set("Cache-Control", "public");
    if (not_modified(call, etag)) {
      response.status = 304;
      return true;
    }
    response.status = 200;
    response.set("Content-Type",
                 fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
                             accepted.version));
    response.body = std::move(body);
    return true;
  }
  return false;
}

bool answer_discovery(ApiServer& server, const Call& call, net::HttpResponse& response) {
  std::string path = call.info.path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path == "/api") {
    if (answer_aggregated(call, true, response)) return true;
    answer_document(call, api_versions_json(server.config()),
                    &api::metav1::APIVersions::type_info(), response);
    return true;
  }
  if (path == "/apis") {
    if (answer_aggregated(call, false, response)) return true;
    answer_document(call, api_group_list_json(), &api::metav1::APIGroupList::type_info(), response);
    return true;
  }
  const bool core = path.starts_with("/api/");
  if (!core && !path.starts_with("/apis/")) return false;
  const auto parts = split(std::string_view(path).substr(core ? 5 : 6), '/');
  std::string json;
  const api::TypeInfo* type = &api::metav1::APIResourceList::type_info();
  if (core && parts.size() == 1) {
    json = api_resource_list_json("", parts[0]);
  } else if (!core && parts.size() == 2) {
    json = api_resource_list_json(parts[0], parts[1]);
  } else if (!core && parts.size() == 1) {
    json = api_group_json(parts[0]);
    type = &api::metav1::APIGroup::type_info();
  }
  if (json.empty()) return false;
  answer_document(call, std::move(json), type, response);
  return true;
}

std::string version_json(const ApiServerConfig& config) {
  return fmt::format(R"({{"major":"1","minor":"32","gitVersion":"v1.32.0+orch1","gitCommit":{},)"
                     R"("gitTreeState":"clean","buildDate":{},"goVersion":"none",)"
                     R"("compiler":"g++ {}","platform":"linux/amd64"}})",
                     json_quote(config.git_commit), json_quote(config.build_date), __GNUC__);
}

std::string root_json(ApiServer& server) {
  std::vector<std::string> paths{"/api", "/api/v1", "/apis"};
  for (const api::ResourceInfo* resource : api::all_resources()) {
    if (resource->group.empty()) continue;
    const std::string group = "/apis/" + std::string(resource->group);
    const std::string version = group + "/" + std::string(resource->version);
    if (std::find(paths.begin(), paths.end(), group) == paths.end()) paths.push_back(group);
    if (std::find(paths.begin(), paths.end(), version) == paths.end()) paths.push_back(version);
  }
  for (const char* path :
       {"/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}) {
    paths.emplace_back(path);
  }
  {
    std::lock_guard lock(server.internals().mutex);
    for (const PathEntry& entry : server.internals().paths) paths.push_back(entry.path);
  }
  std::string out = "{\"paths\":[";
  for (size_t i = 0; i < paths.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, paths[i]);
  }
  return out + "]}";
}

bool answer_added(ApiServer& server, Call& call, net::HttpResponse& response) {
  ApiServer::PathHandler handler;
  {
    std::lock_guard lock(server.internals().mutex);
    for (const PathEntry& entry : server.internals().paths) {
      if (entry.path.ends_with('/') ? call.info.path.starts_with(entry.path)
                                    : call.info.path == entry.path) {
        handler = entry.handler;
        break;
      }
    }
  }
  if (!handler) return false;
  handler(call, response);
  return true;
}

}  // namespace

std::string etag_of(std::string_view body) { return "\"" + net::sha256_hex(body) + "\""; }

bool not_modified(const Call& call, std::string_view etag) {
  for (const std::string& listed : split(call.if_none_match, ',')) {
    std::string_view tag = trim(listed);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag || tag == "*") return true;
  }
  return false;
}

void answer_page_not_found(net::HttpResponse& response) {
  response.status = 404;
  response.set("Content-Type", "text/plain; charset=utf-8");
  response.set("X-Content-Type-Options", "nosniff");
  response.body = "404 page not found\n";
}

void answer_path(ApiServer& server, Call& call, net::HttpResponse& response) {
  const std::string& path = call.info.path;
  if (answer_added(server, call, response)) return;
  const bool read = call.method == "GET" || call.method == "HEAD";
  if (read && answer_health(server, call, response)) return;
  if (read && answer_discovery(server, call, response)) return;
  const bool version = path == "/version" || path == "/version/";
  if (read && version) {
    response.set("Content-Type", "application/json");
    response.body = json_pretty(version_json(server.config()));
    response.body.pop_back();
    return;
  }
  if (read && path == "/metrics") {
    response.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics::render();
    return;
  }
  if (read && path == "/") {
    response.set("Content-Type", "application/json");
    response.body = json_pretty(root_json(server));
    return;
  }
  if (read && answer_openapi(server, call, response)) return;
  net::HttpResponse unread;
  if (!read && (version || answer_discovery(server, call, unread))) {
    response.set("Allow", "GET");
    return answer_error(call, api::generic_server_response(405), response);
  }
  answer_page_not_found(response);
}

}  // namespace orch::server
