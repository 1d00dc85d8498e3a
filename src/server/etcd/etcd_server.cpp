#include "server/etcd/etcd_server.h"

#include <fmt/format.h>

#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "server/etcd/facade.h"

namespace orch::server::etcd {
namespace {

constexpr std::string_view kFlag = "--etcd-listen-client-url";

struct ListenUrl {
  std::string text;
  net::GrpcServerOptions::Listener listener;
  bool tls = false;
};

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1";
}

Result<ListenUrl, std::string> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Err(fmt::format("{}: \"{}\": {}", kFlag, text, why));
  };
  ListenUrl url;
  url.text = text;
  if (text.starts_with("unix://")) {
    url.listener.unix_socket = true;
    url.listener.address = text.substr(7);
    if (url.listener.address.empty()) return bad("a path must follow unix://");
    return url;
  }
  std::string_view rest;
  if (text.starts_with("https://")) {
    url.tls = true;
    rest = text.substr(8);
  } else if (text.starts_with("http://")) {
    rest = text.substr(7);
  } else {
    return bad("must begin with https://, http:// or unix://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t colon = rest.rfind(':');
  const auto port =
      colon == std::string_view::npos ? std::nullopt : parse_int(rest.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return bad("a port must follow the address");
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  if (!url.tls && !is_loopback(host)) return bad("http is allowed on loopback addresses only");
  url.listener.address = host;
  url.listener.port = static_cast<uint16_t>(*port);
  return url;
}

// Stable for a cluster, as its certificate authority is.
uint64_t id_of(std::string_view what, std::string_view ca_pem) {
  const uint64_t id = fnv1a64(fmt::format("{}/{}", what, ca_pem));
  return id == 0 ? 1 : id;
}

class EtcdServerImpl final : public EtcdServer {
 public:
  ~EtcdServerImpl() override { stop(); }
  Result<bool, std::string> start(storage::KvStore& store, const EtcdServerOptions& options);
  const std::vector<std::string>& urls() const override { return urls_; }
  Result<Unit, std::string> use_certificate(const net::KeyPair& pair) override {
    return tls_->reload(pair);
  }
  void stop() override {
    if (server_) server_->stop();
  }

 private:
  std::shared_ptr<net::TlsServerContext> tls_;
  std::shared_ptr<Facade> facade_;
  std::unique_ptr<net::GrpcServer> server_;
  std::vector<std::string> urls_;
};

// False: nothing to listen on.
Result<bool, std::string> EtcdServerImpl::start(storage::KvStore& store,
                                                const EtcdServerOptions& options) {
  std::vector<ListenUrl> urls;
  for (const std::string& text : split(options.listen_urls, ',')) {
    const auto trimmed = trim(text);
    if (trimmed.empty() || trimmed == "none") continue;
    ORCH_TRY(ListenUrl url, parse_url(trimmed));
    urls.push_back(std::move(url));
  }
  if (urls.empty()) return false;
  auto tls = net::TlsServerContext::create({.key_pair = options.server_key_pair,
                                            .client_ca_pem = options.ca_pem,
                                            .client_certificate_required = true,
                                            .http2 = true});
  if (!tls) return Err("etcd TLS: " + tls.error());
  tls_ = *tls;
  facade_ = std::make_shared<Facade>(
      store, FacadeOptions{id_of("cluster", options.ca_pem), id_of("member", options.ca_pem),
                           options.member_name, options.progress_interval});
  net::GrpcServerOptions server_options;
  server_options.message_bytes_max = kMessageBytesMax;
  ORCH_TRY(server_,
           net::GrpcServer::start(
               server_options,
               [facade = facade_](std::shared_ptr<net::GrpcStream> stream, std::string_view path) {
                 return facade->open(std::move(stream), path);
               },
               [facade = facade_](std::string_view path) { return facade->get(path); }));
  facade_->attach(*server_, {});
  for (ListenUrl& url : urls) {
    if (url.tls) url.listener.tls = *tls;
    auto port = server_->listen(url.listener);
    if (!port) {
      if (options.listen_urls != kDefaultListenUrl) {
        return Err(fmt::format("{}: {}", kFlag, port.error()));
      }
      log::warn("etcd", "{}; the store's etcd API is off (set {} to another one)", port.error(),
                kFlag);
      return false;
    }
    if (!url.listener.unix_socket) {
      url.text = url.text.substr(0, url.text.rfind(':') + 1) + std::to_string(*port);
    }
    urls_.push_back(url.text);
  }
  facade_->attach(*server_, urls_);
  log::info("etcd", "etcd API on {}", join(urls_, ", "));
  return true;
}

}  // namespace

Result<std::unique_ptr<EtcdServer>, std::string> EtcdServer::start(
    storage::KvStore& store, const EtcdServerOptions& options) {
  auto server = std::make_unique<EtcdServerImpl>();
  ORCH_TRY(const bool on, server->start(store, options));
  if (!on) return std::unique_ptr<EtcdServer>();
  return std::unique_ptr<EtcdServer>(std::move(server));
}

}  // namespace orch::server::etcd
