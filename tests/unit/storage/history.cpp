#include "unit/storage/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace orch::storage::test {

namespace {

class Checker {
 public:
  Checker(const std::vector<OpRecord>& ops, const std::vector<Event>& events)
      : ops_(ops), events_(events) {}

  std::vector<std::string> run() {
    check_log();
    match_writes();
    check_real_time();
    check_reads();
    return std::move(violations_);
  }

 private:
  template <class... Args>
  void violation(fmt::format_string<Args...> f, Args&&... args) {
    violations_.push_back(fmt::format(f, std::forward<Args>(args)...));
  }
  static std::string value_of(const Event& event) {
    return event.type == Event::Type::kPut && event.kv.value ? *event.kv.value : "";
  }
  const Event* at(Revision revision) const {
    const auto index = static_cast<size_t>(revision - 2);
    return revision >= 2 && index < events_.size() ? &events_[index] : nullptr;
  }
  static bool effective(const OpRecord& op) {
    return op.outcome == OpRecord::Outcome::kOk && op.type != OpRecord::Type::kGet &&
           (op.type != OpRecord::Type::kErase || op.changed);
  }

  // The log itself: dense, and every event follows from the one before it.
  void check_log() {
    std::map<std::string, KeyValue> state;
    Revision expected = 2;
    for (const Event& event : events_) {
      if (event.kv.mod_revision != expected) {
        violation("event of revision {} where {} belongs", event.kv.mod_revision, expected);
        return;
      }
      ++expected;
      KeyValue& known = state[*event.kv.key];
      const Revision previous = event.prev_kv.key ? event.prev_kv.mod_revision : 0;
      if (previous != known.mod_revision) {
        violation("revision {} replaces {} instead of {}", event.kv.mod_revision, previous,
                  known.mod_revision);
      }
      const bool put = event.type == Event::Type::kPut;
      if (put && event.kv.version != known.version + 1) {
        violation("revision {} has version {}", event.kv.mod_revision, event.kv.version);
      }
      if (!put && known.version == 0) violation("revision {} deletes nothing", expected - 1);
      states_[*event.kv.key].emplace_back(event.kv.mod_revision, put ? value_of(event) : "");
      known = put ? event.kv : KeyValue{};
    }
  }

  // Acknowledged writes are in the log, failed ones are not, and nothing else is.
  void match_writes() {
    std::map<std::string, Revision> by_value;
    std::map<Revision, int> claims;
    for (const Event& event : events_) {
      if (event.type == Event::Type::kPut) by_value[value_of(event)] = event.kv.mod_revision;
    }
    for (const OpRecord& op : ops_) {
      const bool writes_value = op.type == OpRecord::Type::kPut || op.type == OpRecord::Type::kCas;
      if (effective(op)) {
        const Event* event = at(op.revision);
        if (!event || *event->kv.key != op.key ||
            (writes_value ? value_of(*event) != op.value : event->type != Event::Type::kDelete)) {
          violation("client {}: acknowledged write of {} is not at revision {}", op.client, op.key,
                    op.revision);
        }
        ++claims[op.revision];
      } else if (writes_value && op.outcome != OpRecord::Outcome::kLost &&
                 by_value.count(op.value)) {
        violation("client {}: refused write {} is at revision {}", op.client, op.value,
                  by_value[op.value]);
      } else if (op.outcome == OpRecord::Outcome::kLost && by_value.count(op.value)) {
        ++claims[by_value[op.value]];
      }
    }
    for (const Event& event : events_) {
      const int claimed = claims[event.kv.mod_revision];
      if (claimed != 1) {
        violation("revision {} was written by {} clients", event.kv.mod_revision, claimed);
      }
    }
  }

  // An operation comes after all that returned before it was called.
  void check_real_time() {
    struct Moment {
      int64_t time;
      bool call;
      size_t op;
      bool operator<(const Moment& other) const {
        return time != other.time ? time < other.time : call > other.call;
      }
    };
    std::vector<Moment> moments;
    for (size_t i = 0; i < ops_.size(); ++i) {
      const auto outcome = ops_[i].outcome;
      if (outcome == OpRecord::Outcome::kLost || outcome == OpRecord::Outcome::kFailed) continue;
      moments.push_back({ops_[i].called, true, i});
      moments.push_back({ops_[i].returned, false, i});
    }
    std::sort(moments.begin(), moments.end());
    Revision newest = 1;
    std::vector<Revision> floor(ops_.size(), 0);
    std::map<Revision, int64_t> called;  // of the writes
    for (const OpRecord& op : ops_) {
      if (effective(op)) called[op.revision] = op.called;
    }
    for (const Moment& moment : moments) {
      const OpRecord& op = ops_[moment.op];
      if (moment.call) {
        floor[moment.op] = newest;
        continue;
      }
      newest = std::max(newest, op.revision);
      const Revision least = floor[moment.op] + (effective(op) ? 1 : 0);
      if (op.revision < least) {
        violation("client {}: answered at revision {} after {} was acknowledged", op.client,
                  op.revision, floor[moment.op]);
      }
      if (auto write = called.find(op.revision);
          write != called.end() && write->second > op.returned) {
        violation("client {}: saw revision {} before it was asked for", op.client, op.revision);
      }
    }
  }

  // What key held at `revision`: value ("" = none) and mod revision.
  std::pair<std::string, Revision> value_at(const std::string& key, Revision revision) const {
    auto it = states_.find(key);
    if (it == states_.end()) return {"", 0};
    auto after = std::upper_bound(it->second.begin(), it->second.end(), revision,
                                  [](Revision r, const auto& entry) { return r < entry.first; });
    if (after == it->second.begin()) return {"", 0};
    const auto& [mod, value] = *std::prev(after);
    return {value, value.empty() ? 0 : mod};
  }

  void check_reads() {
    for (const OpRecord& op : ops_) {
      if (op.outcome == OpRecord::Outcome::kFailed || op.outcome == OpRecord::Outcome::kLost) {
        continue;
      }
      if (op.type == OpRecord::Type::kGet && value_at(op.key, op.revision).first != op.value) {
        violation("client {}: read {}={} at {} instead of {}", op.client, op.key, op.value,
                  op.revision, value_at(op.key, op.revision).first);
      }
      if (op.type == OpRecord::Type::kErase && !op.changed &&
          value_at(op.key, op.revision).second != 0) {
        violation("client {}: found no {} to delete at {}", op.client, op.key, op.revision);
      }
      if (op.type != OpRecord::Type::kCas) continue;
      const bool ok = op.outcome == OpRecord::Outcome::kOk;
      const Revision mod = value_at(op.key, ok ? op.revision - 1 : op.revision).second;
      if ((mod == op.expected) != ok) {
        violation("client {}: compare with {} {} at {} where {} was", op.client, op.expected,
                  ok ? "held" : "failed", op.revision, mod);
      }
    }
  }

  const std::vector<OpRecord>& ops_;
  const std::vector<Event>& events_;
  std::map<std::string, std::vector<std::pair<Revision, std::string>>> states_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> check_history(const std::vector<OpRecord>& ops,
                                       const std::vector<Event>& events) {
  return Checker(ops, events).run();
}

}  // namespace orch::storage::test
