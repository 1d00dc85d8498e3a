#include "unit/storage/linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <unordered_set>

namespace orch::storage::test {
namespace {

using Type = OpRecord::Type;
using Outcome = OpRecord::Outcome;

constexpr size_t kStatesMax = 4'000'000;

struct Cell {
  size_t value = 0;  // hash, 0 = the key is not there
  Revision mod = 0;
  bool operator==(const Cell&) const = default;
};
struct State {
  Revision revision = 1;
  std::vector<Cell> cells;
};

struct Op {
  const OpRecord* record;
  size_t key = 0, value = 0;
  bool lost = false;
};

size_t hash_of(const std::string& value) {
  return value.empty() ? 0 : std::hash<std::string>{}(value) | 1;
}

// The next state, if the operation's answer is what the model would have answered.
bool step(const Op& op, State& state) {
  const OpRecord& record = *op.record;
  const bool counted = state.revision >= 0;
  Cell& cell = state.cells[op.key];
  const bool compares = record.type == Type::kCas;
  const bool holds = !compares || cell.mod == record.expected;
  const bool changes = record.type == Type::kPut || (compares && holds) ||
                       (record.type == Type::kErase && cell.value != 0);
  if (!op.lost) {
    if (record.type == Type::kGet && cell.value != op.value) return false;
    if (compares && holds != (record.outcome == Outcome::kOk)) return false;
    if (record.type == Type::kErase && changes != record.changed) return false;
    const Revision expected = state.revision + (changes ? 1 : 0);
    if (counted && record.revision != expected) return false;
  }
  if (!changes) return !op.lost;  // a lost one that changes nothing may as well not have been
  if (counted) ++state.revision;
  const Revision mod = counted ? state.revision : record.revision;
  cell = record.type == Type::kErase ? Cell{} : Cell{op.value, mod};
  return true;
}

// A call or an answer, in a list from which what is done is taken out.
struct Entry {
  size_t op = 0;
  bool call = false;
  int match = -1;  // the answer of a call
  int next = -1, previous = -1;
};

class Search {
 public:
  Search(const std::vector<OpRecord>& records, Revision first) {
    state_.revision = first;
    std::map<std::string, size_t> keys;
    for (const OpRecord& record : records) {
      if (record.outcome == Outcome::kFailed) continue;
      const bool lost = record.outcome == Outcome::kLost;
      if (lost && record.type == Type::kGet) continue;
      const size_t key = keys.emplace(record.key, keys.size()).first->second;
      ops_.push_back({&record, key, hash_of(record.value), lost});
    }
    state_.cells.resize(keys.size());
    make_entries();
    std::mt19937_64 random(7);
    for (size_t i = 0; i < ops_.size(); ++i) marks_.push_back(random());
  }

  Verdict run() {
    int at = entries_[kHead].next;
    size_t deepest = 0;
    Verdict verdict;
    while (open_ > 0) {
      if (at < 0 || !entries_[static_cast<size_t>(at)].call) {
        // An answer whose call is not explained yet: take back the last choice.
        if (chosen_.empty()) return verdict;
        if (at >= 0 && chosen_.size() >= deepest) {
          deepest = chosen_.size();
          verdict.stuck_at = text(ops_[entries_[static_cast<size_t>(at)].op]);
        }
        at = take_back();
        continue;
      }
      const auto index = static_cast<size_t>(at);
      const Op& op = ops_[entries_[index].op];
      State next = state_;
      if (step(op, next) && within_reach(next) &&
          seen_.insert(fingerprint(next, entries_[index].op)).second) {
        if (seen_.size() > kStatesMax) {
          verdict.decided = false;
          return verdict;
        }
        choose(at, std::move(next));
        at = entries_[kHead].next;
      } else {
        at = entries_[index].next;
      }
    }
    verdict.linearizable = true;
    return verdict;
  }

 private:
  static constexpr size_t kHead = 0;

  // Revisions only grow: nobody may be left who was answered at an older one.
  bool within_reach(const State& state) const {
    return unexplained_.empty() || state.revision < 0 ||
           unexplained_.begin()->first >= state.revision;
  }
  void count(const Entry& entry, int by) {
    const Revision revision = ops_[entry.op].record->revision;
    if ((unexplained_[revision] += by) == 0) unexplained_.erase(revision);
  }

  void make_entries() {
    struct Moment {
      int64_t time;
      bool call;
      size_t op;
    };
    std::vector<Moment> moments;
    for (size_t i = 0; i < ops_.size(); ++i) {
      moments.push_back({ops_[i].record->called, true, i});
      if (ops_[i].lost) continue;
      moments.push_back({ops_[i].record->returned, false, i});
      ++open_;
      ++unexplained_[ops_[i].record->revision];
    }
    std::sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) {
      return a.time != b.time ? a.time < b.time : a.call > b.call;
    });
    entries_.resize(moments.size() + 1);
    std::vector<int> call_of(ops_.size(), -1);
    for (size_t i = 0; i < moments.size(); ++i) {
      Entry& entry = entries_[i + 1];
      const int self = static_cast<int>(i + 1);
      entry.op = moments[i].op;
      entry.call = moments[i].call;
      entry.previous = self - 1;
      entries_[i].next = self;
      if (entry.call) {
        call_of[entry.op] = self;
      } else {
        entries_[static_cast<size_t>(call_of[entry.op])].match = self;
      }
    }
  }

  void unlink(int at) {
    const Entry& entry = entries_[static_cast<size_t>(at)];
    entries_[static_cast<size_t>(entry.previous)].next = entry.next;
    if (entry.next >= 0) entries_[static_cast<size_t>(entry.next)].previous = entry.previous;
  }
  void link(int at) {
    const Entry& entry = entries_[static_cast<size_t>(at)];
    entries_[static_cast<size_t>(entry.previous)].next = at;
    if (entry.next >= 0) entries_[static_cast<size_t>(entry.next)].previous = at;
  }
  void choose(int at, State next) {
    const Entry& entry = entries_[static_cast<size_t>(at)];
    chosen_.emplace_back(at, std::exchange(state_, std::move(next)));
    done_ ^= marks_[entry.op];
    unlink(at);
    if (entry.match >= 0) {
      unlink(entry.match);
      --open_;
      count(entry, -1);
    }
  }
  int take_back() {
    auto [at, state] = std::move(chosen_.back());
    chosen_.pop_back();
    state_ = std::move(state);
    const Entry& entry = entries_[static_cast<size_t>(at)];
    done_ ^= marks_[entry.op];
    if (entry.match >= 0) {
      link(entry.match);
      ++open_;
      count(entry, 1);
    }
    link(at);
    return entry.next;
  }
  // Which operations are done, and the state they lead to.
  uint64_t fingerprint(const State& state, size_t op) const {
    uint64_t sum = done_ ^ marks_[op];
    const auto mix = [&](uint64_t value) {
      sum = (sum ^ value) * 0x9e3779b97f4a7c15u;
      sum ^= sum >> 29;
    };
    mix(static_cast<uint64_t>(state.revision));
    for (const Cell& cell : state.cells) {
      mix(cell.value);
      mix(static_cast<uint64_t>(cell.mod));
    }
    return sum;
  }
  static std::string text(const Op& op) {
    const OpRecord& r = *op.record;
    return fmt::format("client {}: type {} {}={} at revision {} (outcome {})", r.client,
                       static_cast<int>(r.type), r.key, r.value, r.revision,
                       static_cast<int>(r.outcome));
  }

  std::vector<Op> ops_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> marks_;
  std::vector<std::pair<int, State>> chosen_;
  std::unordered_set<uint64_t> seen_;
  State state_;
  uint64_t done_ = 0;
  size_t open_ = 0;                      // that must still be explained
  std::map<Revision, int> unexplained_;  // how many of them were answered at each revision
};

}  // namespace

Verdict check_linearizable(const std::vector<OpRecord>& ops, Revision first_revision) {
  return Search(ops, first_revision).run();
}

}  // namespace orch::storage::test
