// The API server without sockets: verbs, subresources, discovery and reviews over the registry.
// src/server/http feeds it from HTTP; local_transport() calls it in process. Owns no thread; every
// method may be called from any thread. Built and wired by src/server/server.cpp:
//
//   ApiServer api(env, store, config);
//   api.set_hooks({&authenticator, &authorizer, &admission, &token_issuer});
//   ORCH_CHECK(api.start());
//   auto http = net::HttpServer::start(options, make_http_handler(api));   // src/server/http
//   ... api.stop() before the store stops.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/env.h"
#include "orch/client/transport.h"
#include "orch/net/http.h"
#include "orch/storage/kv_store.h"
#include "server/api/hooks.h"
#include "server/registry/registry.h"

namespace orch::server {

struct Call;
class ClaimRepair;
class ServiceAllocator;

// Reaches the kubelet of a node. Blocking calls.
class NodeConnector {
 public:
  virtual ~NodeConnector() = default;
  // A client for https://<node's InternalIP>:<kubelet port>. Errors as upstream's.
  virtual api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet(std::string_view node_name) = 0;
  // The same, whatever serving certificate it shows (pods/log?insecureSkipTLSVerifyBackend).
  virtual api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet_unverified(
      std::string_view node_name) {
    return kubelet(node_name);
  }
  // A client for any other base URL (pods|services proxy): "http://10.42.0.7:8080".
  virtual api::ApiResult<std::shared_ptr<net::HttpClient>> peer(const std::string& base_url) = 0;
};

struct ApiServerConfig {
  std::string service_cidr = "10.43.0.0/16";
  std::string service_node_port_range = "30000-32767";
  bool shared_store = false;      // other servers write to it, too
  std::string advertise_address;  // "10.0.0.1:6443", for discovery
  std::string build_date = "1970-01-01T00:00:00Z";
  std::string git_commit;
  // Client certificate towards kubelets; null = no TLS verification possible, connections fail.
  std::shared_ptr<net::TlsClientContext> kubelet_tls;
  // The same certificate, without asking for the kubelet's.
  std::shared_ptr<net::TlsClientContext> kubelet_tls_unverified;
};

class ApiServer {
 public:
  ApiServer(Env& env, storage::KvStore& store, ApiServerConfig config);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;

  // Before start(). What the pointers name must outlive the last request.
  void set_hooks(const Hooks& hooks) { hooks_ = hooks; }
  // In place of the one over net::HttpClient.
  void set_node_connector(std::shared_ptr<NodeConnector> connector);
  // Repairs the Service allocators from the stored Services. Error: a sentence.
  Result<Unit, std::string> start();
  // Ends all watches; later requests answer 503. Idempotent.
  void stop();

  // In-process calls under this identity: authorised and admitted as any other. The transport must
  // not outlive the ApiServer. Its watch callbacks run on the store's threads.
  std::unique_ptr<client::Transport> local_transport(UserInfo user);

  // A named part of /healthz, /livez or /readyz: returns "" when well, else why not.
  enum class Probe : uint8_t { kHealth, kLive, kReady };
  void add_check(Probe probe, std::string name, std::function<std::string()> check);

  // Answers a path outside of the API (join, key sets ...): exact, or a prefix when it ends with
  // "/". `open`: served without authentication and authorization; the handler sees call.http.
  using PathHandler = std::function<void(Call& call, net::HttpResponse& response)>;
  void add_path(std::string path, bool open, PathHandler handler);
  bool is_open_path(std::string_view path) const;

  // Serves one authenticated and authorised request (called by src/server/http). Failures are
  // answers.
  void handle(Call& call, net::HttpResponse& response);
  // Its last step: what failed becomes a Status. For those who parked the request.
  void conclude(Call& call, const api::ApiResult<Unit>& served, net::HttpResponse& response);
  // The same for resource requests, failures as errors (in-process calls).
  api::ApiResult<Unit> serve(Call& call, net::HttpResponse& response);

  Env& env() { return env_; }
  Registry& registry() { return *registry_; }
  ServiceAllocator& services() { return *services_; }
  NodeConnector& nodes() { return *nodes_; }
  const Hooks& hooks() const { return hooks_; }
  const ApiServerConfig& config() const { return config_; }
  bool stopping() const;

  struct Internals;  // watches, health checks, cached discovery documents (api_server.cpp)
  Internals& internals() { return *internals_; }

 private:
  Env& env_;
  ApiServerConfig config_;
  Hooks hooks_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<ServiceAllocator> services_;
  std::shared_ptr<ClaimRepair> claims_;  // null: nobody else writes to the store
  std::shared_ptr<NodeConnector> nodes_;
  std::unique_ptr<Internals> internals_;
};

}  // namespace orch::server
