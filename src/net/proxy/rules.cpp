// build_rules(): which frontends exist and where each leads. Pure.
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "orch/net/netlink.h"
#include "orch/net/proxy.h"

namespace orch::net {

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kSctp:
      return "SCTP";
  }
  return "?";
}

Result<Protocol, NetError> parse_protocol(std::string_view text) {
  if (text.empty() || text == "TCP") return Protocol::kTcp;
  if (text == "UDP") return Protocol::kUdp;
  if (text == "SCTP") return Protocol::kSctp;
  return Err(fmt::format("invalid protocol \"{}\": must be TCP, UDP or SCTP", text));
}

namespace {

struct Chosen {
  std::vector<Backend> everywhere, here;
};

void sort_unique(std::vector<Backend>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// KEP-1669: ready endpoints; where there are none, those terminating but still serving. The choice
// is made for all nodes and for this node separately.
Chosen choose(const ProxyService& service, const ProxyPort& port, RuleSet& out) {
  Chosen ready, fallback;
  for (const ProxyEndpoint& endpoint : port.endpoints) {
    auto ip = parse_ipv4(endpoint.ip);
    if (!ip || endpoint.port == 0) {
      // Endpoints of dual-stack Services may be IPv6: nothing to complain about.
      if (endpoint.ip.find(':') == std::string::npos) {
        out.skipped.push_back(fmt::format("service {}/{}: invalid endpoint {}:{}",
                                          service.namespace_, service.name, endpoint.ip,
                                          endpoint.port));
      }
      continue;
    }
    Backend backend{*ip, endpoint.port};
    bool is_ready = endpoint.ready || service.publish_not_ready_addresses;
    if (!is_ready && !(endpoint.serving && endpoint.terminating)) continue;
    Chosen& into = is_ready ? ready : fallback;
    into.everywhere.push_back(backend);
    if (endpoint.node_local) {
      into.here.push_back(backend);
      out.local_endpoint_ips.insert(*ip);
    }
  }
  Chosen chosen;
  chosen.everywhere = ready.everywhere.empty() ? fallback.everywhere : ready.everywhere;
  chosen.here = ready.here.empty() ? fallback.here : ready.here;
  sort_unique(chosen.everywhere);
  sort_unique(chosen.here);
  return chosen;
}

FrontendRule internal_rule(const ProxyService& service, const Chosen& chosen) {
  FrontendRule rule;
  rule.kind = FrontendRule::Kind::kInternal;
  rule.endpoints = service.internal_traffic_local ? chosen.here : chosen.everywhere;
  if (chosen.everywhere.empty()) {
    rule.kind = FrontendRule::Kind::kReject;
  } else if (rule.endpoints.empty()) {
    rule.kind = FrontendRule::Kind::kDrop;
  }
  return rule;
}

FrontendRule external_rule(const ProxyService& service, const Chosen& chosen) {
  FrontendRule rule;
  rule.kind = service.external_traffic_local ? FrontendRule::Kind::kExternalLocal
                                             : FrontendRule::Kind::kExternal;
  rule.endpoints = chosen.everywhere;
  if (chosen.everywhere.empty()) {
    rule.kind = FrontendRule::Kind::kReject;
  } else if (service.external_traffic_local) {
    rule.local = chosen.here;
  }
  return rule;
}

class Builder {
 public:
  explicit Builder(RuleSet& out) : out_(out) {}

  void add_service(const ProxyService& service) {
    for (const ProxyPort& port : service.ports) add_port(service, port);
  }

 private:
  void add_port(const ProxyService& service, const ProxyPort& port) {
    std::string owner = fmt::format("{}/{}{}{}", service.namespace_, service.name,
                                    port.name.empty() ? "" : ":", port.name);
    if (port.port == 0) {
      out_.skipped.push_back(fmt::format("service {}: port 0", owner));
      return;
    }
    Chosen chosen = choose(service, port, out_);
    FrontendRule internal = finish(internal_rule(service, chosen), service, owner);
    FrontendRule external = finish(external_rule(service, chosen), service, owner);
    for (const std::string& text : service.cluster_ips) {
      if (text == "None" || text.empty()) continue;
      add_address(text, port, internal, "clusterIP");
    }
    if (!service.load_balancer_source_ranges.empty()) {
      external.guarded = true;
      external.sources = ranges_of(service, owner);
    }
    for (const std::string& text : service.load_balancer_ips) {
      add_address(text, port, external, "load balancer IP");
    }
    external.guarded = false;  // upstream guards the load balancer's addresses alone
    external.sources.clear();
    for (const std::string& text : service.external_ips) {
      add_address(text, port, external, "externalIP");
    }
    if (port.node_port) claim({0, port.protocol, port.node_port}, std::move(external));
  }

  static FrontendRule finish(FrontendRule rule, const ProxyService& service,
                             const std::string& owner) {
    bool leads_on =
        rule.kind != FrontendRule::Kind::kReject && rule.kind != FrontendRule::Kind::kDrop;
    if (leads_on && service.session_affinity_client_ip) {
      rule.affinity_seconds =
          static_cast<uint32_t>(std::clamp<int64_t>(service.affinity_timeout.count(), 1, 86400));
    }
    rule.owner = owner;
    return rule;
  }

  // A range that cannot be read lets nobody in. IPv6 ranges are of no concern here.
  std::vector<SourceRange> ranges_of(const ProxyService& service, const std::string& owner) {
    std::vector<SourceRange> out;
    for (const std::string& text : service.load_balancer_source_ranges) {
      if (auto prefix = parse_prefix(trim(text))) {
        out.push_back({prefix->network(), prefix->mask()});
      } else if (text.find(':') == std::string::npos) {
        out_.skipped.push_back(
            fmt::format("service {}: invalid loadBalancerSourceRanges \"{}\"", owner, text));
      }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  void add_address(const std::string& text, const ProxyPort& port, const FrontendRule& rule,
                   std::string_view field) {
    auto ip = parse_ipv4(text);
    if (ip && *ip != 0) {
      claim({*ip, port.protocol, port.port}, rule);
    } else if (text.find(':') == std::string::npos) {
      out_.skipped.push_back(fmt::format("service {}: invalid {} \"{}\"", rule.owner, field, text));
    }
  }

  void claim(const Frontend& frontend, FrontendRule rule) {
    auto [at, fresh] = out_.frontends.try_emplace(frontend, rule);
    if (fresh || at->second.owner == rule.owner) return;
    out_.skipped.push_back(fmt::format("service {}: {}:{}/{} is already served for {}", rule.owner,
                                       format_ipv4(frontend.ip), frontend.port,
                                       to_string(frontend.protocol), at->second.owner));
  }

  RuleSet& out_;
};

}  // namespace

RuleSet build_rules(const std::vector<ProxyService>& services, const ProxyNode& node) {
  RuleSet rules;
  if (auto cidr = parse_prefix(node.cluster_cidr)) {
    rules.cluster_network = cidr->network();
    rules.cluster_mask = cidr->mask();
  } else {
    rules.skipped.push_back(fmt::format("invalid cluster CIDR \"{}\"", node.cluster_cidr));
  }
  std::vector<const ProxyService*> sorted;
  sorted.reserve(services.size());
  for (const ProxyService& service : services) sorted.push_back(&service);
  std::sort(sorted.begin(), sorted.end(), [](const ProxyService* a, const ProxyService* b) {
    return std::tie(a->namespace_, a->name) < std::tie(b->namespace_, b->name);
  });
  Builder builder(rules);
  for (const ProxyService* service : sorted) builder.add_service(*service);
  return rules;
}

int local_ready_endpoints(const ProxyService& service) {
  std::set<std::string> addresses;
  for (const ProxyPort& port : service.ports) {
    for (const ProxyEndpoint& endpoint : port.endpoints) {
      if (endpoint.node_local && (endpoint.ready || service.publish_not_ready_addresses)) {
        addresses.insert(endpoint.ip);
      }
    }
  }
  return static_cast<int>(addresses.size());
}

}  // namespace orch::net
