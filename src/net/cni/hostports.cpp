#include "net/cni/hostports.h"

#include <endian.h>
#include <fmt/format.h>

#include <cstring>
#include <map>

#include "net/netlink/conntrack.h"
#include "net/netlink/nftables.h"
#include "orch/net/proxy.h"

namespace orch::net {

namespace {

constexpr int kDnat = -100, kSnat = 100;
constexpr uint32_t kFibLocal = 2;  // RTN_LOCAL
constexpr const char* kPorts = "hostports";
constexpr const char* kHairpin = "hairpin";
constexpr uint8_t kUdp = 17;

void add_table(NftBatch& batch) {
  using enum NftType;
  batch.add_table();
  NftSet ports{kPorts, nft_concat({kIpv4, kProto, kService}), 12};
  ports.data_type = nft_concat({kIpv4, kService});
  ports.data_size = 8;
  batch.add_set(ports);
  batch.add_set({kHairpin, nft_concat({kIpv4, kIpv4}), 8});
  batch.add_chain("ports");
  // First the mappings of this one address, then those of every local one; never loopback's.
  for (bool any : {false, true}) {
    NftRule rule;
    rule.fib_daddr_type(0).equals_u32(0, kFibLocal);
    rule.daddr(0).mask(0, 0xff000000).differs(0, NftKey().ip(0x7f000000).bytes());
    if (any) {
      rule.ip_literal(0, 0);
    } else {
      rule.daddr(0);
    }
    rule.l4proto(1).dport(2).map(kPorts, 0, 8).dnat(8, 9);
    batch.add_rule("ports", rule);
  }
  for (auto [name, hook] : {std::pair{"nat-prerouting", NftHook::kPrerouting},
                            std::pair{"nat-output", NftHook::kOutput}}) {
    batch.add_base_chain(name, "nat", hook, kDnat);
    NftRule jump;
    jump.verdict(NftVerdict::kJump, "ports");
    batch.add_rule(name, jump);
  }
  batch.add_base_chain("nat-postrouting", "nat", NftHook::kPostrouting, kSnat);
  NftRule hairpin;
  hairpin.saddr(0).daddr(1).in_set(kHairpin, 0).masquerade();
  batch.add_rule("nat-postrouting", hairpin);
}

NftElement element_of(uint32_t pod, const PortMapping& port) {
  NftElement element;
  element.key = NftKey().ip(port.host_ip).proto(port.protocol).port(port.host_port).bytes();
  element.data = NftKey().ip(pod).port(port.container_port).bytes();
  return element;
}

uint32_t pod_of(const NftElement& element) {
  uint32_t wire = 0;
  if (element.data.size() >= sizeof wire) std::memcpy(&wire, element.data.data(), sizeof wire);
  return be32toh(wire);
}

NftElement hairpin_of(uint32_t pod) {
  NftElement element;
  element.key = NftKey().ip(pod).ip(pod).bytes();
  return element;
}

}  // namespace

Result<Unit, NetError> add_hostports(const std::string& table, uint32_t pod,
                                     const std::vector<PortMapping>& ports,
                                     const std::function<bool(uint32_t pod)>& alive) {
  if (ports.empty()) return Unit{};
  if (table.empty()) return Err(NetError("hostPort: field hostPortTable is missing"));
  ORCH_TRY(auto nft, NfTables::open());
  ORCH_TRY(auto handle, nft->table_handle(table));
  NftBatch batch(table);
  std::map<std::string, NftElement> present;
  if (!handle) {
    add_table(batch);
  } else {
    ORCH_TRY(auto elements, nft->elements(table, kPorts));
    for (NftElement& element : elements) present[element.key] = element;
  }
  std::vector<NftElement> gone, fresh;
  for (const PortMapping& port : ports) {
    NftElement element = element_of(pod, port);
    auto at = present.find(element.key);
    if (at != present.end() && at->second.data == element.data) continue;
    if (at != present.end()) {
      uint32_t holder = pod_of(at->second);
      if (holder != pod && alive(holder)) {
        return Err(fmt::format("hostPort {}/{} is in use by pod {}", port.host_port,
                               to_string(static_cast<Protocol>(port.protocol)),
                               format_ipv4(holder)));
      }
      gone.push_back(at->second);
    }
    fresh.push_back(element);
  }
  batch.delete_elements(kPorts, gone);
  batch.add_elements(kPorts, fresh);
  batch.add_elements(kHairpin, {hairpin_of(pod)});
  ORCH_CHECK(nft->apply(batch, "hostPort"));
  // Datagrams that came before the pod did still go to the host itself.
  ORCH_CHECK(flush_conntrack([&](const ConntrackEntry& entry) {
    if (entry.protocol != kUdp) return false;
    for (const PortMapping& port : ports) {
      if (port.protocol == kUdp && entry.original_destination_port == port.host_port) return true;
    }
    return false;
  }));
  return Unit{};
}

Result<Unit, NetError> remove_hostports(const std::string& table, uint32_t pod) {
  if (table.empty()) return Unit{};
  ORCH_TRY(auto nft, NfTables::open());
  ORCH_TRY(auto handle, nft->table_handle(table));
  if (!handle) return Unit{};
  ORCH_TRY(auto elements, nft->elements(table, kPorts));
  std::vector<NftElement> gone;
  for (NftElement& element : elements) {
    if (pod_of(element) == pod) gone.push_back(std::move(element));
  }
  NftBatch batch(table);
  batch.delete_elements(kPorts, gone);
  ORCH_TRY(auto hairpins, nft->elements(table, kHairpin));
  for (const NftElement& element : hairpins) {
    if (element.key == hairpin_of(pod).key) batch.delete_elements(kHairpin, {element});
  }
  if (batch.empty()) return Unit{};
  ORCH_CHECK(nft->apply(batch, "hostPort"));
  ORCH_CHECK(flush_conntrack([&](const ConntrackEntry& entry) {
    return entry.protocol == kUdp && entry.reply_source == pod && entry.original_destination != pod;
  }));
  return Unit{};
}

}  // namespace orch::net
