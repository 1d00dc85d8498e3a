#include "server/http/handler.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"
#include "server/api/authorize.h"
#include "server/api/encode.h"
#include "server/http/filters.h"

namespace orch::server {
namespace {

constexpr size_t kHugeBody = size_t{1} << 20;

Call make_call(const net::HttpRequest& request) {
  Call call;
  call.info = parse_request(request.method, request.path, request.query);
  call.method = request.method;
  call.query = request.query;
  // Several Accept headers count as one list.
  for (auto [it, end] = request.headers.equal_range("Accept"); it != end; ++it) {
    call.accept += (call.accept.empty() ? "" : ",") + it->second;
  }
  call.content_type = net::header(request.headers, "Content-Type");
  call.user_agent = net::header(request.headers, "User-Agent");
  call.if_none_match = net::header(request.headers, "If-None-Match");
  call.body = request.body;
  call.http = &request;
  return call;
}

api::ApiResult<Unit> check_encoding(const net::HttpRequest& request) {
  const auto encoding = net::header(request.headers, "Content-Encoding");
  if (encoding.empty() || iequals(encoding, "identity")) return Unit{};
  return Err(api::unsupported_media_type(
      fmt::format("the content encoding \"{}\" is not supported", encoding)));
}

class Pipeline {
 public:
  Pipeline(ApiServer& server, const HttpHandlerOptions& options)
      : server_(server),
        options_(options),
        in_flight_(options.read_in_flight_max, options.mutating_in_flight_max) {}

  void serve(const net::HttpRequest& request, net::HttpResponse& response) {
    const MonoTime start = server_.env().clock.mono();
    Call call = make_call(request);
    response.set("Audit-Id", random_uuid(server_.env().random));
    response.set("Cache-Control", "no-cache, private");
    try {
      if (auto passed = filter(request, call, response); !passed) {
        refuse(call, passed.error(), response);
      }
    } catch (const std::exception& e) {
      log::error("http", "{} {}: {}", request.method, request.path, e.what());
      response = net::HttpResponse();
      answer_error(call, api::internal_error("apiserver panic'd"), response);
    }
    const Micros took = server_.env().clock.mono() - start;
    if (took > options_.request_timeout && !long_running(call)) {
      response = net::HttpResponse();
      answer_error(call, api::timeout("request did not complete within the allotted timeout", 0),
                   response);
    }
    count_request(call, response.status, static_cast<double>(took.count()) / 1e6);
    // What a huge body was decoded into is free now, but the allocator would keep it.
    if (request.body.size() > kHugeBody) malloc_trim(0);
  }

 private:
  void refuse(const Call& call, const api::Error& error, net::HttpResponse& response) {
    response.body.clear();
    response.tail = {};
    answer_error(call, error, response);
  }

  api::ApiResult<Unit> filter(const net::HttpRequest& request, Call& call,
                              net::HttpResponse& response) {
    ORCH_CHECK(check_encoding(request));
    if (!call.info.is_resource && server_.is_open_path(call.info.path)) {
      server_.handle(call, response);
      return Unit{};
    }
    const Hooks& hooks = server_.hooks();
    ORCH_CHECK(authenticate(hooks, request, call));
    ORCH_CHECK(impersonate(hooks, request, call));
    ORCH_TRY(const auto slot, in_flight_.enter(call));
    ORCH_CHECK(authorize(hooks, call));
    server_.handle(call, response);
    return Unit{};
  }

  ApiServer& server_;
  const HttpHandlerOptions options_;
  InFlight in_flight_;
};

}  // namespace

net::HttpHandler make_http_handler(ApiServer& server, const HttpHandlerOptions& options) {
  auto pipeline = std::make_shared<Pipeline>(server, options);
  return [pipeline](const net::HttpRequest& request, net::HttpResponse& response) {
    pipeline->serve(request, response);
  };
}

net::HttpServerOptions http_options() {
  net::HttpServerOptions options;
  options.may_block = request_may_block;
  options.error_body = refusal_body;
  return options;
}

bool request_may_block(std::string_view method, std::string_view path) {
  if (method != "GET" && method != "HEAD") {
    constexpr std::string_view kStreams[] = {"/exec", "/attach", "/portforward", "/proxy"};
    return std::any_of(std::begin(kStreams), std::end(kStreams),
                       [&](std::string_view name) { return path.find(name) != path.npos; });
  }
  Call call;
  call.info = parse_request(method, path, {});
  if (call.info.group == "metrics.k8s.io") return true;  // asks the agents
  return call.info.verb != "watch" && long_running(call);
}

std::string refusal_body(int status, std::string_view message) {
  switch (status) {
    case 413:
      return api::status_json(api::request_entity_too_large("limit is 3145728"));
    case 503:
      return api::status_json(api::service_unavailable(message));
    default:
      break;
  }
  api::Error error = api::bad_request(message);
  error.code = status;
  if (status >= 500) error.reason = "InternalError";
  return api::status_json(error);
}

}  // namespace orch::server
