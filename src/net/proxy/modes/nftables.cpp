// Applies a RuleSet as the difference to the last one, in one nf_tables transaction.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "net/netlink/conntrack.h"
#include "net/proxy/modes/nft_layout.h"
#include "orch/base/log.h"

namespace orch::net {

namespace {

// Frontends that differ, with what they lead to now; null = gone.
using Changes = std::vector<std::pair<Frontend, const FrontendRule*>>;

struct ElementChange {
  std::array<std::vector<NftElement>, kProxySets> gone, fresh;
};

size_t index(ProxySet set) { return static_cast<size_t>(set); }

class NftablesProxy final : public ProxyBackend {
 public:
  NftablesProxy(std::unique_ptr<NfTables> nft, std::string table)
      : nft_(std::move(nft)), table_(std::move(table)) {}

  Result<Unit, NetError> apply(const RuleSet& rules) override;
  Result<Unit, NetError> remove() override;

 private:
  Result<Unit, NetError> apply_whole(const RuleSet& rules);
  Result<Unit, NetError> apply_difference(const RuleSet& rules, const Changes& changes);
  void flush_stale(const Changes& changes);
  void remember(const RuleSet& rules, const Changes& changes);
  void count_shapes(const RuleSet& rules);

  std::unique_ptr<NfTables> nft_;
  std::string table_;
  bool applied_ = false;  // the kernel holds rules_
  uint64_t handle_ = 0;
  RuleSet rules_;
  std::map<ChainShape, size_t> shapes_;
};

Changes difference(const RuleSet& before, const RuleSet& after) {
  Changes changes;
  auto a = before.frontends.begin();
  auto b = after.frontends.begin();
  while (a != before.frontends.end() || b != after.frontends.end()) {
    if (b == after.frontends.end() || (a != before.frontends.end() && a->first < b->first)) {
      changes.emplace_back(a->first, nullptr);
      ++a;
    } else if (a == before.frontends.end() || b->first < a->first) {
      changes.emplace_back(b->first, &b->second);
      ++b;
    } else {
      if (!(a->second == b->second)) changes.emplace_back(a->first, &b->second);
      ++a, ++b;
    }
  }
  return changes;
}

void add_element_change(const Frontend& frontend, const FrontendRule* before,
                        const FrontendRule* after, ElementChange& change) {
  std::vector<PlacedElement> old_ones, new_ones;
  if (before) old_ones = elements_of(frontend, *before);
  if (after) new_ones = elements_of(frontend, *after);
  std::sort(old_ones.begin(), old_ones.end());
  std::sort(new_ones.begin(), new_ones.end());
  for (const PlacedElement& e : old_ones) {
    if (!std::binary_search(new_ones.begin(), new_ones.end(), e)) {
      change.gone[index(e.set)].push_back(e.element);
    }
  }
  for (const PlacedElement& e : new_ones) {
    if (!std::binary_search(old_ones.begin(), old_ones.end(), e)) {
      change.fresh[index(e.set)].push_back(e.element);
    }
  }
}

// Chains are made before the elements that lead to them and go after those.
void change_firewall(NftBatch& batch, const Frontend& frontend, const FrontendRule* before,
                     const FrontendRule* after, std::vector<std::string>& gone) {
  const bool had = before && before->guarded, has = after && after->guarded;
  if (had && !has) gone.push_back(firewall_name(frontend));
  if (!has || (had && before->sources == after->sources)) return;
  const std::string name = firewall_name(frontend);
  if (had) {
    batch.flush_chain(name);
  } else {
    batch.add_chain(name);
  }
  add_firewall_rules(batch, frontend, *after);
}

void NftablesProxy::count_shapes(const RuleSet& rules) {
  shapes_.clear();
  for (const auto& [frontend, rule] : rules.frontends) {
    ChainShape shape = shape_of(frontend, rule);
    if (needs_chain(shape)) ++shapes_[shape];
  }
}

Result<Unit, NetError> NftablesProxy::apply_whole(const RuleSet& rules) {
  count_shapes(rules);
  NftBatch batch(table_);
  batch.add_table();  // so that there is one to delete
  batch.delete_table();
  batch.add_table();
  add_fixed_part(batch);
  for (const auto& [shape, count] : shapes_) {
    add_shape_chain(batch, shape, rules.cluster_network, rules.cluster_mask);
  }
  std::array<std::vector<NftElement>, kProxySets> elements;
  for (const auto& [frontend, rule] : rules.frontends) {
    if (rule.guarded) {
      batch.add_chain(firewall_name(frontend));
      add_firewall_rules(batch, frontend, rule);
    }
    for (PlacedElement& e : elements_of(frontend, rule)) {
      elements[index(e.set)].push_back(std::move(e.element));
    }
  }
  for (uint32_t ip : rules.local_endpoint_ips) {
    elements[index(ProxySet::kHairpin)].push_back(hairpin_element(ip));
  }
  for (size_t i = 0; i < kProxySets; ++i) {
    batch.add_elements(set_name(static_cast<ProxySet>(i)), elements[i]);
  }
  ORCH_CHECK(nft_->apply(batch, "load"));
  ORCH_TRY(auto handle, nft_->table_handle(table_));
  handle_ = handle.value_or(0);
  return Unit{};
}

Result<Unit, NetError> NftablesProxy::apply_difference(const RuleSet& rules,
                                                       const Changes& changes) {
  ElementChange change;
  std::map<ChainShape, size_t> shapes = shapes_;
  std::vector<std::string> gone_firewalls;
  NftBatch batch(table_);
  for (const auto& [frontend, now] : changes) {
    auto at = rules_.frontends.find(frontend);
    const FrontendRule* old = at == rules_.frontends.end() ? nullptr : &at->second;
    change_firewall(batch, frontend, old, now, gone_firewalls);
    add_element_change(frontend, old, now, change);
    if (old && needs_chain(shape_of(frontend, *old))) --shapes[shape_of(frontend, *old)];
    if (now && needs_chain(shape_of(frontend, *now))) ++shapes[shape_of(frontend, *now)];
  }
  for (uint32_t ip : rules_.local_endpoint_ips) {
    if (!rules.local_endpoint_ips.count(ip)) {
      change.gone[index(ProxySet::kHairpin)].push_back(hairpin_element(ip));
    }
  }
  for (uint32_t ip : rules.local_endpoint_ips) {
    if (!rules_.local_endpoint_ips.count(ip)) {
      change.fresh[index(ProxySet::kHairpin)].push_back(hairpin_element(ip));
    }
  }
  for (const auto& [shape, count] : shapes) {
    if (count > 0 && !shapes_.count(shape)) {
      add_shape_chain(batch, shape, rules.cluster_network, rules.cluster_mask);
    }
  }
  for (size_t i = 0; i < kProxySets; ++i) {
    batch.delete_elements(set_name(static_cast<ProxySet>(i)), change.gone[i]);
    batch.add_elements(set_name(static_cast<ProxySet>(i)), change.fresh[i]);
  }
  for (const std::string& name : gone_firewalls) {
    batch.flush_chain(name);
    batch.delete_chain(name);
  }
  for (auto at = shapes.begin(); at != shapes.end();) {
    if (at->second > 0) {
      ++at;
      continue;
    }
    std::string name = chain_name(at->first);
    if (shapes_.count(at->first)) {
      batch.flush_chain(name);
      batch.delete_chain(name);
      if (at->first.kind == FrontendRule::Kind::kExternalLocal) {
        batch.flush_chain(name + "-all");
        batch.delete_chain(name + "-all");
      }
    }
    at = shapes.erase(at);
  }
  if (!batch.empty()) ORCH_CHECK(nft_->apply(batch, "change"));
  shapes_ = std::move(shapes);
  return Unit{};
}

// UDP has no end of connection: a client that keeps its port would for ever follow its old entry to
// an endpoint that is gone, or to the address itself if there was no endpoint then.
void NftablesProxy::flush_stale(const Changes& changes) {
  std::map<Frontend, const FrontendRule*> changed;
  for (const auto& [frontend, now] : changes) {
    if (frontend.protocol == Protocol::kUdp) changed[frontend] = now;
  }
  if (changed.empty()) return;
  auto flushed = flush_conntrack([&](const ConntrackEntry& entry) {
    if (entry.protocol != static_cast<uint8_t>(Protocol::kUdp)) return false;
    bool translated = entry.reply_source != entry.original_destination ||
                      entry.reply_source_port != entry.original_destination_port;
    auto at =
        changed.find({entry.original_destination, Protocol::kUdp, entry.original_destination_port});
    if (at == changed.end()) {
      // The port of some other host, reached without us, is no node port.
      at = changed.find({0, Protocol::kUdp, entry.original_destination_port});
      if (at == changed.end() || !translated) return false;
    }
    if (!at->second) return translated;
    Backend backend{entry.reply_source, entry.reply_source_port};
    const auto& valid = at->second->endpoints;
    const auto& local = at->second->local;
    return std::find(valid.begin(), valid.end(), backend) == valid.end() &&
           std::find(local.begin(), local.end(), backend) == local.end();
  });
  // The rules are in place; old UDP flows then die by their timeout.
  if (!flushed) log::warn("proxy", "stale UDP entries remain: {}", flushed.error());
}

Result<Unit, NetError> NftablesProxy::apply(const RuleSet& rules) {
  const bool same_cluster =
      rules.cluster_network == rules_.cluster_network && rules.cluster_mask == rules_.cluster_mask;
  bool whole = !applied_ || !same_cluster;
  if (!whole) {
    // Someone may have flushed the whole ruleset.
    ORCH_TRY(auto handle, nft_->table_handle(table_));
    whole = handle != handle_;
  }
  applied_ = false;
  const Changes changes = difference(rules_, rules);
  if (!whole) {
    auto done = apply_difference(rules, changes);
    if (!done) {
      log::warn("proxy", "{}; loading everything afresh", done.error());
      whole = true;
    }
  }
  if (whole) ORCH_CHECK(apply_whole(rules));
  applied_ = true;
  flush_stale(changes);
  remember(rules, changes);
  return Unit{};
}

// As rules_ = rules, but costs what changed.
void NftablesProxy::remember(const RuleSet& rules, const Changes& changes) {
  rules_.cluster_network = rules.cluster_network;
  rules_.cluster_mask = rules.cluster_mask;
  for (const auto& [frontend, now] : changes) {
    if (now) {
      rules_.frontends.insert_or_assign(frontend, *now);
    } else {
      rules_.frontends.erase(frontend);
    }
  }
  if (rules_.local_endpoint_ips != rules.local_endpoint_ips) {
    rules_.local_endpoint_ips = rules.local_endpoint_ips;
  }
}

Result<Unit, NetError> NftablesProxy::remove() {
  applied_ = false;
  rules_ = RuleSet{};
  return nft_->delete_table(table_);
}

}  // namespace

Result<std::unique_ptr<ProxyBackend>, NetError> make_nftables_proxy(const ProxyOptions& options) {
  if (options.table.empty()) return Err(NetError("proxy: no nf_tables table name given"));
  ORCH_TRY(auto nft, NfTables::open());
  // Asks for permission and kernel support now rather than at the first Service.
  ORCH_CHECK(nft->table_handle(options.table));
  return std::unique_ptr<ProxyBackend>(
      std::make_unique<NftablesProxy>(std::move(nft), options.table));
}

}  // namespace orch::net
