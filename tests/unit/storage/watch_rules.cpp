#include "unit/storage/watch_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "storage/key_range.h"

namespace orch::storage::test {
namespace {

class Rules {
 public:
  Rules(const WatchRecord& record, const std::vector<Event>& history, Revision compacted)
      : record_(record),
        history_(history),
        range_{record.key, record.range_end},
        compacted_(compacted) {}

  std::vector<std::string> run() {
    check_responses();
    check_reliable();
    check_state();
    return std::move(violations_);
  }

 private:
  template <class... Args>
  void violation(fmt::format_string<Args...> f, Args&&... args) {
    violations_.push_back(fmt::format(f, std::forward<Args>(args)...));
  }

  void check_responses() {
    Revision last = 0, progress = 0;
    std::set<std::pair<Revision, std::string>> seen;
    for (const WatchResponse& response : record_.responses) {
      for (size_t i = 0; i < response.events.size(); ++i) {
        const Event& event = response.events[i];
        const Revision revision = event.kv.mod_revision;
        if (!range_.contains(*event.kv.key)) violation("filter: {} is not in range", *event.kv.key);
        if (revision < last) violation("ordered: {} after {}", revision, last);
        if (i == 0 && revision == last) violation("atomic: {} in two responses", revision);
        if (!seen.emplace(revision, *event.kv.key).second) violation("unique: {} twice", revision);
        if (revision <= progress)
          violation("bookmarkable: {} after bookmark {}", revision, progress);
        if (revision > response.through)
          violation("bookmarkable: {} beyond its response", revision);
        last = revision;
      }
      if (response.through < progress) violation("bookmarkable: {} goes back", response.through);
      progress = std::max(progress, response.through);
    }
    through_ = progress;
  }

  // What was received is the history between where it began and where it ended.
  void check_reliable() {
    std::vector<const Event*> received;
    for (const WatchResponse& response : record_.responses) {
      for (const Event& event : response.events) received.push_back(&event);
    }
    Revision first = record_.start;
    if (first == 0 && received.empty()) return;
    if (first == 0) first = received.front()->kv.mod_revision;
    std::vector<const Event*> expected;
    for (const Event& event : history_) {
      const Revision revision = event.kv.mod_revision;
      if (revision >= first && revision <= through_ && range_.contains(*event.kv.key)) {
        expected.push_back(&event);
      }
    }
    if (!received.empty() && !expected.empty() &&
        received.front()->kv.mod_revision != expected.front()->kv.mod_revision) {
      violation("resumable: from {} the first event is {} instead of {}", first,
                received.front()->kv.mod_revision, expected.front()->kv.mod_revision);
    }
    const size_t both = std::min(received.size(), expected.size());
    for (size_t i = 0; i < both; ++i) {
      if (same(*received[i], *expected[i])) continue;
      violation("reliable: event {} is revision {} of {} instead of {} of {}", i,
                received[i]->kv.mod_revision, *received[i]->kv.key, expected[i]->kv.mod_revision,
                *expected[i]->kv.key);
      return;
    }
    if (received.size() != expected.size()) {
      violation("reliable: {} events instead of {} up to {}", received.size(), expected.size(),
                through_);
    }
  }

  static bool same(const Event& a, const Event& b) {
    return a.type == b.type && *a.kv.key == *b.kv.key && a.kv.mod_revision == b.kv.mod_revision &&
           a.kv.create_revision == b.kv.create_revision && a.kv.version == b.kv.version &&
           text(a.kv.value) == text(b.kv.value);
  }

  void check_state() {
    std::map<std::string, KeyValue> state;  // by replaying the history
    size_t at = 0;
    for (const WatchResponse& response : record_.responses) {
      for (const Event& event : response.events) {
        for (; at < history_.size() && history_[at].kv.mod_revision < event.kv.mod_revision; ++at) {
          const Event& past = history_[at];
          if (past.type == Event::Type::kPut) {
            state[*past.kv.key] = past.kv;
          } else {
            state.erase(*past.kv.key);
          }
        }
        const auto before = state.find(*event.kv.key);
        const bool there = before != state.end();
        if (event.type == Event::Type::kPut &&
            (event.kv.create_revision == event.kv.mod_revision) == there) {
          violation("is-create: {} at {}", *event.kv.key, event.kv.mod_revision);
        }
        const bool told = event.prev_kv.key != nullptr;
        if (!told && event.kv.mod_revision <= compacted_) continue;
        if (told != there || (there && (event.prev_kv.mod_revision != before->second.mod_revision ||
                                        text(event.prev_kv.value) != text(before->second.value)))) {
          violation("prev-kv: {} at {}", *event.kv.key, event.kv.mod_revision);
        }
      }
    }
  }

  const WatchRecord& record_;
  const std::vector<Event>& history_;
  const KeyRange range_;
  const Revision compacted_;
  Revision through_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> check_watch(const WatchRecord& record, const std::vector<Event>& history,
                                     Revision compacted) {
  return Rules(record, history, compacted).run();
}

// -- a watcher with habits

struct Watcher::Sink final : WatchSink {
  std::mutex mutex;
  WatchRecord record;
  std::optional<Error> ended;
  bool slow = false;
  size_t offers = 0;

  bool offer(const std::vector<const Event*>& events, const EventBatch&,
             Revision through) override {
    std::lock_guard lock(mutex);
    if (slow && ++offers % 23 == 0) return false;  // its buffer is full
    WatchResponse response;
    for (const Event* event : events) response.events.push_back(*event);
    response.through = through;
    record.responses.push_back(std::move(response));
    return true;
  }
  void closed(const Error& why) override {
    std::lock_guard lock(mutex);
    ended = why;
  }
};

Watcher::Watcher(KvStore& store, std::string key, std::string range_end, Revision start,
                 Habits habits)
    : store_(store), key_(std::move(key)), range_end_(std::move(range_end)), habits_(habits) {
  begin(start);
}

Watcher::~Watcher() { handle_.reset(); }

void Watcher::begin(Revision start) {
  sink_ = std::make_shared<Sink>();
  sink_->record.key = key_;
  sink_->record.range_end = range_end_;
  sink_->record.start = start;
  sink_->slow = habits_.slow;
  auto handle = store_.watch(key_, range_end_, start, sink_);
  if (handle) {
    handle_ = std::move(*handle);
  } else {
    sink_->ended = handle.error();
  }
}

bool Watcher::tend() {
  std::optional<Error> ended;
  Revision through = 0;
  size_t responses = 0;
  {
    std::lock_guard lock(sink_->mutex);
    ended = sink_->ended;
    responses = sink_->record.responses.size();
    through = responses ? sink_->record.responses.back().through
                        : std::max<Revision>(0, sink_->record.start - 1);
  }
  if (!ended && habits_.asks_progress) handle_->request_progress();
  if (!ended && responses < habits_.responses) return true;
  handle_.reset();
  {
    std::lock_guard lock(sink_->mutex);
    if (!sink_->record.responses.empty()) through = sink_->record.responses.back().through;
    records_.push_back(std::move(sink_->record));
  }
  const bool compacted = ended && ended->code == ErrorCode::kCompacted;
  begin(compacted ? ended->compact_revision : through > 0 ? through + 1 : 0);
  return !compacted;
}

std::vector<WatchRecord> Watcher::finish(Revision revision) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    {
      std::lock_guard lock(sink_->mutex);
      const auto& responses = sink_->record.responses;
      if (!responses.empty() && responses.back().through >= revision) break;
    }
    if (tend() && handle_) handle_->request_progress();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  handle_.reset();
  records_.push_back(std::move(sink_->record));
  return std::move(records_);
}

}  // namespace orch::storage::test
