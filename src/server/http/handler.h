// From net/http to the API: the request filters in upstream's order (guard, request info,
// authentication, audit, impersonation, priority and fairness, authorization) and the call itself.
// Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/net/http.h"
#include "server/api/api_server.h"

namespace orch::server {

class Auditor;
class FlowControl;

struct HttpHandlerOptions {
  FlowControl* flow = nullptr;  // null: nothing waits and nothing is refused
  Auditor* audit = nullptr;     // null: nothing is audited
  Seconds request_timeout{60};
};

// The handler refers to `server`, which must outlive it.
net::HttpHandler make_http_handler(ApiServer& server, const HttpHandlerOptions& options = {});

// Options with the hooks set: what requests wait for, and the Status
// body of refusals that never reach the handler (413, 400, 408 ...).
net::HttpServerOptions http_options();
net::HttpServerOptions::Waits request_waits(std::string_view method, std::string_view path);
std::string refusal_body(int status, std::string_view message);

}  // namespace orch::server
