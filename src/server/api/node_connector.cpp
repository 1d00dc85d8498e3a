#include "server/api/node_connector.h"

#include <fmt/format.h>

#include <map>
#include <mutex>

#include "orch/api/corev1.h"

namespace orch::server {
namespace {

constexpr int32_t kKubeletPort = 10250;
constexpr size_t kClientsMax = 1024;

std::string url_host(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

class HttpNodeConnector final : public NodeConnector {
 public:
  HttpNodeConnector(Registry& registry, std::shared_ptr<net::TlsClientContext> tls,
                    std::shared_ptr<net::TlsClientContext> unverified)
      : registry_(registry), tls_(std::move(tls)), unverified_(std::move(unverified)) {}

  api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet(std::string_view name) override {
    return connect(name, tls_);
  }
  api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet_unverified(
      std::string_view name) override {
    return connect(name, unverified_ ? unverified_ : tls_);
  }

  api::ApiResult<std::shared_ptr<net::HttpClient>> peer(const std::string& base_url) override {
    net::HttpClientOptions options;
    options.base_url = base_url;
    if (base_url.starts_with("https://")) {
      net::TlsClientContext::Options tls;
      tls.insecure_skip_verify = true;  // Pods and Services have no certificates we know
      auto context = net::TlsClientContext::create(tls);
      if (!context) return Err(backend_error(500, context.error()));
      options.tls = std::move(*context);
    }
    return cached(options, "");
  }

 private:
  api::ApiResult<std::shared_ptr<net::HttpClient>> connect(
      std::string_view name, const std::shared_ptr<net::TlsClientContext>& tls) {
    ORCH_TRY(auto node, registry_.get_typed<api::corev1::Node>("", name));
    std::string address;
    for (const char* type : {"InternalIP", "ExternalIP", "Hostname"}) {
      for (const auto& candidate : node->status.addresses) {
        if (address.empty() && candidate.type == type) address = candidate.address;
      }
    }
    if (address.empty()) {
      return Err(
          backend_error(500, fmt::format("no preferred addresses found; known addresses: []")));
    }
    int32_t port = node->status.daemonEndpoints.kubeletEndpoint.Port;
    if (port <= 0) port = kKubeletPort;
    net::HttpClientOptions options;
    options.base_url = fmt::format("https://{}:{}", url_host(address), port);
    options.tls = tls;
    options.server_name = node->metadata.name;  // its certificate must be this node's
    return cached(options, tls == tls_ ? "" : "unverified");
  }

  std::shared_ptr<net::HttpClient> cached(const net::HttpClientOptions& options,
                                          std::string_view kind) {
    std::lock_guard lock(mutex_);
    const std::string key = fmt::format("{} {} {}", options.base_url, options.server_name, kind);
    const auto it = clients_.find(key);
    if (it != clients_.end()) return it->second;
    if (clients_.size() >= kClientsMax) clients_.clear();  // gone Pods; rare
    std::shared_ptr<net::HttpClient> client = net::HttpClient::create(options);
    clients_.emplace(key, client);
    return client;
  }

  Registry& registry_;
  std::shared_ptr<net::TlsClientContext> tls_, unverified_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<net::HttpClient>> clients_;
};

}  // namespace

std::shared_ptr<NodeConnector> make_node_connector(
    Registry& registry, std::shared_ptr<net::TlsClientContext> tls,
    std::shared_ptr<net::TlsClientContext> unverified) {
  return std::make_shared<HttpNodeConnector>(registry, std::move(tls), std::move(unverified));
}

api::Error backend_error(int code, std::string_view text) {
  api::Error error = api::internal_error(text);
  error.code = code;
  error.reason = code == 502 ? "BadGateway" : code == 500 ? "" : error.reason;
  error.message = text;
  error.causes.clear();
  return error;
}

}  // namespace orch::server
