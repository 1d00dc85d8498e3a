// Cluster DNS: answer() is a pure function of the query and a view of Services; DnsServer serves it
// on UDP and TCP and forwards other names upstream. Source: the Kubernetes DNS-based service
// discovery specification 1.1.0; RFC 1035, 2308 (negative answers), 2782 (SRV), 6891 (EDNS0).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

struct DnsPort {
  std::string name;      // "" allowed
  std::string protocol;  // "TCP", "UDP", "SCTP"
  uint16_t port = 0;
};
struct DnsEndpoint {     // headless Services only
  std::string address;   // IPv4 or IPv6
  std::string hostname;  // EndpointSlice's hostname, "" = the address with dashes
  bool ready = true;
  std::vector<DnsPort> ports;
};
struct DnsService {
  std::string namespace_, name;
  std::vector<std::string> cluster_ips;  // empty or {"None"} = headless
  std::string external_name;             // not empty = type ExternalName
  std::vector<DnsPort> ports;
  std::vector<DnsEndpoint> endpoints;
  bool publish_not_ready_addresses = false;
};

// Immutable once built; shared by pointer.
class DnsView {
 public:
  // `domain`: "cluster.local". `namespaces`: those that exist.
  static std::shared_ptr<const DnsView> build(std::string domain,
                                              const std::set<std::string>& namespaces,
                                              const std::vector<DnsService>& services);
  struct Index;
  explicit DnsView(std::shared_ptr<const Index> index) : index_(std::move(index)) {}
  const Index& index() const { return *index_; }

 private:
  std::shared_ptr<const Index> index_;
};

struct DnsAnswer {
  enum class Kind {
    kReply,    // `message` is the whole reply
    kForward,  // not ours: ask upstream
    kFollow,   // `message` ends with a CNAME whose target, outside the cluster, is yet to resolve
    kIgnore,   // too broken to answer, or itself a reply
  };
  Kind kind = Kind::kIgnore;
  std::string message;
  std::string follow_name;  // kFollow: the CNAME's target
};
// `size_max`: bytes the transport carries (UDP: 512 or what EDNS0 allows, capped; TCP 65535);
// larger replies are truncated with TC set. Never fails, whatever the bytes.
DnsAnswer answer(std::string_view query, const DnsView& view, bool tcp);

struct DnsServerOptions {
  std::string address;                 // cluster DNS address, held by a local link
  uint16_t port = 53;                  // 0 = any free one
  std::vector<std::string> upstreams;  // "1.1.1.1" or "1.1.1.1:5353"; empty = resolv.conf's
  std::string resolv_conf = "/etc/resolv.conf";  // re-read when it changes
  int upstream_timeout_ms = 2000;
  int upstream_attempts = 3;
  size_t cache_entries_max = 4096;
};
class DnsServer {
 public:
  // Listens at once, answers SERVFAIL to cluster names until the first set_view(). One thread.
  // Error: "listen udp 10.43.0.10:53: Address already in use".
  static Result<std::unique_ptr<DnsServer>, NetError> start(const DnsServerOptions& options);
  virtual ~DnsServer() = default;  // stops
  virtual uint16_t port() const = 0;
  virtual void set_view(std::shared_ptr<const DnsView> view) = 0;  // any thread
  virtual void stop() = 0;                                         // idempotent
};

// What goes into a pod's resolv.conf for dnsPolicy ClusterFirst is the agent's to write; search
// list: NS.svc.DOMAIN svc.DOMAIN DOMAIN, options ndots:5.

}  // namespace orch::net
