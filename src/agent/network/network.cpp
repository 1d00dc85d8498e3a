#include "agent/network/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "agent/network/service_view.h"
#include "orch/base/log.h"
#include "orch/net/cni.h"

namespace orch::agent {
namespace {

using namespace api;
using corev1::Namespace;
using corev1::Node;
using corev1::Service;
using discoveryv1::EndpointSlice;

constexpr const char* kByService = "service";
// Changes come in bursts; the first of one is applied soon, the rest with it.
constexpr Millis kGather{20};
constexpr Seconds kRetry{2};

class NetworkImpl final : public std::enable_shared_from_this<NetworkImpl> {
 public:
  NetworkImpl(Env& env, client::InformerSet& informers, NetworkConfig config,
              std::unique_ptr<net::ProxyBackend> proxy)
      : config_(std::move(config)),
        informers_(informers),
        proxy_(std::move(proxy)),
        overlay_(net::Overlay::create({.mode = config_.overlay,
                                       .device = config_.names.vxlan,
                                       .cluster_cidr = config_.cluster_cidr,
                                       .table = config_.names.overlay_table})),
        strand_(env.executor.make_strand("network")),
        node_ip_(config_.node_ip) {
    informers.get<EndpointSlice>().add_index(kByService, [](const Object& object) {
      return std::vector<std::string>{service_key(static_cast<const EndpointSlice&>(object))};
    });
  }

  void start();
  void stop() { stopped_ = true; }
  std::string set_pod_cidr(const std::string& pod_cidr);
  void set_address(const std::string& node_ip);

 private:
  struct Work {
    std::atomic<bool> pending{false};
  };
  void schedule(Work& work, void (NetworkImpl::*run)(), Micros delay);
  void sync_nodes();
  void sync_services();
  void sync_announced();
  void prepare_host();
  void ensure_service_route();
  std::string node_ip();
  void start_dns();
  std::vector<SlicePtr> slices_of(const Service& service) const {
    std::vector<SlicePtr> out;
    for (auto& slice : informers_.get<EndpointSlice>().by_index(
             kByService, service.metadata.namespace_ + "/" + service.metadata.name)) {
      out.push_back(std::static_pointer_cast<const EndpointSlice>(slice));
    }
    return out;
  }

  NetworkConfig config_;
  client::InformerSet& informers_;
  std::unique_ptr<net::ProxyBackend> proxy_;
  std::unique_ptr<net::Overlay> overlay_;
  std::shared_ptr<Strand> strand_;
  std::unique_ptr<net::DnsServer> dns_;
  std::atomic<bool> stopped_{false};
  Work nodes_work_, services_work_;
  std::vector<uint32_t> announced_;  // on the strand only
  bool announced_known_ = false;     // what an earlier run left is looked at once
  std::mutex mutex_;
  std::string pod_cidr_;  // whose CNI configuration is written; guarded by mutex_
  std::string node_ip_;   // guarded by mutex_
};

void NetworkImpl::schedule(Work& work, void (NetworkImpl::*run)(), Micros delay) {
  if (stopped_ || work.pending.exchange(true)) return;
  strand_->post_after(delay, [weak = weak_from_this(), &work, run] {
    auto self = weak.lock();
    if (!self || self->stopped_) return;
    work.pending = false;  // before the run: a change during it is not lost
    ((*self).*run)();
  });
}

void NetworkImpl::start() {
  strand_->post([self = shared_from_this()] { self->prepare_host(); });
  const auto on_nodes = [this](const ObjectPtr&, const ObjectPtr&) {
    schedule(nodes_work_, &NetworkImpl::sync_nodes, kGather);
  };
  const auto on_services = [this](const ObjectPtr&, const ObjectPtr&) {
    schedule(services_work_, &NetworkImpl::sync_services, kGather);
  };
  informers_.get<Node>().add_handler(on_nodes);
  informers_.get<Service>().add_handler(on_services);
  informers_.get<EndpointSlice>().add_handler(on_services);
  informers_.get<Namespace>().add_handler(on_services);
}

void NetworkImpl::prepare_host() {
  const auto warn = [](const char* what, const auto& result) {
    if (!result) log::warn("network", "{}: {}", what, result.error());
  };
  warn("forwarding", net::enable_forwarding());
  warn("cluster DNS address",
       net::ensure_dummy_address(config_.names.dns_link, config_.cluster_dns));
  ensure_service_route();
  start_dns();
}

void NetworkImpl::start_dns() {
  if (stopped_ || dns_) return;
  auto server = net::DnsServer::start({.address = config_.cluster_dns});
  if (!server) {
    log::warn("network", "cluster DNS: {}", server.error());
    strand_->post_after(kRetry, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->start_dns();
    });
    return;
  }
  dns_ = std::move(*server);
  schedule(services_work_, &NetworkImpl::sync_services, Micros{0});
}

void NetworkImpl::set_address(const std::string& node_ip) {
  {
    std::lock_guard lock(mutex_);
    if (node_ip_ == node_ip) return;
    node_ip_ = node_ip;
    pod_cidr_.clear();  // the other link may have another MTU
  }
  // A route that names the old address as its source went with it.
  strand_->post([self = shared_from_this()] { self->ensure_service_route(); });
  schedule(nodes_work_, &NetworkImpl::sync_nodes, Micros{0});
}

void NetworkImpl::ensure_service_route() {
  auto made = net::ensure_service_route(config_.names.dns_link, config_.service_cidr, node_ip());
  if (!made) log::warn("network", "service route: {}", made.error());
}

std::string NetworkImpl::node_ip() {
  std::lock_guard lock(mutex_);
  return node_ip_;
}

std::string NetworkImpl::set_pod_cidr(const std::string& pod_cidr) {
  std::lock_guard lock(mutex_);
  if (pod_cidr_ == pod_cidr) return "";
  auto mtu = net::mtu_of_address(node_ip_);
  if (!mtu) return "MTU of the node's address: " + mtu.error();
  net::CniConfig cni;
  cni.bridge = config_.names.bridge;
  cni.pod_cidr = pod_cidr;
  cni.state_dir = config_.cni_state_dir;
  cni.hostport_table = config_.names.hostport_table;
  cni.mtu = net::overlay_mtu(config_.overlay, *mtu);
  auto written = net::write_cni_config(config_.cni_conf_dir, cni);
  if (!written) return "CNI configuration: " + written.error();
  pod_cidr_ = pod_cidr;
  schedule(nodes_work_, &NetworkImpl::sync_nodes, Micros{0});
  return "";
}

void NetworkImpl::sync_nodes() {
  net::OverlayNode self{config_.node_name, node_ip(), "", ""};
  std::vector<net::OverlayNode> others;
  for (const auto& object : informers_.get<Node>().list()) {
    const auto& node = static_cast<const Node&>(*object);
    if (node.metadata.name == config_.node_name) {
      self.pod_cidr = node.spec.podCIDR;
      continue;
    }
    net::OverlayNode other{node.metadata.name, "", node.spec.podCIDR, ""};
    for (const auto& address : node.status.addresses) {
      if (address.type == "InternalIP") other.ip = address.address;
    }
    others.push_back(std::move(other));
  }
  if (self.pod_cidr.empty()) return;
  auto applied = overlay_->apply(self, others);
  if (!applied) {
    log::warn("network", "overlay: {}", applied.error());
    schedule(nodes_work_, &NetworkImpl::sync_nodes, kRetry);
  }
}

void NetworkImpl::sync_services() {
  // Rules from half-filled caches would cut connections that are fine.
  if (!informers_.all_synced()) {
    return schedule(services_work_, &NetworkImpl::sync_services, kGather);
  }
  std::vector<net::ProxyService> proxied;
  std::vector<net::DnsService> named;
  for (const auto& object : informers_.get<Service>().list()) {
    const auto& service = static_cast<const Service&>(*object);
    const auto slices = slices_of(service);
    if (is_proxied(service)) proxied.push_back(proxy_service(service, slices, config_.node_name));
    named.push_back(dns_service(service, slices));
  }
  const auto rules =
      net::build_rules(proxied, {.name = config_.node_name, .cluster_cidr = config_.cluster_cidr});
  for (const auto& skipped : rules.skipped) log::warn("proxy", "{}", skipped);
  if (auto applied = proxy_->apply(rules); !applied) {
    log::warn("proxy", "{}", applied.error());
    schedule(services_work_, &NetworkImpl::sync_services, kRetry);
  }
  sync_announced();
  if (!dns_) return;
  std::set<std::string> namespaces;
  for (const auto& ns : informers_.get<Namespace>().list()) namespaces.insert(ns->metadata.name);
  dns_->set_view(net::DnsView::build(config_.cluster_domain, namespaces, named));
}

void NetworkImpl::sync_announced() {
  std::vector<uint32_t> wanted;
  for (const auto& object : informers_.get<Service>().list()) {
    const auto& service = static_cast<const Service&>(*object);
    const auto more = announced_addresses(service, config_.node_name);
    wanted.insert(wanted.end(), more.begin(), more.end());
  }
  std::sort(wanted.begin(), wanted.end());
  if (announced_known_ && wanted == announced_) return;
  auto fresh = net::hold_addresses(config_.names.lb_link, wanted);
  if (!fresh) {
    log::warn("network", "load balancer addresses: {}", fresh.error());
    return schedule(services_work_, &NetworkImpl::sync_services, kRetry);
  }
  announced_ = wanted;
  announced_known_ = true;
  for (const uint32_t address : *fresh) {
    log::info("network", "announcing load balancer address {}", net::format_ipv4(address));
    if (auto told = net::announce_address(address, node_ip()); !told) {
      log::warn("network", "{}", told.error());
    }
  }
}

// Owns the shared implementation, so that tasks still queued find it or find it gone.
class NetworkHandle final : public Network {
 public:
  explicit NetworkHandle(std::shared_ptr<NetworkImpl> impl) : impl_(std::move(impl)) {}
  ~NetworkHandle() override { impl_->stop(); }
  void start() override { impl_->start(); }
  void stop() override { impl_->stop(); }
  std::string set_pod_cidr(const std::string& pod_cidr) override {
    return impl_->set_pod_cidr(pod_cidr);
  }
  void set_address(const std::string& node_ip) override { impl_->set_address(node_ip); }

 private:
  std::shared_ptr<NetworkImpl> impl_;
};

}  // namespace

Result<std::unique_ptr<Network>, std::string> Network::create(Env& env,
                                                              client::InformerSet& informers,
                                                              NetworkConfig config) {
  auto proxy = net::make_proxy_backend(config.proxy_mode, {.table = config.names.proxy_table});
  if (!proxy) return Err("--proxy-mode: " + proxy.error());
  auto impl = std::make_shared<NetworkImpl>(env, informers, std::move(config), std::move(*proxy));
  return std::unique_ptr<Network>(std::make_unique<NetworkHandle>(std::move(impl)));
}

}  // namespace orch::agent
