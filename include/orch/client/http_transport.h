// Transport over HTTPS to any Kubernetes API server. Calls share kept-alive connections; each watch
// has a connection and one thread with a small stack.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "orch/client/transport.h"
#include "orch/net/http.h"

namespace orch::client {

struct HttpTransportOptions {
  std::string base_url;  // "https://host:6443"; a path prefix is kept
  std::shared_ptr<net::TlsClientContext> tls;
  std::string server_name;  // verified instead of the host, if given
  // Asked before every request, so that rotated tokens are taken up; empty function or text = none.
  std::function<std::string()> bearer_token;
  std::string user_agent = "orch";
  Millis connect_timeout{5000};
  Millis request_timeout{60000};
};

class HttpTransport : public Transport {
 public:
  // A plain request for what is no resource ("/version", "/openapi/v3"); `path` with its query.
  // Any status is an answer; the error is the peer's absence.
  virtual Result<net::HttpResult, std::string> raw(std::string_view method, std::string_view path,
                                                   const net::Headers& headers,
                                                   std::string body) = 0;
  // For exec, attach and port-forward: the connection after a 101.
  virtual Result<net::HttpClient::Upgraded, std::string> upgrade(std::string_view method,
                                                                 std::string_view path,
                                                                 const net::Headers& headers) = 0;
};
std::unique_ptr<HttpTransport> make_http_transport(HttpTransportOptions options);

// "/api/v1/namespaces/default/pods/web/log?container=c": the target of a request.
std::string request_target(const Request& request);

}  // namespace orch::client
