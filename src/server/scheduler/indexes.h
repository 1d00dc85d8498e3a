// What the scheduler's cycle needs to know of pods by topology domain, kept up to date in steps
// instead of being counted anew for each pod: sync() looks only at the nodes that changed since.
// Owned by a Snapshot; the cycle's thread only. The vectors handed out stay as they are until the
// next cycle asks again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/scheduler/snapshot.h"

namespace orch::server::scheduler {

// The domains of one topology key, numbered: the values of a label of nodes. Numbers of domains
// without nodes are given out again.
class TopologyKey {
 public:
  static constexpr int32_t kNone = -1;
  explicit TopologyKey(std::string label) : label_(std::move(label)) {}
  const std::string& label() const { return label_; }
  void sync(const Snapshot& snapshot);
  int32_t domain(uint32_t slot) const { return slot < rows_.size() ? rows_[slot].domain : kNone; }
  size_t size() const { return names_.size(); }  // all numbers are below

 private:
  struct Row {
    uint64_t generation = 0;
    int32_t domain = kNone;
  };
  void refresh(const Snapshot& snapshot, uint32_t slot);
  int32_t enter(const std::string& value);
  void leave(int32_t domain);

  std::string label_;
  uint64_t seen_ = 0;
  std::vector<Row> rows_;  // by slot
  std::unordered_map<std::string, int32_t> numbers_;
  std::vector<std::string> names_;  // by number
  std::vector<uint32_t> nodes_;     // by number
  std::vector<int32_t> free_;
};
using TopologyKeyPtr = std::shared_ptr<TopologyKey>;

// How many pods of some kind there are, by domain of one key.
class PodCounts {
 public:
  struct Rule {
    TopologyKeyPtr key;
    std::function<bool(const NodeInfo&)> counts_node;  // null = every one that has the label
    std::function<bool(const PodInfo&, const Snapshot&)> counts_pod;
  };
  explicit PodCounts(Rule rule) : rule_(std::move(rule)) {}
  void sync(const Snapshot& snapshot);

  const TopologyKeyPtr& key() const { return rule_.key; }
  // TopologyKey::kNone: the node does not count.
  int32_t domain(uint32_t slot) const {
    return slot < rows_.size() ? rows_[slot].domain : TopologyKey::kNone;
  }
  int64_t on_node(uint32_t slot) const { return slot < rows_.size() ? rows_[slot].pods : 0; }
  const std::vector<int64_t>& pods() const { return pods_; }  // by domain
  int64_t nodes(int32_t domain) const { return nodes_[static_cast<size_t>(domain)]; }
  int64_t total() const { return total_; }
  int64_t domains() const { return domains_; }  // those with a node that counts

 private:
  struct Row {
    uint64_t generation = 0;
    int32_t domain = TopologyKey::kNone;
    int32_t pods = 0;
  };
  void refresh(const Snapshot& snapshot, uint32_t slot);
  void shift(const Row& row, int sign);

  Rule rule_;
  uint64_t seen_ = 0;
  std::vector<Row> rows_;  // by slot
  std::vector<int64_t> pods_, nodes_;
  int64_t total_ = 0, domains_ = 0;
};

// A term of affinity that running pods carry, and how many of them do by domain.
struct CarriedTerm {
  enum class Kind { kRequired, kRequiredAnti, kPreferred, kPreferredAnti };
  Kind kind = Kind::kRequired;
  AffinityTerm term;
  TopologyKeyPtr key;
  std::vector<int64_t> pods;  // by domain
  int64_t total = 0;
};
using CarriedTermPtr = std::shared_ptr<const CarriedTerm>;

// Equal terms are kept once: pods made by one owner carry the same.
class CarriedTerms {
 public:
  void sync(const Snapshot& snapshot, Indexes& indexes);
  // Those of `kind` that mean `pod`.
  std::vector<CarriedTermPtr> matching(CarriedTerm::Kind kind, const PodInfo& pod,
                                       const Snapshot& snapshot) const;

 private:
  using TermPtr = std::shared_ptr<CarriedTerm>;
  struct Share {
    TermPtr term;
    int32_t domain = TopologyKey::kNone;
  };
  struct Row {
    uint64_t generation = 0;
    std::vector<Share> shares;
  };
  using ById = std::map<std::string, TermPtr>;
  void refresh(const Snapshot& snapshot, Indexes& indexes, uint32_t slot);
  void carry(const AffinityTerm& term, CarriedTerm::Kind kind, const Snapshot& snapshot,
             Indexes& indexes, uint32_t slot);
  void drop(const TermPtr& term);

  uint64_t seen_ = 0;
  std::vector<Row> rows_;  // by slot
  ById terms_;
  std::map<std::string, ById> by_namespace_;  // "" = terms that may mean any
};

class Indexes {
 public:
  TopologyKeyPtr key(const std::string& label, const Snapshot& snapshot);
  // Those called `id`, made with `rule` if there are none yet; the same id must mean the same rule.
  // An empty id: not kept.
  std::shared_ptr<const PodCounts> counts(const std::string& id, const Snapshot& snapshot,
                                          const std::function<PodCounts::Rule()>& rule);
  const CarriedTerms& carried(const Snapshot& snapshot);

 private:
  struct Kept {
    std::shared_ptr<PodCounts> counts;
    uint64_t used = 0;
  };
  void forget_oldest();

  std::map<std::string, TopologyKeyPtr> keys_;
  std::map<std::string, Kept> counts_;
  CarriedTerms carried_;
  uint64_t uses_ = 0;
};

}  // namespace orch::server::scheduler
