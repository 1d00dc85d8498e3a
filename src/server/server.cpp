// The composition root of the control plane: builds its parts in dependency order, stops them in
// reverse.
#include "orch/server/server.h"

#include <fmt/format.h>

#include <thread>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/net/host.h"
#include "orch/net/http.h"
#include "orch/storage/kv_store.h"
#include "server/access.h"
#include "server/api/api_server.h"
#include "server/auth/service_account_tokens.h"
#include "server/bootstrap.h"
#include "server/control_plane_label.h"
#include "server/datastore.h"
#include "server/etcd/etcd_server.h"
#include "server/etcd/remote_store.h"
#include "server/front.h"
#include "server/http/handler.h"
#include "server/identities.h"
#include "server/issuer_discovery.h"
#include "server/join/join_handler.h"
#include "server/kubernetes_endpoints.h"
#include "server/loops.h"
#include "server/maintenance/service.h"
#include "server/pki/certificate_keeper.h"
#include "server/pki/join_token.h"
#include "server/pki/pki.h"
#include "server/settings.h"

namespace orch::server {
namespace {

constexpr Seconds kSyncTimeout{30};

// The API server towards itself.
UserInfo own_identity() {
  UserInfo user = component_user("system:apiserver");
  user.groups.emplace_back("system:masters");
  return user;
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Env& env, const ServerConfig& config, Settings settings)
      : env_(env), config_(config), settings_(std::move(settings)) {}
  ~ServerImpl() override { stop(); }

  Result<Unit, std::string> start();
  uint16_t port() const override { return http_->port(); }
  const std::string& join_token() const override { return join_token_; }
  const std::string& kubeconfig_path() const override { return config_.write_kubeconfig; }
  void stop() override;

 private:
  PkiOptions pki_options() const;
  BootstrapFacts bootstrap_facts() const;
  Result<Unit, std::string> load_identity();
  void keep_certificates();
  Result<Unit, std::string> open_store();
  Result<Unit, std::string> start_api();
  Result<Unit, std::string> start_http();
  Result<Unit, std::string> start_etcd();
  Result<Unit, std::string> write_kubeconfig();
  Result<Unit, std::string> wait_until(const std::function<bool()>& filled);
  Result<Unit, std::string> start_loops();

  Env& env_;
  ServerConfig config_;
  Settings settings_;
  Pki pki_;
  client::JoinToken token_;
  std::string join_token_;
  std::unique_ptr<Maintenance> maintenance_;
  std::shared_ptr<etcd::EtcdClient> datastore_;  // null: the embedded store
  std::unique_ptr<storage::KvStore> store_;
  std::shared_ptr<IdentityKeeper> identity_keeper_;  // null: the embedded store
  std::unique_ptr<etcd::EtcdServer> etcd_;
  std::unique_ptr<ApiServer> api_;
  // The server's own identity: admission, authentication look-ups, bootstrap, shared caches.
  std::unique_ptr<client::Transport> loopback_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<ServiceAccountTokens> tokens_;
  std::unique_ptr<Access> access_;
  std::string front_proxy_ca_pem_;
  std::unique_ptr<JoinHandler> join_;
  std::shared_ptr<net::TlsServerContext> serving_tls_;
  std::vector<std::shared_ptr<net::TlsClientContext>> kubelet_tls_;
  std::shared_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<Front> front_;
  std::unique_ptr<net::HttpServer> http_;
  std::shared_ptr<KubernetesEndpoints> endpoints_;  // null: the embedded store
  std::unique_ptr<Loops> loops_;
};

PkiOptions ServerImpl::pki_options() const {
  return {.directory = settings_.directory + "/tls",
          .server_dns_names = settings_.certificate_dns_names,
          .server_ips = settings_.certificate_ips,
          .now = env_.clock.now(),
          .leaf_valid = settings_.certificate_lifetime};
}

Result<Unit, std::string> ServerImpl::load_identity() {
  ORCH_CHECK(make_directories(config_.data_dir, 0700));
  ORCH_CHECK(make_directories(settings_.directory, 0700));
  if (!datastore_) {
    ORCH_TRY(datastore_, make_datastore_client(config_));
  }
  bool shared = !datastore_;
  if (datastore_) {
    ORCH_TRY(shared, share_identity(*datastore_, config_, settings_.directory, false));
  }
  const bool made_authority = !file_exists(settings_.directory + "/tls/request-header-ca.crt");
  ORCH_TRY(pki_, Pki::load_or_create(pki_options()));
  ORCH_TRY(front_proxy_ca_pem_, front_proxy_ca(config_.access, pki_.request_header_ca));
  ORCH_TRY(token_, load_or_create_token(settings_.directory + "/token", config_.token,
                                        pki_.server_ca.certificate_pem, env_.random));
  join_token_ = token_.str();
  if (datastore_) {
    ORCH_TRY(const bool made_keys, make_encryption_keys(config_, settings_.directory));
    if (!shared || made_keys || made_authority) {
      // Made just now. If another server was first, what it has made is read instead.
      ORCH_CHECK(share_identity(*datastore_, config_, settings_.directory, true));
      return load_identity();
    }
  }
  if (!config_.agent_token.empty()) {
    ORCH_CHECK(load_or_create_token(settings_.directory + "/agent-token", config_.agent_token,
                                    pki_.server_ca.certificate_pem, env_.random, "node",
                                    "--agent-token"));
  }
  return Unit{};
}

Result<Unit, std::string> ServerImpl::open_store() {
  ORCH_TRY(maintenance_, Maintenance::create(env_, settings_.directory, config_));
  if (datastore_) {
    const auto interval = maintenance_->store_options().compaction_interval;
    ORCH_TRY(store_, etcd::open_remote_store(
                         datastore_, {.compaction_interval = interval,
                                      .transformer = maintenance_->store_options().transformer}));
    identity_keeper_ = IdentityKeeper::create(env_, datastore_, *store_, settings_.directory);
    identity_keeper_->start();
    return Unit{};
  }
  auto store = storage::open_sqlite_store(env_, maintenance_->store_options());
  if (!store) return Err(store.error().message);
  store_ = std::move(*store);
  return Unit{};
}

Result<Unit, std::string> ServerImpl::start_api() {
  ApiServerConfig config;
  config.service_cidr = config_.service_cidr;
  config.service_node_port_range = config_.service_node_port_range;
  config.shared_store = datastore_ != nullptr;
  auto tls = net::TlsClientContext::create(
      {.ca_pem = pki_.server_ca.certificate_pem, .key_pair = pki_.kubelet_client});
  if (!tls) return Err("client TLS towards agents: " + tls.error());
  config.kubelet_tls = *tls;
  kubelet_tls_.push_back(*tls);
  auto unverified = net::TlsClientContext::create(
      {.ca_pem = "", .key_pair = pki_.kubelet_client, .insecure_skip_verify = true});
  if (unverified) {
    config.kubelet_tls_unverified = *unverified;
    kubelet_tls_.push_back(*unverified);
  }
  config.advertise_address =
      fmt::format("{}:{}", settings_.advertise_address, config_.https_listen_port);
  api_ = std::make_unique<ApiServer>(env_, *store_, config);

  loopback_ = api_->local_transport(own_identity());
  client_ = std::make_unique<client::Client>(*loopback_);
  informers_ = std::make_unique<client::InformerSet>(env_, *loopback_);
  const std::string issuer = "https://kubernetes.default.svc." + config_.cluster_domain;
  tokens_ =
      std::make_unique<ServiceAccountTokens>(env_, pki_.service_account_key_pem, issuer,
                                             std::vector<std::string>{issuer, "orch"}, *client_);
  ORCH_TRY(access_,
           Access::create(
               {.env = env_, .informers = *informers_, .client = *client_, .tokens = *tokens_},
               config_.access, config_.disable));
  api_->set_hooks(access_->hooks());
  add_issuer_discovery(*api_, *tokens_, config.advertise_address);
  ORCH_CHECK(api_->start());
  join_ = std::make_unique<JoinHandler>(
      env_, pki_,
      JoinOptions{token_,
                  {settings_.directory + "/token", settings_.directory + "/agent-token"},
                  settings_.certificate_lifetime},
      ClusterFacts{settings_.cluster_dns, config_.cluster_domain, config_.cluster_cidr,
                   config_.service_cidr},
      *client_);
  maintenance_->attach(*api_, *store_);
  api_->add_check(ApiServer::Probe::kReady, "informer-sync", [this]() -> std::string {
    return informers_->all_synced() ? "" : "informers not synced yet";
  });
  return Unit{};
}

Result<Unit, std::string> ServerImpl::start_http() {
  auto tls = net::TlsServerContext::create({.key_pair = pki_.serving,
                                            .client_ca_pem = pki_.client_ca.certificate_pem,
                                            .front_proxy_ca_pem = front_proxy_ca_pem_});
  if (!tls) return Err("serving TLS: " + tls.error());
  serving_tls_ = *tls;
  net::HttpServerOptions options = http_options();
  options.address = config_.bind_address;
  options.port = config_.https_listen_port;
  options.tls = *tls;
  ORCH_TRY(front_, Front::create(env_, config_, *api_, *informers_, *client_));
  auto handler = front_->handler();
  auto http = net::HttpServer::start(
      options, [this, handler = std::move(handler)](const net::HttpRequest& request,
                                                    net::HttpResponse& response) {
        if (!join_->handle(request, response)) handler(request, response);
      });
  if (!http) return Err(http.error());
  http_ = std::move(*http);
  return Unit{};
}

// The store in etcd's own protocol, under a certificate authority of its own.
Result<Unit, std::string> ServerImpl::start_etcd() {
  if (datastore_) return Unit{};  // it is to be asked itself
  ORCH_TRY(EtcdPki pki, EtcdPki::load_or_create({.directory = settings_.directory + "/tls/etcd",
                                                 .server_dns_names = {"localhost"},
                                                 .server_ips = settings_.certificate_ips,
                                                 .now = env_.clock.now()}));
  ORCH_TRY(etcd_, etcd::EtcdServer::start(*store_, {.listen_urls = config_.etcd_listen_client_url,
                                                    .server_key_pair = pki.server,
                                                    .ca_pem = pki.ca.certificate_pem,
                                                    .member_name = config_.node_name}));
  return Unit{};
}

Result<Unit, std::string> ServerImpl::write_kubeconfig() {
  if (config_.write_kubeconfig.empty()) return Unit{};
  const size_t slash = config_.write_kubeconfig.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    ORCH_CHECK(make_directories(config_.write_kubeconfig.substr(0, slash), 0755));
  }
  const std::string url = fmt::format("https://{}:{}", settings_.local_url_host, http_->port());
  return write_file_atomic(config_.write_kubeconfig,
                           make_kubeconfig(url, pki_.server_ca.certificate_pem,
                                           pki_.admin.certificate_pem, pki_.admin.private_key_pem),
                           settings_.kubeconfig_mode);
}

Result<Unit, std::string> ServerImpl::wait_until(const std::function<bool()>& filled) {
  const MonoTime deadline = env_.clock.mono() + kSyncTimeout;
  while (!filled()) {
    if (env_.clock.mono() > deadline) return Err(std::string("the caches did not fill in time"));
    std::this_thread::sleep_for(Millis{1});
  }
  return Unit{};
}

Result<Unit, std::string> ServerImpl::start_loops() {
  ORCH_TRY(loops_, Loops::create({.env = env_,
                                  .config = config_,
                                  .settings = settings_,
                                  .pki = pki_,
                                  .api = *api_,
                                  .transport = *loopback_,
                                  .informers = *informers_}));
  if (config_.label_own_node) {
    keep_control_plane_label(env_, *client_, *informers_, config_.node_name);
  }
  informers_->start_all();
  ORCH_CHECK(wait_until([this] { return access_->synced(); }));
  loops_->start();
  return wait_until([this] { return informers_->all_synced(); });
}

BootstrapFacts ServerImpl::bootstrap_facts() const {
  return {.kubernetes_ip = settings_.kubernetes_ip,
          .advertise_address = datastore_ ? "" : settings_.advertise_address,
          .port = http_->port(),
          .client_ca_pem = pki_.client_ca.certificate_pem,
          .request_header_ca_pem = front_proxy_ca_pem_,
          .request_header = request_header_options(config_.access),
          .now = env_.clock.now()};
}

Result<Unit, std::string> ServerImpl::start() {
  ORCH_CHECK(load_identity());
  ORCH_CHECK(open_store());
  ORCH_CHECK(start_api());
  // Listening tells the real port; requests before the bootstrap is done meet a server not ready
  // yet.
  ORCH_CHECK(start_http());
  ORCH_CHECK(start_etcd());
  ORCH_CHECK(bootstrap_objects(*client_, bootstrap_facts()));
  keep_authentication_facts(env_, *client_, *informers_, bootstrap_facts());
  if (datastore_) {
    endpoints_ = KubernetesEndpoints::create(env_, *store_, *client_,
                                             {settings_.advertise_address, http_->port()});
    ORCH_CHECK(endpoints_->run());
    endpoints_->start();
  }
  ORCH_CHECK(start_loops());
  ORCH_CHECK(write_kubeconfig());
  keep_certificates();
  ORCH_CHECK(
      maintenance_->start(fmt::format("https://{}:{}", settings_.local_url_host, http_->port())));
  log::info("server", "ready on port {}; kubeconfig {}", http_->port(), config_.write_kubeconfig);
  return Unit{};
}

// Renewed while running: whoever uses a certificate takes the new one, connections go on.
void ServerImpl::keep_certificates() {
  CertificateKeeper::Deps deps;
  deps.pki = pki_;
  deps.options = pki_options();
  if (config_.advertise_address.empty() && config_.bind_address == "0.0.0.0") {
    deps.addresses = [] {
      auto address = net::default_ipv4_address();
      return address ? std::vector<std::string>{*address} : std::vector<std::string>{};
    };
  }
  const auto note = [](const Result<Unit, std::string>& done) {
    if (!done) log::error("pki", "renewed certificate: {}", done.error());
  };
  deps.on_serving = [this, note](const net::KeyPair& pair) { note(serving_tls_->reload(pair)); };
  deps.on_kubelet_client = [this, note](const net::KeyPair& pair) {
    for (const auto& tls : kubelet_tls_) note(tls->reload(pair));
  };
  deps.on_admin = [this, note](const net::KeyPair& pair) {
    pki_.admin = pair;
    note(write_kubeconfig());
  };
  if (etcd_) {
    deps.on_etcd = [this, note](const net::KeyPair& pair) { note(etcd_->use_certificate(pair)); };
  }
  deps.events = &loops_->events();
  deps.subject.api_version = "v1";
  deps.subject.kind = "Node";
  deps.subject.name = deps.subject.uid = settings_.node_name;
  deps.subject.component = "orch-server";
  keeper_ = CertificateKeeper::create(env_, std::move(deps));
  keeper_->start();
}

void ServerImpl::stop() {
  if (keeper_) keeper_->stop();
  if (loops_) loops_->stop();
  if (informers_) informers_->stop();
  if (front_) front_->stop();
  if (api_) api_->stop();  // ends watches, so that the HTTP server has nothing to wait for
  if (http_) http_->stop();
  if (maintenance_) maintenance_->stop();
  if (etcd_) etcd_->stop();
  if (store_) store_->stop();
}

}  // namespace

Result<std::unique_ptr<Server>, std::string> Server::start(Env& env, const ServerConfig& config) {
  ORCH_TRY(auto settings, make_settings(config));
  auto server = std::make_unique<ServerImpl>(env, config, std::move(settings));
  ORCH_CHECK(server->start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace orch::server
