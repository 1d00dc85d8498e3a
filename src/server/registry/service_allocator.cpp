#include "server/registry/service_allocator.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/registry/registry.h"

namespace orch::server {
namespace {

using api::corev1::Service;

std::optional<uint32_t> parse_ipv4(const std::string& text) {
  in_addr address{};
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::string show(uint32_t ip) {
  return fmt::format("{}.{}.{}.{}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

bool wants_ip(const Service& service) {
  return service.spec.type != "ExternalName" && service.spec.clusterIP != "None";
}
bool wants_node_ports(const Service& service) {
  if (service.spec.type == "NodePort") return true;
  return service.spec.type == "LoadBalancer" &&
         service.spec.allocateLoadBalancerNodePorts.value_or(true);
}
bool may_hold_node_ports(const Service& service) {
  return service.spec.type == "NodePort" || service.spec.type == "LoadBalancer";
}
bool wants_health_port(const Service& service) {
  return service.spec.type == "LoadBalancer" && service.spec.externalTrafficPolicy == "Local";
}

std::set<int32_t> ports_of(const Service& service) {
  std::set<int32_t> out;
  if (may_hold_node_ports(service)) {
    for (const auto& port : service.spec.ports) {
      if (port.nodePort != 0) out.insert(port.nodePort);
    }
  }
  if (wants_health_port(service) && service.spec.healthCheckNodePort != 0) {
    out.insert(service.spec.healthCheckNodePort);
  }
  return out;
}

std::optional<uint32_t> ip_of(const Service& service) {
  return wants_ip(service) ? parse_ipv4(service.spec.clusterIP) : std::nullopt;
}

std::string shown_ips(const Service& service) {
  return fmt::format("[\"{}\"]", service.spec.clusterIP);
}

std::string key_of(const Service& service) {
  return Registry::key(api::resource_of<Service>(), service.metadata.namespace_,
                       service.metadata.name);
}

// A transaction of etcd's has at most 128 operations.
constexpr size_t kClaimsMax = 120;

// A Service may have grown in several steps: what it gives back beyond that the repair finds.
void fit(Claims& claims) {
  const size_t room = kClaimsMax - std::min(kClaimsMax, claims.take.size());
  if (claims.drop.size() > room) claims.drop.resize(room);
}

// Values below this offset are left to those who ask for them (KEP-3070's static band).
uint32_t static_band(uint32_t size) {
  if (size <= 32) return 0;
  return std::min<uint32_t>(std::max<uint32_t>(16, size / 16), 256);
}

}  // namespace

Result<std::unique_ptr<ServiceAllocator>, std::string> ServiceAllocator::create(
    Random& random, std::string_view cidr, std::string_view ports) {
  const size_t slash = cidr.find('/');
  const auto bits =
      slash == std::string_view::npos ? std::nullopt : parse_int(cidr.substr(slash + 1));
  const auto address = parse_ipv4(std::string(cidr.substr(0, slash)));
  if (!address || !bits || *bits < 8 || *bits > 30) {
    return Err(fmt::format("service-cidr: \"{}\" is not an IPv4 network between /8 and /30", cidr));
  }
  const uint32_t size = 1U << (32 - *bits);
  const size_t dash = ports.find('-');
  const auto low = parse_int(ports.substr(0, dash));
  const auto high = dash == std::string_view::npos ? low : parse_int(ports.substr(dash + 1));
  if (!low || !high || *low < 1 || *high > 65535 || *low > *high) {
    return Err(
        fmt::format("service-node-port-range: \"{}\" is not a range of ports like "
                    "30000-32767",
                    ports));
  }
  return std::unique_ptr<ServiceAllocator>(
      new ServiceAllocator(random, *address & ~(size - 1), size, std::string(cidr),
                           static_cast<int32_t>(*low), static_cast<int32_t>(*high)));
}

ServiceAllocator::Ticket& ServiceAllocator::Ticket::operator=(Ticket&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(claims_, other.claims_);
  taken_ips_.swap(other.taken_ips_);
  dropped_ips_.swap(other.dropped_ips_);
  taken_ports_.swap(other.taken_ports_);
  dropped_ports_.swap(other.dropped_ports_);
  return *this;
}

ServiceAllocator::Ticket::~Ticket() {
  if (owner_ == nullptr) return;
  std::lock_guard lock(owner_->mutex_);
  for (const uint32_t ip : taken_ips_) owner_->ips_.erase(ip);
  for (const int32_t port : taken_ports_) owner_->ports_.erase(port);
}

void ServiceAllocator::Ticket::commit() {
  if (owner_ == nullptr || owner_->store_ != nullptr) return;  // the store has it: forgotten here
  std::lock_guard lock(owner_->mutex_);
  for (const uint32_t ip : dropped_ips_) owner_->ips_.erase(ip);
  for (const int32_t port : dropped_ports_) owner_->ports_.erase(port);
  owner_ = nullptr;
}

std::string ServiceAllocator::ip_claim(uint32_t ip) {
  return fmt::format("{}ips/{}", kClaimPrefix, show(ip));
}
std::string ServiceAllocator::port_claim(int32_t port) {
  return fmt::format("{}nodeports/{}", kClaimPrefix, port);
}

// What this server has seen is enough: whoever took it since is found by the transaction.
std::string ServiceAllocator::owner_of(const std::string& claim) const {
  storage::RangeRequest request;
  request.key = claim;
  request.revision = store_->revision();
  auto answer = store_->range(request);
  return answer && !answer->kvs.empty() ? *answer->kvs.front().value : "";
}

std::vector<std::string> ServiceAllocator::claim_keys(const Service& service) {
  std::vector<std::string> keys;
  if (const auto ip = ip_of(service)) keys.push_back(ip_claim(*ip));
  for (const int32_t port : ports_of(service)) keys.push_back(port_claim(port));
  return keys;
}

// Only what is its own goes with a Service: of two that have the same from before one may be
// deleted.
Claims ServiceAllocator::claims_of(const Service& service) const {
  Claims claims;
  if (store_ == nullptr) return claims;
  claims.drop = claim_keys(service);
  const std::string owner = key_of(service);
  std::erase_if(claims.drop, [&](const std::string& key) { return owner_of(key) != owner; });
  fit(claims);
  return claims;
}

void ServiceAllocator::claim(const Service& now, Ticket& ticket) const {
  if (store_ == nullptr) return;
  Claims& claims = ticket.claims_;
  for (const uint32_t ip : ticket.taken_ips_) claims.take.push_back(ip_claim(ip));
  for (const int32_t port : ticket.taken_ports_) claims.take.push_back(port_claim(port));
  for (const uint32_t ip : ticket.dropped_ips_) claims.drop.push_back(ip_claim(ip));
  for (const int32_t port : ticket.dropped_ports_) claims.drop.push_back(port_claim(port));
  const std::string owner = key_of(now);
  std::erase_if(claims.drop, [&](const std::string& key) { return owner_of(key) != owner; });
  fit(claims);
}

void ServiceAllocator::carry_over(Service& now, const Service& old) {
  auto& spec = now.spec;
  if (wants_ip(now) && wants_ip(old) && spec.clusterIP.empty() && spec.clusterIPs.empty()) {
    spec.clusterIP = old.spec.clusterIP;
    spec.clusterIPs = old.spec.clusterIPs;
  } else if (spec.clusterIP.empty() && !spec.clusterIPs.empty()) {
    spec.clusterIP = spec.clusterIPs.front();
  } else if (!spec.clusterIP.empty() && spec.clusterIPs.empty()) {
    spec.clusterIPs = {spec.clusterIP};
  }
  if (spec.type != "ExternalName" && old.spec.type != "ExternalName") {
    if (spec.ipFamilies.empty()) spec.ipFamilies = old.spec.ipFamilies;
    if (!spec.ipFamilyPolicy) spec.ipFamilyPolicy = old.spec.ipFamilyPolicy;
  }
  if (wants_node_ports(now) && may_hold_node_ports(old)) {
    std::set<int32_t> used;
    for (const auto& port : spec.ports) used.insert(port.nodePort);
    for (auto& port : spec.ports) {
      if (port.nodePort != 0) continue;
      for (const auto& before : old.spec.ports) {
        if (before.port == port.port && before.protocol == port.protocol && before.nodePort != 0 &&
            used.insert(before.nodePort).second) {
          port.nodePort = before.nodePort;
          break;
        }
      }
    }
  }
  if (wants_health_port(now) && wants_health_port(old) && spec.healthCheckNodePort == 0) {
    spec.healthCheckNodePort = old.spec.healthCheckNodePort;
  }
  // A change of type drops what the user did not touch and the new type does not have.
  if (!may_hold_node_ports(now) && may_hold_node_ports(old)) {
    const auto held = ports_of(old);
    for (auto& port : spec.ports) {
      if (held.count(port.nodePort) != 0) port.nodePort = 0;
    }
  }
  if (!wants_health_port(now) && spec.healthCheckNodePort == old.spec.healthCheckNodePort) {
    spec.healthCheckNodePort = 0;
  }
  if (spec.type == "ExternalName" && old.spec.type != "ExternalName") {
    if (spec.clusterIP == old.spec.clusterIP) {
      spec.clusterIP.clear();
      spec.clusterIPs.clear();
    }
    spec.ipFamilies.clear();
    spec.ipFamilyPolicy.reset();
  }
}

void ServiceAllocator::take_given_ip(const Service& now, Ticket& ticket, api::FieldErrors& errors) {
  const std::string& text = now.spec.clusterIP;
  const auto ip = parse_ipv4(text);
  if (!ip) return;  // validation speaks of it
  const bool reserved = *ip == base_ + 1 && !(now.metadata.namespace_ == "default" &&
                                              now.metadata.name == "kubernetes");
  if (!in_range(*ip)) {
    errors.invalid("spec.clusterIPs", shown_ips(now),
                   fmt::format("failed to allocate IP {}: the provided IP ({}) is not in the valid "
                               "range. The range of valid IPs is {}",
                               text, text, cidr_));
  } else if (reserved || !hold_ip(*ip)) {
    errors.invalid("spec.clusterIPs", shown_ips(now),
                   fmt::format("failed to allocate IP {}: provided IP is already allocated", text));
  } else {
    ticket.taken_ips_.push_back(*ip);
  }
}

bool ServiceAllocator::take_any_ip(Service& now, Ticket& ticket) {
  const uint32_t first = base_ + 2;  // .1 is the API server's
  const uint32_t last = base_ + size_ - 2;
  const uint32_t band = static_band(size_);
  const auto take = [&](uint32_t from, uint32_t to) {
    const uint32_t count = to - from + 1;
    const auto start = static_cast<uint32_t>(random_below(random_, count));
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t ip = from + (start + i) % count;
      if (!hold_ip(ip)) continue;
      ticket.taken_ips_.push_back(ip);
      now.spec.clusterIP = show(ip);
      return true;
    }
    return false;
  };
  return take(first + band, last) || (band > 0 && take(first, first + band - 1));
}

int32_t ServiceAllocator::any_port() const {
  const auto size = static_cast<uint32_t>(high_ - low_ + 1);
  const auto band = static_cast<int32_t>(static_band(size) / 2);
  const auto find = [&](int32_t from, int32_t to) -> int32_t {
    const int32_t count = to - from + 1;
    const auto start = static_cast<int32_t>(random_below(random_, static_cast<uint64_t>(count)));
    for (int32_t i = 0; i < count; ++i) {
      const int32_t port = from + (start + i) % count;
      if (free_port(port)) return port;
    }
    return 0;
  };
  const int32_t port = find(low_ + band, high_);
  return port != 0 || band == 0 ? port : find(low_, low_ + band - 1);
}

void ServiceAllocator::take_ports(Service& now, const std::set<int32_t>& held, Ticket& ticket,
                                  api::FieldErrors& errors) {
  std::set<int32_t> mine = held;
  const auto claim = [&](int32_t port, const std::string& field) {
    if (mine.count(port) != 0) return;
    if (port < low_ || port > high_) {
      errors.invalid(field, std::to_string(port),
                     fmt::format("provided port is not in the valid range. The range of valid "
                                 "ports is {}-{}",
                                 low_, high_));
    } else if (!free_port(port)) {
      errors.invalid(field, std::to_string(port), "provided port is already allocated");
    } else {
      ports_.insert(port);
      mine.insert(port);
      ticket.taken_ports_.push_back(port);
    }
  };
  auto& ports = now.spec.ports;
  for (size_t i = 0; i < ports.size() && may_hold_node_ports(now); ++i) {
    if (ports[i].nodePort != 0) claim(ports[i].nodePort, fmt::format("spec.ports[{}].nodePort", i));
  }
  if (wants_health_port(now) && now.spec.healthCheckNodePort != 0) {
    claim(now.spec.healthCheckNodePort, "spec.healthCheckNodePort");
  }
  const auto choose = [&](int32_t& port, const std::string& field) {
    port = any_port();
    if (port == 0) {
      errors.invalid(field, "0", "failed to allocate a nodePort: range is full");
      return;
    }
    claim(port, field);
  };
  for (size_t i = 0; i < ports.size() && wants_node_ports(now); ++i) {
    if (ports[i].nodePort != 0) continue;
    const auto twin = std::find_if(ports.begin(), ports.end(), [&](const auto& other) {
      return other.port == ports[i].port && other.protocol != ports[i].protocol &&
             other.nodePort != 0;
    });
    if (twin != ports.end()) {
      ports[i].nodePort = twin->nodePort;  // TCP and UDP of one port share
    } else {
      choose(ports[i].nodePort, fmt::format("spec.ports[{}].nodePort", i));
    }
  }
  if (wants_health_port(now) && now.spec.healthCheckNodePort == 0) {
    choose(now.spec.healthCheckNodePort, "spec.healthCheckNodePort");
  }
}

api::ApiResult<ServiceAllocator::Ticket> ServiceAllocator::allocate(Service& now,
                                                                    const Service* old) {
  Ticket ticket;
  api::FieldErrors errors;
  auto& spec = now.spec;
  {
    std::lock_guard lock(mutex_);
    ticket.owner_ = this;
    if (spec.clusterIP.empty() && !spec.clusterIPs.empty())
      spec.clusterIP = spec.clusterIPs.front();
    const auto old_ip = old != nullptr ? ip_of(*old) : std::nullopt;
    const auto held = old != nullptr ? ports_of(*old) : std::set<int32_t>{};
    if (wants_ip(now)) {
      if (spec.clusterIP.empty()) {
        if (!take_any_ip(now, ticket)) {
          return Err(api::internal_error("failed to allocate a serviceIP: range is full"));
        }
      } else if (!old_ip || parse_ipv4(spec.clusterIP) != old_ip) {
        take_given_ip(now, ticket, errors);
      }
    }
    take_ports(now, held, ticket, errors);
    if (old_ip && ip_of(now) != old_ip) ticket.dropped_ips_.push_back(*old_ip);
    const auto kept = ports_of(now);
    for (const int32_t port : held) {
      if (kept.count(port) == 0) ticket.dropped_ports_.push_back(port);
    }
    claim(now, ticket);
  }
  if (ticket.claims_.take.size() > kClaimsMax) {
    errors.too_many("spec.ports", std::ssize(spec.ports), static_cast<int64_t>(kClaimsMax));
  }
  if (!errors.empty()) return Err(api::invalid("", "Service", now.metadata.name, errors.take()));
  if (spec.type != "ExternalName") {
    if (!spec.clusterIP.empty()) spec.clusterIPs = {spec.clusterIP};
    if (spec.ipFamilies.empty()) spec.ipFamilies = {"IPv4"};
    if (!spec.ipFamilyPolicy) spec.ipFamilyPolicy = "SingleStack";
  }
  return ticket;
}

void ServiceAllocator::release(const Service& service) {
  if (store_ != nullptr) return;  // went with the Service
  std::lock_guard lock(mutex_);
  if (const auto ip = ip_of(service)) ips_.erase(*ip);
  for (const int32_t port : ports_of(service)) ports_.erase(port);
}

void ServiceAllocator::repair(const std::vector<Service>& services) {
  std::lock_guard lock(mutex_);
  ips_.clear();
  ports_.clear();
  for (const Service& service : services) {
    const auto ip = ip_of(service);
    if (ip && in_range(*ip)) ips_.insert(*ip);
    for (const int32_t port : ports_of(service)) ports_.insert(port);
  }
}

std::string ServiceAllocator::first_ip() const { return show(base_ + 1); }
size_t ServiceAllocator::used(const std::string& claims, size_t in_memory) const {
  if (store_ == nullptr) return in_memory;
  storage::RangeRequest request;
  request.key = claims;
  request.range_end = storage::prefix_end(claims);
  request.count_only = true;
  auto answer = store_->range(request);
  return in_memory + (answer ? static_cast<size_t>(answer->count) : 0);
}
size_t ServiceAllocator::ips_used() const {
  std::lock_guard lock(mutex_);
  return used(fmt::format("{}ips/", kClaimPrefix), ips_.size());
}
size_t ServiceAllocator::ports_used() const {
  std::lock_guard lock(mutex_);
  return used(fmt::format("{}nodeports/", kClaimPrefix), ports_.size());
}

}  // namespace orch::server
