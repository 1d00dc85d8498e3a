// Passing requests on to backends (kubelets, Pods, Services): whole answers streamed through,
// upgrades as raw bytes. Redirects are never followed: they are answered 502, or passed on where
// the caller says how their Location reads from outside. Blocks until the backend's head is there.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

struct RelayRequest {
  std::shared_ptr<net::HttpClient> client;
  std::string method, target;
  net::Headers headers;
  std::string body;
  std::string backend;  // for messages: "10.42.0.7:8080"
  // Answers of 400 and more become this error, made from code and body; empty = passed through.
  std::function<api::Error(int code, const std::string& body)> on_error;
  std::string content_type;  // instead of the backend's
  std::string unreachable;   // before the reason why the backend cannot be reached; answered 503
  std::function<std::string(std::string_view)> on_location;
  // Links of HTML pages (those without Content-Encoding); empty = pages are passed on as they are.
  std::function<std::string(std::string_view)> on_link;
};
// Streams the backend's answer to the client.
api::ApiResult<Unit> relay(ApiServer& server, RelayRequest request, net::HttpResponse& response);
// Upgrades the connection to the backend and joins both as raw bytes. An answer other than 101 is
// passed on, and the client's connection closed.
api::ApiResult<Unit> relay_upgrade(RelayRequest request, net::HttpResponse& response);
// The request's headers without hop-by-hop ones, credentials and impersonation; upgrade headers are
// kept when `upgrade`.
net::Headers forwardable(const net::HttpRequest& request, bool upgrade);
bool wants_upgrade(const Call& call);

}  // namespace orch::server
