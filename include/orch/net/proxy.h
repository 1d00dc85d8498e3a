// The service proxy: build_rules() is a pure function of Services and endpoints; a ProxyBackend
// makes the kernel so, in one atomic transaction. Source: Service and EndpointSlice API fields of
// the same names; KEP-1669 (terminating endpoints), KEP-2086 (internalTrafficPolicy).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

enum class Protocol : uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };
std::string_view to_string(Protocol protocol);                     // "TCP"
Result<Protocol, NetError> parse_protocol(std::string_view text);  // "" = TCP

struct ProxyEndpoint {
  std::string ip;
  uint16_t port = 0;  // of the service port it stands under
  bool ready = true, serving = true, terminating = false;
  bool node_local = false;  // its nodeName is this node
};
struct ProxyPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  uint16_t node_port = 0;  // 0 = none
  std::vector<ProxyEndpoint> endpoints;
};
struct ProxyService {
  std::string namespace_, name;
  std::vector<std::string> cluster_ips;                  // IPv4 is served, IPv6 skipped; "None" too
  std::vector<std::string> external_ips;                 // spec.externalIPs
  std::vector<std::string> load_balancer_ips;            // status.loadBalancer.ingress[].ip
  std::vector<std::string> load_balancer_source_ranges;  // who may use those; empty = everybody
  std::vector<ProxyPort> ports;
  bool session_affinity_client_ip = false;
  Seconds affinity_timeout{10800};
  bool external_traffic_local = false;
  bool internal_traffic_local = false;
  bool publish_not_ready_addresses = false;
  uint16_t health_check_node_port = 0;
};
struct ProxyNode {
  std::string name;
  std::string cluster_cidr;  // sources in it are pods: not masqueraded
};

// ---- what a backend is to do: addresses in host byte order ----

struct Frontend {
  uint32_t ip = 0;  // 0 = node port: every local address but 127.0.0.0/8
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  auto operator<=>(const Frontend&) const = default;
};
struct Backend {
  uint32_t ip = 0;
  uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};
struct SourceRange {
  uint32_t network = 0, mask = 0;
  auto operator<=>(const SourceRange&) const = default;
};
struct FrontendRule {
  enum class Kind : uint8_t {
    kInternal,       // cluster IP: masquerade sources outside the cluster CIDR
    kExternal,       // masquerade everything
    kExternalLocal,  // outside sources: `local` only, address kept; pods and this host: `endpoints`
    kReject,         // no endpoints anywhere
    kDrop,           // Local policy and none here
  };
  Kind kind = Kind::kInternal;
  std::vector<Backend> endpoints;  // sorted, unique
  std::vector<Backend> local;      // kExternalLocal; empty = drop
  uint32_t affinity_seconds = 0;   // 0 = none
  bool guarded = false;            // new connections only from `sources`, the rest is dropped
  std::vector<SourceRange> sources;
  std::string owner;  // "namespace/name:port", for messages
  bool operator==(const FrontendRule&) const = default;
};
struct RuleSet {
  uint32_t cluster_network = 0, cluster_mask = 0;
  std::map<Frontend, FrontendRule> frontends;
  std::set<uint32_t> local_endpoint_ips;  // for hairpin masquerade
  std::vector<std::string> skipped;       // "service a/b: invalid clusterIP ..."
  bool operator==(const RuleSet&) const = default;
};
// Deterministic; of two services claiming one frontend the first by namespace/name wins and the
// other is named in `skipped`.
RuleSet build_rules(const std::vector<ProxyService>& services, const ProxyNode& node);
// Ready endpoints on this node: what healthCheckNodePort answers (0 = 503).
int local_ready_endpoints(const ProxyService& service);

// ---- backends ----

struct ProxyOptions {
  std::string table;  // InstanceNames::proxy_table; nothing else is ever touched
};
class ProxyBackend {
 public:
  virtual ~ProxyBackend() = default;
  // Whole state; idempotent; all or nothing. The first apply replaces whatever the table held.
  // Stale UDP conntrack entries of changed frontends are flushed. One thread at a time. After an
  // error the next apply starts afresh.
  virtual Result<Unit, NetError> apply(const RuleSet& rules) = 0;
  virtual Result<Unit, NetError> remove() = 0;  // deletes the table; absent is fine
};
// `mode`: a name in src/net/proxy/modes/modes.def. Error: unknown or unavailable mode, no kernel
// support, no permission.
Result<std::unique_ptr<ProxyBackend>, NetError> make_proxy_backend(std::string_view mode,
                                                                   const ProxyOptions& options);

// Remembers what it was given. For tests and simulation.
class RecordingProxyBackend final : public ProxyBackend {
 public:
  Result<Unit, NetError> apply(const RuleSet& rules) override {
    last = rules;
    ++applies;
    return Unit{};
  }
  Result<Unit, NetError> remove() override {
    last = RuleSet{};
    return Unit{};
  }
  RuleSet last;
  int applies = 0;
};

}  // namespace orch::net
