// How Services lie in nf_tables: a frontend is nothing but map elements; the chains are few, one
// for each shape of frontend (kind, number of endpoints, affinity), whatever the number of
// Services.
//
//   services     prerouting/output: (daddr, proto, port) -> chain; then node ports of local
//   addresses shape chains mark for masquerade if due; endpoints[(vip, proto, port, random index)]
//   -> dnat no endpoints filter, before dnat: reject or drop postrouting  marked or hairpin traffic
//   is masqueraded
//
// Session affinity: `affinity` remembers (vip, proto, port, client) -> endpoint, filled from the
// packet path; an entry counts only while `affinity_endpoints` holds its endpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/netlink/nftables.h"
#include "orch/net/proxy.h"

namespace orch::net {

enum class ProxySet : uint8_t {
  kServiceIps,         // verdicts by (address, protocol, port)
  kServicePorts,       // verdicts by (protocol, port)
  kEndpoints,          // (address or 0, protocol, port, index) -> (address, port)
  kAffinityEndpoints,  // (address or 0, protocol, port, address, port)
  kNoEndpointIps,      // as kServiceIps, in filter chains
  kNoEndpointPorts,
  kHairpin,   // (address, the same address)
  kFirewall,  // as kServiceIps, in filter chains: to the chain that knows who may come
};
inline constexpr size_t kProxySets = 8;
const char* set_name(ProxySet set);

// What decides which chain a frontend leads to.
struct ChainShape {
  FrontendRule::Kind kind = FrontendRule::Kind::kInternal;
  bool node_port = false;
  uint32_t endpoints = 0, local = 0, affinity_seconds = 0;
  auto operator<=>(const ChainShape&) const = default;
};
ChainShape shape_of(const Frontend& frontend, const FrontendRule& rule);
bool needs_chain(const ChainShape& shape);
std::string chain_name(const ChainShape& shape);

struct PlacedElement {
  ProxySet set;
  NftElement element;
  auto operator<=>(const PlacedElement&) const = default;
};
std::vector<PlacedElement> elements_of(const Frontend& frontend, const FrontendRule& rule);
NftElement hairpin_element(uint32_t ip);
// The chain of a guarded frontend: passes its sources, drops the rest.
std::string firewall_name(const Frontend& frontend);
void add_firewall_rules(NftBatch& batch, const Frontend& frontend, const FrontendRule& rule);

// Table, sets, fixed chains; everything that does not depend on Services.
void add_fixed_part(NftBatch& batch);
void add_shape_chain(NftBatch& batch, const ChainShape& shape, uint32_t cluster_network,
                     uint32_t cluster_mask);

}  // namespace orch::net
