#include "server/scheduler/indexes.h"

#include <algorithm>

namespace orch::server::scheduler {
namespace {

constexpr size_t kCountsMax = 128;
constexpr size_t kKeysMax = 64;

// Calls `refresh(slot)` for what changed after change number `seen`, everything if that is too
// long ago.
template <class Refresh>
void follow(const Snapshot& snapshot, uint64_t& seen, Refresh refresh) {
  if (seen < snapshot.log_begin) {
    for (size_t slot = 0; slot < snapshot.slots.size(); ++slot) {
      refresh(static_cast<uint32_t>(slot));
    }
  } else {
    for (uint64_t i = seen - snapshot.log_begin; i < snapshot.log.size(); ++i) {
      refresh(snapshot.log[i]);
    }
  }
  seen = snapshot.log_end();
}

template <class Row>
Row& row_at(std::vector<Row>& rows, const Snapshot& snapshot, uint32_t slot) {
  if (rows.size() <= slot) rows.resize(std::max<size_t>(snapshot.slots.size(), slot + 1));
  return rows[slot];
}

uint64_t generation_of(const Snapshot& snapshot, uint32_t slot) {
  const auto& node = snapshot.slots[slot];
  return node ? node->generation : 0;
}

void add_at(std::vector<int64_t>& counts, int32_t domain, int64_t by) {
  const auto at = static_cast<size_t>(domain);
  if (counts.size() <= at) counts.resize(at + 1);
  counts[at] += by;
}

}  // namespace

// ---- TopologyKey ----

void TopologyKey::sync(const Snapshot& snapshot) {
  follow(snapshot, seen_, [&](uint32_t slot) { refresh(snapshot, slot); });
}

void TopologyKey::refresh(const Snapshot& snapshot, uint32_t slot) {
  Row& row = row_at(rows_, snapshot, slot);
  const uint64_t generation = generation_of(snapshot, slot);
  if (row.generation == generation) return;
  row.generation = generation;
  const auto& node = snapshot.slots[slot];
  const std::string* value = node ? node->label(label_) : nullptr;
  if (value && row.domain != kNone && names_[static_cast<size_t>(row.domain)] == *value) return;
  const int32_t old = row.domain;
  row.domain = value ? enter(*value) : kNone;
  if (old != kNone) leave(old);
}

int32_t TopologyKey::enter(const std::string& value) {
  auto [at, fresh] = numbers_.try_emplace(value, 0);
  if (fresh) {
    if (free_.empty()) {
      at->second = static_cast<int32_t>(names_.size());
      names_.emplace_back();
      nodes_.push_back(0);
    } else {
      at->second = free_.back();
      free_.pop_back();
    }
    names_[static_cast<size_t>(at->second)] = value;
  }
  ++nodes_[static_cast<size_t>(at->second)];
  return at->second;
}

void TopologyKey::leave(int32_t domain) {
  const auto at = static_cast<size_t>(domain);
  if (--nodes_[at] != 0) return;
  numbers_.erase(names_[at]);
  names_[at].clear();
  free_.push_back(domain);
}

// ---- PodCounts ----

void PodCounts::sync(const Snapshot& snapshot) {
  rule_.key->sync(snapshot);
  follow(snapshot, seen_, [&](uint32_t slot) { refresh(snapshot, slot); });
  if (pods_.size() < rule_.key->size()) {
    pods_.resize(rule_.key->size());
    nodes_.resize(rule_.key->size());
  }
}

void PodCounts::shift(const Row& row, int sign) {
  if (row.domain == TopologyKey::kNone) return;
  add_at(pods_, row.domain, sign * row.pods);
  add_at(nodes_, row.domain, sign);
  const int64_t nodes = nodes_[static_cast<size_t>(row.domain)];
  if (sign > 0 && nodes == 1) ++domains_;
  if (sign < 0 && nodes == 0) --domains_;
  total_ += sign * row.pods;
}

void PodCounts::refresh(const Snapshot& snapshot, uint32_t slot) {
  Row& row = row_at(rows_, snapshot, slot);
  const uint64_t generation = generation_of(snapshot, slot);
  if (row.generation == generation) return;
  shift(row, -1);
  row = {generation, TopologyKey::kNone, 0};
  const auto& node = snapshot.slots[slot];
  if (!node) return;
  for (const auto& pod : node->pods) row.pods += rule_.counts_pod(*pod, snapshot) ? 1 : 0;
  if (!rule_.counts_node || rule_.counts_node(*node)) row.domain = rule_.key->domain(slot);
  shift(row, 1);
}

// ---- CarriedTerms ----

void CarriedTerms::sync(const Snapshot& snapshot, Indexes& indexes) {
  follow(snapshot, seen_, [&](uint32_t slot) { refresh(snapshot, indexes, slot); });
}

void CarriedTerms::refresh(const Snapshot& snapshot, Indexes& indexes, uint32_t slot) {
  Row& row = row_at(rows_, snapshot, slot);
  const uint64_t generation = generation_of(snapshot, slot);
  if (row.generation == generation) return;
  const std::vector<Share> before = std::move(row.shares);
  row = {generation, {}};
  const auto& node = snapshot.slots[slot];
  if (node && node->pods_with_affinity > 0) {
    using Kind = CarriedTerm::Kind;
    for (const auto& pod : node->pods) {
      auto carry_all = [&](const std::vector<AffinityTerm>& terms, Kind kind) {
        for (const auto& term : terms) carry(term, kind, snapshot, indexes, slot);
      };
      carry_all(pod->required_affinity, Kind::kRequired);
      carry_all(pod->required_anti_affinity, Kind::kRequiredAnti);
      carry_all(pod->preferred_affinity, Kind::kPreferred);
      carry_all(pod->preferred_anti_affinity, Kind::kPreferredAnti);
    }
  }
  // The old shares last, so that a term that stays is not made anew.
  for (const auto& share : before) {
    if (share.domain != TopologyKey::kNone) add_at(share.term->pods, share.domain, -1);
    if (--share.term->total == 0) drop(share.term);
  }
}

void CarriedTerms::carry(const AffinityTerm& term, CarriedTerm::Kind kind, const Snapshot& snapshot,
                         Indexes& indexes, uint32_t slot) {
  const std::string id = static_cast<char>('0' + static_cast<int>(kind)) + term.id;
  TermPtr& kept = terms_[id];
  if (!kept) {
    kept = std::make_shared<CarriedTerm>();
    kept->kind = kind;
    kept->term = term;
    kept->key = indexes.key(term.topology_key, snapshot);
    const bool anywhere = term.namespace_selector.empty() || term.asks_namespaces();
    if (anywhere) by_namespace_[""][id] = kept;
    for (const auto& ns : term.namespaces) {
      if (!anywhere) by_namespace_[ns][id] = kept;
    }
  }
  kept->key->sync(snapshot);
  const int32_t domain = kept->key->domain(slot);
  if (domain != TopologyKey::kNone) add_at(kept->pods, domain, 1);
  ++kept->total;
  rows_[slot].shares.push_back({kept, domain});
}

void CarriedTerms::drop(const TermPtr& term) {
  const std::string id = static_cast<char>('0' + static_cast<int>(term->kind)) + term->term.id;
  auto forget = [&](const std::string& ns) {
    auto at = by_namespace_.find(ns);
    if (at == by_namespace_.end()) return;
    at->second.erase(id);
    if (at->second.empty()) by_namespace_.erase(at);
  };
  forget("");
  for (const auto& ns : term->term.namespaces) forget(ns);
  terms_.erase(id);
}

std::vector<CarriedTermPtr> CarriedTerms::matching(CarriedTerm::Kind kind, const PodInfo& pod,
                                                   const Snapshot& snapshot) const {
  std::vector<CarriedTermPtr> out;
  for (const auto& ns : {std::string(), pod.namespace_()}) {
    auto at = by_namespace_.find(ns);
    if (at == by_namespace_.end()) continue;
    // Ids begin with the kind.
    const std::string first(1, static_cast<char>('0' + static_cast<int>(kind)));
    for (auto of = at->second.lower_bound(first); of != at->second.end(); ++of) {
      const TermPtr& term = of->second;
      if (term->kind != kind) break;
      if (!term_matches(term->term, pod, snapshot)) continue;
      term->key->sync(snapshot);
      out.push_back(term);
    }
  }
  return out;
}

// ---- Indexes ----

TopologyKeyPtr Indexes::key(const std::string& label, const Snapshot& snapshot) {
  if (keys_.size() >= kKeysMax && !keys_.contains(label)) {
    std::erase_if(keys_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  auto& kept = keys_[label];
  if (!kept) kept = std::make_shared<TopologyKey>(label);
  kept->sync(snapshot);
  return kept;
}

std::shared_ptr<const PodCounts> Indexes::counts(const std::string& id, const Snapshot& snapshot,
                                                 const std::function<PodCounts::Rule()>& rule) {
  if (id.empty()) {
    auto fresh = std::make_shared<PodCounts>(rule());
    fresh->sync(snapshot);
    return fresh;
  }
  if (counts_.size() >= kCountsMax && !counts_.contains(id)) forget_oldest();
  Kept& kept = counts_[id];
  if (!kept.counts) kept.counts = std::make_shared<PodCounts>(rule());
  kept.used = ++uses_;
  kept.counts->sync(snapshot);
  return kept.counts;
}

void Indexes::forget_oldest() {
  auto oldest = std::min_element(counts_.begin(), counts_.end(), [](const auto& a, const auto& b) {
    return a.second.used < b.second.used;
  });
  if (oldest != counts_.end()) counts_.erase(oldest);
}

const CarriedTerms& Indexes::carried(const Snapshot& snapshot) {
  carried_.sync(snapshot, *this);
  return carried_;
}

}  // namespace orch::server::scheduler
