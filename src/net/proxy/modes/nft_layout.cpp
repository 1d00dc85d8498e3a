#include "net/proxy/modes/nft_layout.h"

#include <fmt/format.h>

namespace orch::net {

namespace {

constexpr int kBeforeDnat = -110, kDnat = -100, kSnat = 100;
constexpr uint32_t kMasqueradeMark = 0x4000;  // the bit kube-proxy uses
constexpr uint32_t kLocalIndexes = 0x10000;   // endpoints of this node, in kEndpoints
constexpr uint32_t kAffinityClientsMax = 1 << 20;
constexpr uint32_t kFibLocal = 2;    // RTN_LOCAL
constexpr uint32_t kCtStateNew = 8;  // NF_CT_STATE_BIT(IP_CT_NEW)
constexpr const char* kAffinity = "affinity";

using Kind = FrontendRule::Kind;
using enum NftType;

void mark_for_masquerade(NftRule& rule, int reg) {
  rule.mark(reg).mask_host(reg, ~kMasqueradeMark, kMasqueradeMark).set_mark(reg);
}

// Registers 0..2: the frontend's key.
void load_frontend(NftRule& rule, bool node_port) {
  if (node_port) {
    rule.ip_literal(0, 0);
  } else {
    rule.daddr(0);
  }
  rule.l4proto(1).dport(2);
}

void add_pick(NftBatch& batch, std::string_view chain, bool node_port, uint32_t count,
              uint32_t offset, uint32_t affinity_seconds) {
  if (affinity_seconds) {
    NftRule known;
    load_frontend(known, node_port);
    known.saddr(3).map(kAffinity, 0, 3).in_set(set_name(ProxySet::kAffinityEndpoints), 0);
    known.move(3, 8, 2).saddr(3).update(kAffinity, 0, 8, affinity_seconds).dnat(8, 9);
    batch.add_rule(chain, known);
    NftRule fresh;
    load_frontend(fresh, node_port);
    fresh.random(3, count, offset).map(set_name(ProxySet::kEndpoints), 0, 8);
    // An update would keep a stale entry's endpoint.
    fresh.saddr(3).erase(kAffinity, 0).update(kAffinity, 0, 8, affinity_seconds).dnat(8, 9);
    batch.add_rule(chain, fresh);
    // Also what happens when `affinity` is full.
  }
  NftRule pick;
  load_frontend(pick, node_port);
  pick.random(3, count, offset).map(set_name(ProxySet::kEndpoints), 0, 8).dnat(8, 9);
  batch.add_rule(chain, pick);
}

// Local addresses but loopback, then the verdict map of (protocol, port).
NftRule node_port_rule(std::string_view map) {
  NftRule rule;
  rule.fib_daddr_type(0).equals_u32(0, kFibLocal);
  rule.daddr(0).mask(0, 0xff000000).differs(0, NftKey().ip(0x7f000000).bytes());
  rule.l4proto(0).dport(1).verdict_map(map, 0);
  return rule;
}

void add_reject_part(NftBatch& batch) {
  batch.add_chain("reject");
  NftRule tcp;
  tcp.l4proto(0).equals(0, "\x06").reject_tcp_reset();
  batch.add_rule("reject", tcp);
  NftRule other;
  other.reject_port_unreachable();
  batch.add_rule("reject", other);

  batch.add_chain("no-endpoints");
  NftRule by_ip;
  by_ip.daddr(0).l4proto(1).dport(2).verdict_map(set_name(ProxySet::kNoEndpointIps), 0);
  batch.add_rule("no-endpoints", by_ip);
  NftRule by_port = node_port_rule(set_name(ProxySet::kNoEndpointPorts));
  batch.add_rule("no-endpoints", by_port);

  batch.add_chain("firewall");
  NftRule guarded;
  guarded.daddr(0).l4proto(1).dport(2).verdict_map(set_name(ProxySet::kFirewall), 0);
  batch.add_rule("firewall", guarded);

  for (auto [name, hook] : {std::pair{"filter-prerouting", NftHook::kPrerouting},
                            std::pair{"filter-output", NftHook::kOutput}}) {
    batch.add_base_chain(name, "filter", hook, kBeforeDnat);
    // Established connections of a Service that just lost its endpoints go on.
    for (const char* chain : {"firewall", "no-endpoints"}) {
      NftRule rule;
      rule.ct_state(0).mask_host(0, kCtStateNew, 0).differs_u32(0, 0);
      rule.verdict(NftVerdict::kJump, chain);
      batch.add_rule(name, rule);
    }
  }
}

void add_masquerade_part(NftBatch& batch) {
  batch.add_base_chain("nat-postrouting", "nat", NftHook::kPostrouting, kSnat);
  NftRule marked;
  marked.mark(0).mask_host(0, kMasqueradeMark, 0).differs_u32(0, 0);
  marked.mark(0).mask_host(0, ~kMasqueradeMark, 0).set_mark(0).masquerade();
  batch.add_rule("nat-postrouting", marked);
  // A pod that reached itself through a Service would answer itself directly.
  NftRule hairpin;
  hairpin.saddr(0).daddr(1).in_set(set_name(ProxySet::kHairpin), 0).masquerade();
  batch.add_rule("nat-postrouting", hairpin);
}

void add_sets(NftBatch& batch) {
  const uint32_t by_ip = nft_concat({kIpv4, kProto, kService});
  const uint32_t by_port = nft_concat({kProto, kService});
  const uint32_t endpoint = nft_concat({kIpv4, kService});
  auto verdicts = [&](ProxySet set, uint32_t type, uint32_t size) {
    NftSet spec{set_name(set), type, size};
    spec.verdict_map = true;
    batch.add_set(spec);
  };
  verdicts(ProxySet::kServiceIps, by_ip, 12);
  verdicts(ProxySet::kServicePorts, by_port, 8);
  verdicts(ProxySet::kNoEndpointIps, by_ip, 12);
  verdicts(ProxySet::kNoEndpointPorts, by_port, 8);
  verdicts(ProxySet::kFirewall, by_ip, 12);
  NftSet endpoints{set_name(ProxySet::kEndpoints), nft_concat({kIpv4, kProto, kService, kMark}),
                   16};
  endpoints.data_type = endpoint;
  endpoints.data_size = 8;
  batch.add_set(endpoints);
  batch.add_set({set_name(ProxySet::kAffinityEndpoints),
                 nft_concat({kIpv4, kProto, kService, kIpv4, kService}), 20});
  batch.add_set({set_name(ProxySet::kHairpin), nft_concat({kIpv4, kIpv4}), 8});
  NftSet affinity{kAffinity, nft_concat({kIpv4, kProto, kService, kIpv4}), 16};
  affinity.data_type = endpoint;
  affinity.data_size = 8;
  affinity.dynamic = true;
  affinity.size_max = kAffinityClientsMax;
  batch.add_set(affinity);
}

NftKey frontend_key(const Frontend& frontend) {
  return NftKey()
      .ip(frontend.ip)
      .proto(static_cast<uint8_t>(frontend.protocol))
      .port(frontend.port);
}

// A name per shape of pick: "5" endpoints, "5l2" with two local ones, "5a10800" with affinity.
std::string pick_suffix(const ChainShape& shape) {
  std::string text = fmt::format("{}-{}", shape.node_port ? "port" : "ip", shape.endpoints);
  if (shape.kind == Kind::kExternalLocal) text += fmt::format("-local-{}", shape.local);
  if (shape.affinity_seconds) text += fmt::format("-affinity-{}", shape.affinity_seconds);
  return text;
}

}  // namespace

const char* set_name(ProxySet set) {
  switch (set) {
    case ProxySet::kServiceIps:
      return "service-ips";
    case ProxySet::kServicePorts:
      return "service-nodeports";
    case ProxySet::kEndpoints:
      return "endpoints";
    case ProxySet::kAffinityEndpoints:
      return "affinity-endpoints";
    case ProxySet::kNoEndpointIps:
      return "no-endpoint-ips";
    case ProxySet::kNoEndpointPorts:
      return "no-endpoint-nodeports";
    case ProxySet::kHairpin:
      return "hairpin";
    case ProxySet::kFirewall:
      return "firewall-ips";
  }
  return "";
}

ChainShape shape_of(const Frontend& frontend, const FrontendRule& rule) {
  return {rule.kind, frontend.ip == 0, static_cast<uint32_t>(rule.endpoints.size()),
          static_cast<uint32_t>(rule.local.size()), rule.affinity_seconds};
}

bool needs_chain(const ChainShape& shape) {
  return shape.kind != Kind::kReject && shape.kind != Kind::kDrop;
}

std::string chain_name(const ChainShape& shape) {
  const char* kind = shape.kind == Kind::kInternal ? "internal" : "external";
  return fmt::format("{}-{}", kind, pick_suffix(shape));
}

std::vector<PlacedElement> elements_of(const Frontend& frontend, const FrontendRule& rule) {
  std::vector<PlacedElement> out;
  const bool node_port = frontend.ip == 0;
  if (rule.guarded) {
    NftElement guard;
    guard.key = frontend_key(frontend).bytes();
    guard.verdict = NftVerdict::kGoto;
    guard.chain = firewall_name(frontend);
    out.push_back({ProxySet::kFirewall, std::move(guard)});
  }
  NftElement verdict;
  verdict.key =
      node_port
          ? NftKey().proto(static_cast<uint8_t>(frontend.protocol)).port(frontend.port).bytes()
          : frontend_key(frontend).bytes();
  if (rule.kind == Kind::kReject || rule.kind == Kind::kDrop) {
    verdict.verdict = rule.kind == Kind::kReject ? NftVerdict::kGoto : NftVerdict::kDrop;
    if (rule.kind == Kind::kReject) verdict.chain = "reject";
    out.push_back(
        {node_port ? ProxySet::kNoEndpointPorts : ProxySet::kNoEndpointIps, std::move(verdict)});
    return out;
  }
  verdict.verdict = NftVerdict::kGoto;
  verdict.chain = chain_name(shape_of(frontend, rule));
  out.push_back({node_port ? ProxySet::kServicePorts : ProxySet::kServiceIps, std::move(verdict)});
  auto add = [&](const std::vector<Backend>& backends, uint32_t first_index) {
    uint32_t index = first_index;
    for (const Backend& backend : backends) {
      NftElement element;
      element.key = frontend_key(frontend).number(index++).bytes();
      element.data = NftKey().ip(backend.ip).port(backend.port).bytes();
      out.push_back({ProxySet::kEndpoints, std::move(element)});
    }
  };
  add(rule.endpoints, 0);
  add(rule.local, kLocalIndexes);
  if (rule.affinity_seconds) {
    std::set<Backend> valid(rule.endpoints.begin(), rule.endpoints.end());
    valid.insert(rule.local.begin(), rule.local.end());
    for (const Backend& backend : valid) {
      NftElement element;
      element.key = frontend_key(frontend).ip(backend.ip).port(backend.port).bytes();
      out.push_back({ProxySet::kAffinityEndpoints, std::move(element)});
    }
  }
  return out;
}

NftElement hairpin_element(uint32_t ip) {
  NftElement element;
  element.key = NftKey().ip(ip).ip(ip).bytes();
  return element;
}

std::string firewall_name(const Frontend& frontend) {
  return fmt::format("firewall-{:08x}-{}-{}", frontend.ip, static_cast<int>(frontend.protocol),
                     frontend.port);
}

void add_firewall_rules(NftBatch& batch, const Frontend& frontend, const FrontendRule& rule) {
  const std::string chain = firewall_name(frontend);
  for (const SourceRange& range : rule.sources) {
    NftRule pass;
    pass.saddr(0).mask(0, range.mask).equals(0, NftKey().ip(range.network).bytes());
    pass.verdict(NftVerdict::kReturn);
    batch.add_rule(chain, pass);
  }
  NftRule rest;
  rest.verdict(NftVerdict::kDrop);
  batch.add_rule(chain, rest);
}

void add_fixed_part(NftBatch& batch) {
  add_sets(batch);
  batch.add_chain("services");
  NftRule by_ip;
  by_ip.daddr(0).l4proto(1).dport(2).verdict_map(set_name(ProxySet::kServiceIps), 0);
  batch.add_rule("services", by_ip);
  NftRule by_port = node_port_rule(set_name(ProxySet::kServicePorts));
  batch.add_rule("services", by_port);
  for (auto [name, hook] : {std::pair{"nat-prerouting", NftHook::kPrerouting},
                            std::pair{"nat-output", NftHook::kOutput}}) {
    batch.add_base_chain(name, "nat", hook, kDnat);
    NftRule jump;
    jump.verdict(NftVerdict::kJump, "services");
    batch.add_rule(name, jump);
  }
  add_reject_part(batch);
  add_masquerade_part(batch);
}

void add_shape_chain(NftBatch& batch, const ChainShape& shape, uint32_t cluster_network,
                     uint32_t cluster_mask) {
  std::string name = chain_name(shape);
  std::string network = NftKey().ip(cluster_network).bytes();
  batch.add_chain(name);
  if (shape.kind == Kind::kInternal) {
    NftRule outside;
    outside.saddr(0).mask(0, cluster_mask).differs(0, network);
    mark_for_masquerade(outside, 0);
    batch.add_rule(name, outside);
  } else if (shape.kind == Kind::kExternal) {
    NftRule all;
    mark_for_masquerade(all, 0);
    batch.add_rule(name, all);
  }
  if (shape.kind != Kind::kExternalLocal) {
    add_pick(batch, name, shape.node_port, shape.endpoints, 0, shape.affinity_seconds);
    return;
  }
  // Pods and this host reach every endpoint; only what comes from outside is bound to this node.
  std::string everywhere = name + "-all";
  batch.add_chain(everywhere);
  add_pick(batch, everywhere, shape.node_port, shape.endpoints, 0, shape.affinity_seconds);
  NftRule from_pod;
  from_pod.saddr(0).mask(0, cluster_mask).equals(0, network);
  from_pod.verdict(NftVerdict::kGoto, everywhere);
  batch.add_rule(name, from_pod);
  NftRule from_host;
  from_host.fib_saddr_type(0).equals_u32(0, kFibLocal);
  mark_for_masquerade(from_host, 0);
  from_host.verdict(NftVerdict::kGoto, everywhere);
  batch.add_rule(name, from_host);
  if (shape.local == 0) {
    NftRule none;
    none.verdict(NftVerdict::kDrop);
    batch.add_rule(name, none);
  } else {
    add_pick(batch, name, shape.node_port, shape.local, kLocalIndexes, shape.affinity_seconds);
  }
}

}  // namespace orch::net
