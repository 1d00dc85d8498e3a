// The composition root of the node agent.
#include "orch/agent/agent.h"

#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "agent/containerd/containerd.h"
#include "agent/containerd/image_importer.h"
#include "agent/cri/cri_runtime.h"
#include "agent/eviction/eviction_manager.h"
#include "agent/network/network.h"
#include "agent/node/certificate_renewal.h"
#include "agent/node/identity.h"
#include "agent/node/node_agent.h"
#include "agent/pod_manager.h"
#include "agent/serve/agent_server.h"
#include "agent/storage/local_path_agent.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/client/http_transport.h"
#include "orch/net/host.h"
#include "orch/net/netlink.h"
#include "orch/net/proxy.h"

namespace orch::agent {
namespace {

using namespace api;

Result<EvictionConfig, std::string> eviction_of(const AgentConfig& config) {
  return parse_eviction({.hard = config.eviction_hard,
                         .soft = config.eviction_soft,
                         .soft_grace_period = config.eviction_soft_grace_period,
                         .minimum_reclaim = config.eviction_minimum_reclaim,
                         .transition_period = config.eviction_pressure_transition_period,
                         .max_pod_grace_period = config.eviction_max_pod_grace_period});
}

Result<ImagePolicy, std::string> image_policy_of(const AgentConfig& config) {
  ImagePolicy out;
  out.high_percent = config.image_gc_high_threshold;
  out.low_percent = config.image_gc_low_threshold;
  const auto duration = [](const char* flag,
                           const std::string& text) -> Result<Micros, std::string> {
    auto parsed = Duration::parse(text);
    if (!parsed) return Err(fmt::format("--{}: {}", flag, parsed.error()));
    return Micros{parsed->nanos / 1000};
  };
  ORCH_TRY(out.min_age, duration("minimum-image-ttl-duration", config.minimum_image_ttl_duration));
  ORCH_TRY(out.max_age, duration("image-maximum-gc-age", config.image_maximum_gc_age));
  ORCH_CHECK(check_image_policy(out));
  return out;
}

class AgentImpl final : public Agent {
 public:
  AgentImpl(Env& env, const AgentConfig& config)
      : env_(env), config_(config), names_(net::instance_names(config.data_dir)) {}
  ~AgentImpl() override { stop(); }

  Result<Unit, std::string> start();
  void stop() override;

 private:
  Result<Unit, std::string> start_runtime();
  Result<Unit, std::string> connect();
  Result<Unit, std::string> start_network();
  Result<Unit, std::string> start_pods();
  void start_node();
  void start_renewal();
  void start_eviction();
  void watch_pods();

  Env& env_;
  AgentConfig config_;
  net::InstanceNames names_;
  EvictionConfig eviction_config_;
  ImagePolicy image_policy_;
  std::shared_ptr<PressureBoard> board_ = std::make_shared<PressureBoard>();
  std::unique_ptr<Containerd> containerd_;
  std::unique_ptr<ContainerRuntime> runtime_;
  Identity identity_;
  std::shared_ptr<net::TlsClientContext> client_tls_;
  std::shared_ptr<net::TlsServerContext> serving_tls_;
  std::shared_ptr<CertificateRenewal> renewal_;
  std::unique_ptr<client::HttpTransport> transport_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<client::EventRecorder> events_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<Network> network_;
  std::shared_ptr<NodeAgent> node_;
  std::shared_ptr<LocalPathAgent> local_path_;
  std::unique_ptr<PodManager> pods_;
  std::shared_ptr<EvictionManager> eviction_;
  std::unique_ptr<client::InformerBase> pod_informer_;
  std::unique_ptr<AgentServer> server_;
  std::shared_ptr<Strand> strand_;
  std::atomic<bool> stopping_{false};
};

Result<Unit, std::string> AgentImpl::start_runtime() {
  std::string endpoint = config_.container_runtime_endpoint;
  if (endpoint.empty()) {
    ContainerdOptions options;
    options.data_dir = config_.data_dir;
    ORCH_TRY(containerd_, Containerd::start(env_, options));
    endpoint = containerd_->paths().endpoint;
  }
  if (endpoint.find("://") == std::string::npos) endpoint = "unix://" + endpoint;
  runtime_ = make_cri_runtime(endpoint);
  return Unit{};
}

Result<Unit, std::string> AgentImpl::connect() {
  auto tls = net::TlsClientContext::create(
      {.ca_pem = identity_.server_ca_pem, .key_pair = identity_.client});
  if (!tls) return Err("client TLS: " + tls.error());
  client_tls_ = *tls;
  client::HttpTransportOptions options;
  options.base_url = identity_.server_url;
  options.tls = *tls;
  options.user_agent = "orch-agent";
  transport_ = client::make_http_transport(options);
  client_ = std::make_unique<client::Client>(*transport_);
  events_ = client::make_event_recorder(env_, *transport_, "kubelet", identity_.node_name);
  informers_ = std::make_unique<client::InformerSet>(env_, *transport_);
  return Unit{};
}

Result<Unit, std::string> AgentImpl::start_network() {
  const ContainerdPaths paths = containerd_paths(config_.data_dir);
  NetworkConfig config;
  config.node_name = identity_.node_name;
  config.node_ip = identity_.node_ip;
  config.cluster_cidr = identity_.cluster.cluster_cidr;
  config.service_cidr = identity_.cluster.service_cidr;
  config.cluster_dns = identity_.cluster.cluster_dns;
  config.cluster_domain = identity_.cluster.cluster_domain;
  ORCH_TRY(config.overlay, net::parse_overlay_mode(config_.overlay));
  config.proxy_mode = config_.proxy_mode;
  config.names = names_;
  config.cni_conf_dir = paths.cni_conf_dir;
  config.cni_state_dir = config_.data_dir + "/agent/cni";
  ORCH_TRY(network_, Network::create(env_, *informers_, std::move(config)));
  network_->start();
  return Unit{};
}

Result<Unit, std::string> AgentImpl::start_pods() {
  PodManagerConfig config;
  config.data_dir = config_.data_dir;
  config.seccomp_default = config_.seccomp_default;
  config.pod_pids_max = parse_int(config_.pod_max_pids).value_or(-1);
  config.node_name = identity_.node_name;
  config.node_ips = {identity_.node_ip};
  config.cluster_dns = {identity_.cluster.cluster_dns};
  config.cluster_domain = identity_.cluster.cluster_domain;
  auto& services = informers_->get<corev1::Service>();
  PodManagerDeps deps{
      .transport = *transport_,
      .runtime = *runtime_,
      .events = *events_,
      .services =
          [&services] {
            std::vector<std::shared_ptr<const corev1::Service>> out;
            for (auto& object : services.list()) {
              out.push_back(std::static_pointer_cast<const corev1::Service>(object));
            }
            return out;
          },
      .node = [nodes = informers_->lister<corev1::Node>(),
               name = identity_.node_name] { return nodes.get("", name); },
      .allocatable = [node = node_] { return node->allocatable(); },
      .pressure = [board = board_] { return board->get(); },
      .config = std::move(config)};
  pods_ = PodManager::create(env_, std::move(deps));
  auto tls = net::TlsServerContext::create(
      {.key_pair = identity_.serving, .client_ca_pem = identity_.cluster.client_ca_pem});
  if (!tls) return Err("agent's serving TLS: " + tls.error());
  serving_tls_ = *tls;
  AgentServerOptions options;
  options.address = config_.bind_address;
  options.port = config_.kubelet_port;
  options.tls = serving_tls_;
  auto server = AgentServer::start(env_, *pods_, *client_, options);
  if (!server) return Err("--kubelet-port: " + server.error());
  server_ = std::move(*server);
  pods_->on_runtime_change([node = std::weak_ptr(node_)] {
    if (auto alive = node.lock()) alive->poke();
  });
  pods_->start();
  return Unit{};
}

void AgentImpl::start_node() {
  NodeAgentDeps deps{
      .client = *client_,
      .nodes = informers_->lister<corev1::Node>(),
      .runtime = *runtime_,
      .events = *events_,
      .data_dir = config_.data_dir,
      .board = board_,
      .facts = {},
      .set_up_network = [this](const std::string& cidr) { return network_->set_pod_cidr(cidr); }};
  deps.facts.name = identity_.node_name;
  deps.facts.ip = identity_.node_ip;
  deps.facts.external_ip = config_.node_external_ip;
  deps.facts.kubelet_port = config_.kubelet_port;
  deps.facts.labels = config_.node_label;
  deps.facts.taints = config_.node_taint;
  const auto reserve = [this](Signal signal) {
    const Amount* amount = eviction_config_.hard(signal);
    return amount == nullptr ? Amount{} : *amount;
  };
  deps.facts.memory_reserve = reserve(Signal::kMemoryAvailable);
  deps.facts.disk_reserve = reserve(Signal::kNodefsAvailable);
  node_ = NodeAgent::create(env_, std::move(deps));
}

void AgentImpl::start_eviction() {
  auto node = [nodes = informers_->lister<corev1::Node>(), name = identity_.node_name] {
    if (const auto known = nodes.get("", name)) return client::subject_of(*known);
    client::EventSubject subject;
    subject.api_version = "v1";
    subject.kind = "Node";
    subject.name = subject.uid = name;
    return subject;
  };
  // Of a runtime that is not ours, only what it says itself stays.
  auto kept = [own = config_.container_runtime_endpoint.empty(),
               paths = containerd_paths(config_.data_dir),
               pause = config_.pod_infra_container_image] {
    std::set<std::string> out;
    if (own) out = imported_images(paths);
    if (own) out.emplace(pause_image_name());
    if (!pause.empty()) out.insert(pause);
    return out;
  };
  eviction_ = EvictionManager::create(env_, {.pods = *pods_,
                                             .runtime = *runtime_,
                                             .events = *events_,
                                             .node = std::move(node),
                                             .config = eviction_config_,
                                             .images = image_policy_,
                                             .kept_images = std::move(kept),
                                             .board = board_,
                                             .pressure_changed = [node = std::weak_ptr(node_)] {
                                               if (auto alive = node.lock()) alive->poke();
                                             }});
  eviction_->start();
}

std::string current_address() { return net::default_ipv4_address().value_or(""); }

void AgentImpl::start_renewal() {
  // The network and the pods are stopped after the renewal.
  const auto use = [client = client_tls_, serving = serving_tls_, node = std::weak_ptr(node_),
                    network = network_.get(), pods = pods_.get()](const Identity& identity) {
    network->set_address(identity.node_ip);
    pods->set_node_ips({identity.node_ip});
    if (const auto alive = node.lock()) alive->set_address(identity.node_ip);
    for (const auto& reloaded :
         {client->reload(identity.client), serving->reload(identity.serving)}) {
      if (!reloaded) log::error("agent", "renewed certificates: {}", reloaded.error());
    }
  };
  renewal_ = CertificateRenewal::create(
      env_,
      {.identity = identity_,
       .renew = [&env = env_, config = config_](
                    const Identity& old) { return renew_identity(env, config, old); },
       .on_disk = [config = config_](const Identity& old) { return identity_on_disk(config, old); },
       .use = use,
       .address = [set = config_.node_ip] { return set.empty() ? current_address() : set; },
       .events = *events_});
  renewal_->start();
}

void AgentImpl::watch_pods() {
  pod_informer_ = std::make_unique<client::InformerBase>(
      env_, *transport_, resource_of<corev1::Pod>(), "spec.nodeName=" + identity_.node_name);
  pod_informer_->add_handler(
      [this](const ObjectPtr& old, const ObjectPtr& now) { pods_->on_pod_change(old, now); });
  pod_informer_->start();
  // What runs but is unknown is an orphan only once the server said what there is.
  strand_ = env_.executor.make_strand("agent");
  auto check = std::make_shared<std::function<void()>>();
  *check = [this, weak = std::weak_ptr(check)] {
    if (stopping_) return;
    if (pod_informer_->synced()) return pods_->on_pods_synced();
    if (auto again = weak.lock()) strand_->post_after(Millis{20}, [again] { (*again)(); });
  };
  strand_->post([check] { (*check)(); });
}

Result<Unit, std::string> AgentImpl::start() {
  ORCH_CHECK(check_agent_config(config_));
  ORCH_TRY(eviction_config_, eviction_of(config_));
  ORCH_TRY(image_policy_, image_policy_of(config_));
  ORCH_CHECK(start_runtime());  // comes up while we join
  ORCH_TRY(identity_, establish_identity(env_, config_, [this] { return stopping_.load(); }));
  ORCH_CHECK(connect());
  start_node();
  ORCH_CHECK(start_network());
  informers_->get<corev1::Service>();
  local_path_ = LocalPathAgent::create(env_, *client_, *informers_, identity_.node_name,
                                       config_.data_dir + "/storage");
  local_path_->start();
  informers_->start_all();
  ORCH_CHECK(start_pods());
  watch_pods();
  node_->start();
  start_eviction();
  start_renewal();
  log::info("agent", "node {} at {}", identity_.node_name, identity_.node_ip);
  return Unit{};
}

void AgentImpl::stop() {
  if (stopping_.exchange(true)) return;
  if (renewal_) renewal_->stop();
  if (eviction_) eviction_->stop();
  if (node_) node_->stop();
  if (pod_informer_) pod_informer_->stop();
  if (pods_) pods_->stop();
  if (server_) server_->stop();
  if (local_path_) local_path_->stop();
  if (informers_) informers_->stop();
  if (network_) network_->stop();
  if (containerd_) containerd_->stop();
}

}  // namespace

Result<Unit, std::string> check_agent_config(const AgentConfig& config) {
  ORCH_CHECK(check_labels(config.node_label));
  ORCH_CHECK(check_taints(config.node_taint));
  if (!config.node_external_ip.empty() && !net::parse_ipv4(config.node_external_ip)) {
    return Err(
        fmt::format("--node-external-ip: \"{}\" is not an IPv4 address", config.node_external_ip));
  }
  if (auto mode = net::parse_overlay_mode(config.overlay); !mode) {
    return Err("--overlay: " + mode.error());
  }
  if (auto proxy = net::make_proxy_backend(config.proxy_mode, {.table = "unused"}); !proxy) {
    return Err("--proxy-mode: " + proxy.error());
  }
  if (const auto pids = parse_int(config.pod_max_pids); !pids || *pids < -1 || *pids == 0) {
    return Err(fmt::format("--pod-max-pids: \"{}\" is neither a number of processes nor -1",
                           config.pod_max_pids));
  }
  ORCH_CHECK(eviction_of(config));
  ORCH_CHECK(image_policy_of(config));
  if (!config.node_name.empty()) {
    if (auto why = check_dns1123_subdomain(config.node_name); !why.empty()) {
      return Err(fmt::format("--node-name: \"{}\": {}", config.node_name, why));
    }
  }
  return Unit{};
}

Result<std::unique_ptr<Agent>, std::string> Agent::start(Env& env, const AgentConfig& config) {
  auto agent = std::make_unique<AgentImpl>(env, config);
  if (auto started = agent->start(); !started) {
    agent->stop();
    return Err(started.error());
  }
  return std::unique_ptr<Agent>(std::move(agent));
}

std::vector<std::string> kill_all(const std::string& data_dir) {
  auto errors = kill_containerd(data_dir);
  for (auto& error : net::remove_all(net::instance_names(data_dir))) {
    errors.push_back(std::move(error));
  }
  return errors;
}

}  // namespace orch::agent
