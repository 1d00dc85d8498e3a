#include "server/kubernetes_endpoints.h"

#include <fmt/format.h>

#include <map>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "server/bootstrap_ensure.h"

namespace orch::server {
namespace {

using api::corev1::Endpoints;
using api::discoveryv1::EndpointSlice;

constexpr const char* kNamespace = "default";
constexpr const char* kName = "kubernetes";
constexpr std::string_view kPrefix = "/registry/masterleases/";
constexpr int64_t kLeaseSeconds = 15;
constexpr Seconds kPeriod{10};

using ByPort = std::map<uint16_t, std::vector<std::string>>;

Endpoints endpoints_of(const ByPort& servers) {
  Endpoints endpoints;
  endpoints.metadata.name = kName;
  endpoints.metadata.namespace_ = kNamespace;
  endpoints.metadata.labels = {{"endpointslice.kubernetes.io/skip-mirror", "true"}};
  for (const auto& [number, ips] : servers) {
    auto& subset = endpoints.subsets.emplace_back();
    for (const std::string& ip : ips) subset.addresses.emplace_back().ip = ip;
    auto& port = subset.ports.emplace_back();
    port.name = "https";
    port.port = number;
    port.protocol = "TCP";
  }
  return endpoints;
}

EndpointSlice slice_of(const std::string& name, uint16_t number,
                       const std::vector<std::string>& ips) {
  EndpointSlice slice;
  slice.metadata.name = name;
  slice.metadata.namespace_ = kNamespace;
  slice.metadata.labels = {{"kubernetes.io/service-name", kName}};
  slice.addressType = "IPv4";
  for (const std::string& ip : ips) {
    auto& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {ip};
    endpoint.conditions.ready = true;
  }
  auto& port = slice.ports.emplace_back();
  port.name = "https";
  port.port = number;
  port.protocol = "TCP";
  return slice;
}

// Of ports that no server has any more.
Result<Unit, std::string> remove_other_slices(const client::Client& client,
                                              const std::set<std::string>& names) {
  client::ListOptions options;
  options.label_selector = fmt::format("kubernetes.io/service-name={}", kName);
  auto found = client.list<EndpointSlice>(kNamespace, options);
  if (!found) return Err("listing EndpointSlices: " + found.error().message);
  for (const auto& slice : found->items) {
    const std::string& name = slice->metadata.name;
    const bool ours = name.starts_with("kubernetes-") && parse_int(name.substr(11)).has_value();
    if (!ours || names.contains(name)) continue;
    auto removed = client.remove<EndpointSlice>(kNamespace, name);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error().message);
  }
  return Unit{};
}

}  // namespace

std::optional<ServerAddress> ServerAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const auto port = parse_int(text.substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return std::nullopt;
  return ServerAddress{std::string(text.substr(0, colon)), static_cast<uint16_t>(*port)};
}

Result<Unit, std::string> write_kubernetes_endpoints(const client::Client& client,
                                                     const std::set<ServerAddress>& servers) {
  ByPort by_port;
  for (const ServerAddress& server : servers) {
    if (!server.ip.starts_with("127.")) by_port[server.port].push_back(server.ip);
  }
  if (by_port.empty()) return Unit{};
  ORCH_CHECK(reconcile(client, endpoints_of(by_port),
                       [](auto& to, const auto& from) { to.subsets = from.subsets; }));
  std::set<std::string> names;
  for (const auto& [port, ips] : by_port) {
    const std::string name = names.empty() ? kName : fmt::format("{}-{}", kName, port);
    names.insert(name);
    ORCH_CHECK(reconcile(client, slice_of(name, port, ips), [](auto& to, const auto& from) {
      to.endpoints = from.endpoints;
      to.ports = from.ports;
    }));
  }
  return remove_other_slices(client, names);
}

std::shared_ptr<KubernetesEndpoints> KubernetesEndpoints::create(Env& env, storage::KvStore& store,
                                                                 const client::Client& client,
                                                                 ServerAddress own) {
  return std::shared_ptr<KubernetesEndpoints>(
      new KubernetesEndpoints(env, store, client, std::move(own)));
}

storage::StoreResult<Unit> KubernetesEndpoints::renew() {
  auto kept = lease_ != 0 ? store_.lease_keep_alive(lease_)
                          : Err(storage::Error{storage::ErrorCode::kLeaseNotFound, ""});
  if (kept) return Unit{};
  if (kept.error().code != storage::ErrorCode::kLeaseNotFound) return Err(kept.error());
  ORCH_TRY(const storage::Lease fresh, store_.lease_grant(0, kLeaseSeconds));
  storage::TxnRequest txn;
  txn.success.push_back(storage::Op::put(std::string(kPrefix) + own_.str(),
                                         std::make_shared<const std::string>(own_.str()),
                                         fresh.id));
  ORCH_CHECK(store_.txn(txn));
  lease_ = fresh.id;
  return Unit{};
}

storage::StoreResult<std::set<ServerAddress>> KubernetesEndpoints::living() {
  storage::RangeRequest request;
  request.key = kPrefix;
  request.range_end = storage::prefix_end(kPrefix);
  request.keys_only = true;
  ORCH_TRY(const auto found, store_.range(request));
  std::set<ServerAddress> servers;
  for (const auto& kv : found.kvs) {
    const auto server = ServerAddress::parse(std::string_view(*kv.key).substr(kPrefix.size()));
    if (server) servers.insert(*server);
  }
  return servers;
}

Result<Unit, std::string> KubernetesEndpoints::run() {
  if (auto renewed = renew(); !renewed) return Err(renewed.error().message);
  auto servers = living();
  if (!servers) return Err(servers.error().message);
  servers->insert(own_);
  return write_kubernetes_endpoints(client_, *servers);
}

void KubernetesEndpoints::start() {
  strand_ = env_.executor.make_strand("kubernetes-endpoints");
  later();
}

void KubernetesEndpoints::later() {
  strand_->post_after(kPeriod, [self = shared_from_this()] {
    std::lock_guard lock(self->mutex_);
    if (self->stopped_) return;
    if (auto done = self->run(); !done) {
      log::warn("server", "endpoints of the Service kubernetes: {}", done.error());
    }
    self->later();
  });
}

void KubernetesEndpoints::stop() {
  std::lock_guard lock(mutex_);
  if (std::exchange(stopped_, true) || lease_ == 0 || !store_.lease_revoke(lease_)) return;
  auto servers = living();
  if (!servers || servers->erase(own_) > 0 || servers->empty()) return;
  (void)write_kubernetes_endpoints(client_, *servers);
}

}  // namespace orch::server
