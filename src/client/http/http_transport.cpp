#include "orch/client/http_transport.h"

#include <fmt/format.h>

#include "client/http/watch_thread.h"
#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::client {
namespace {

std::string_view method_of(std::string_view verb) {
  if (verb == "create") return "POST";
  if (verb == "update") return "PUT";
  if (verb == "patch") return "PATCH";
  if (verb == "delete" || verb == "deletecollection") return "DELETE";
  return "GET";
}

class HttpTransportImpl final : public HttpTransport {
 public:
  explicit HttpTransportImpl(HttpTransportOptions options) : options_(std::move(options)) {
    // "https://host:6443/prefix": the client takes the origin, targets carry the prefix.
    std::string origin = options_.base_url;
    while (!origin.empty() && origin.back() == '/') origin.pop_back();
    const auto scheme = origin.find("://");
    const auto slash = origin.find('/', scheme == std::string::npos ? 0 : scheme + 3);
    if (slash != std::string::npos && !origin.starts_with("unix://")) {
      prefix_ = origin.substr(slash);
      origin.resize(slash);
    }
    net::HttpClientOptions http;
    http.base_url = origin;
    http.tls = options_.tls;
    http.server_name = options_.server_name;
    http.connect_timeout = options_.connect_timeout;
    http.request_timeout = options_.request_timeout;
    client_ = net::HttpClient::create(http);
  }

  api::ApiResult<Response> call(const Request& request) override {
    std::string body = request.object ? api::to_json(*request.object) : request.body;
    net::Headers headers = common_headers();
    if (!body.empty()) {
      headers.emplace("Content-Type",
                      request.content_type.empty() ? "application/json" : request.content_type);
    }
    auto answer = client_->request(method_of(request.verb), prefix_ + request_target(request),
                                   headers, std::move(body));
    if (!answer) return Err(api::service_unavailable(answer.error()));
    if (answer->status < 200 || answer->status > 299) {
      return Err(api::error_from_response(answer->status, answer->body));
    }
    return Response{answer->status, std::move(answer->body)};
  }

  api::ApiResult<std::unique_ptr<WatchStream>> watch(const Request& request,
                                                     WatchCallbacks callbacks) override {
    Request watching = request;
    watching.verb = "watch";
    return start_watch_thread(client_, prefix_ + request_target(watching), common_headers(),
                              std::move(callbacks));
  }

  Result<net::HttpResult, std::string> raw(std::string_view method, std::string_view path,
                                           const net::Headers& headers, std::string body) override {
    return client_->request(method, prefix_ + std::string(path), with_identity(headers),
                            std::move(body));
  }

  Result<net::HttpClient::Upgraded, std::string> upgrade(std::string_view method,
                                                         std::string_view path,
                                                         const net::Headers& headers) override {
    return client_->upgrade(method, prefix_ + std::string(path), with_identity(headers));
  }

 private:
  net::Headers with_identity(net::Headers headers) const {
    if (!headers.contains("User-Agent")) headers.emplace("User-Agent", options_.user_agent);
    if (options_.bearer_token) {
      if (auto token = options_.bearer_token(); !token.empty()) {
        headers.emplace("Authorization", "Bearer " + token);
      }
    }
    return headers;
  }
  net::Headers common_headers() const { return with_identity({{"Accept", "application/json"}}); }

  HttpTransportOptions options_;
  std::string prefix_;
  std::shared_ptr<net::HttpClient> client_;  // shared with watch threads
};

}  // namespace

std::string request_target(const Request& request) {
  std::string out = request.group.empty() ? "/api/" : "/apis/" + request.group + "/";
  out += request.version;
  if (!request.namespace_.empty()) out += "/namespaces/" + net::url_encode(request.namespace_);
  out += "/" + request.resource;
  if (!request.name.empty()) out += "/" + net::url_encode(request.name);
  if (!request.subresource.empty()) out += "/" + request.subresource;
  char separator = '?';
  auto add = [&](std::string_view key, std::string_view value) {
    out += separator;
    separator = '&';
    out += net::url_encode(key);
    out += '=';
    out += net::url_encode(value);
  };
  for (const auto& [key, value] : request.query) add(key, value);
  if (request.verb == "watch") add("watch", "true");
  return out;
}

std::unique_ptr<HttpTransport> make_http_transport(HttpTransportOptions options) {
  return std::make_unique<HttpTransportImpl>(std::move(options));
}

}  // namespace orch::client
