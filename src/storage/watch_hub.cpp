#include "storage/watch_hub.h"

#include <algorithm>

#include "storage/errors.h"
#include "storage/mutants.h"
#include "storage/store_metrics.h"

namespace orch::storage {

namespace {

constexpr size_t kLiveEvents = 4096;  // of one live turn
constexpr size_t kReplayScan = 4096;  // events looked at in one replay turn
const std::vector<const Event*> kNoEvents;

}  // namespace

struct WatchHub::Watcher {
  Range range;
  std::shared_ptr<WatchSink> sink;
  Revision next = 0;  // the lowest revision not yet offered; the dispatcher's
  // Held during every call into the sink. Recursive: a sink may drop the handle in closed().
  std::recursive_mutex calls;
  std::atomic<bool> done{false};

  Watcher() { store_metrics::watchers().add(1); }
  ~Watcher() { store_metrics::watchers().add(-1); }
  KeyRange key_range() const { return {range.key, range.end}; }

  // False: the watch has ended.
  bool offer(const std::vector<const Event*>& events, const EventBatch& keep, Revision through) {
    std::lock_guard lock(calls);
    if (done) return false;
    if (sink->offer(events, keep, through)) {
      if (!events.empty()) store_metrics::watch_events().add(static_cast<double>(events.size()));
      return true;
    }
    if (!done.exchange(true)) {
      store_metrics::watchers_cut().add();
      sink->closed(Error{ErrorCode::kUnavailable, "the watcher does not keep up"});
    }
    return false;
  }
  void close(const Error& why) {
    std::lock_guard lock(calls);
    if (!done.exchange(true)) sink->closed(why);
  }
  void end() {
    std::lock_guard lock(calls);
    done = true;
  }
};

struct WatchHub::Group {
  Range range;
  std::vector<WatcherPtr> watchers;
  std::vector<const Event*> pending;  // of the commit being dispatched
};

struct WatchHub::Handle final : WatchHandle {
  Handle(std::shared_ptr<WatchHub> hub, WatcherPtr watcher)
      : hub_(std::move(hub)), watcher_(std::move(watcher)) {}
  ~Handle() override {
    watcher_->end();
    {
      std::lock_guard lock(hub_->mutex_);
      hub_->ended_.insert(watcher_->range);
    }
    hub_->wake();
  }
  void request_progress() override { hub_->request_progress(watcher_); }

 private:
  const std::shared_ptr<WatchHub> hub_;
  const WatcherPtr watcher_;
};

WatchHub::WatchHub(const Mvcc& mvcc, Fetch fetch, std::function<void()> wake)
    : mvcc_(mvcc), fetch_(std::move(fetch)), wake_(std::move(wake)) {}

WatchHub::~WatchHub() = default;

void WatchHub::wake() {
  if (!stopped_) wake_();
}

std::unique_ptr<WatchHandle> WatchHub::add(std::string key, std::string range_end, Revision start,
                                           std::shared_ptr<WatchSink> sink) {
  auto watcher = std::make_shared<Watcher>();
  watcher->range = {std::move(key), std::move(range_end)};
  watcher->sink = std::move(sink);
  watcher->next = start;
  {
    std::lock_guard lock(mutex_);
    fresh_.push_back(watcher);
  }
  // stop() takes fresh_ after it has set the flag: a watcher is closed by one of the two.
  if (stopped_) watcher->close(stopped_error());
  wake();
  return std::make_unique<Handle>(shared_from_this(), watcher);
}

void WatchHub::request_progress(const WatcherPtr& watcher) {
  {
    std::lock_guard lock(mutex_);
    progress_.push_back(watcher);
  }
  wake();
}

void WatchHub::run() {
  std::lock_guard lock(run_mutex_);
  while (!stopped_) {
    bool busy = take_requests();
    busy |= dispatch_live();
    busy |= replay_some();
    if (!busy) return;
  }
}

bool WatchHub::take_requests() {
  std::vector<WatcherPtr> fresh, progress;
  {
    std::lock_guard lock(mutex_);
    fresh.swap(fresh_);
    progress.swap(progress_);
  }
  drop_ended();
  for (WatcherPtr& watcher : fresh) {
    if (watcher->next > dispatched()) {
      join(watcher);
    } else {
      replaying_.push_back(std::move(watcher));
    }
  }
  if (progress.empty()) return false;
  // What was published before the request comes before its answer.
  while (!stopped_ && dispatch_live()) {
  }
  for (WatcherPtr& watcher : progress) {
    if (watcher->done) continue;
    const bool behind =
        std::find(replaying_.begin(), replaying_.end(), watcher) != replaying_.end();
    if (behind) {
      std::lock_guard lock(mutex_);
      progress_.push_back(std::move(watcher));
    } else if (!watcher->offer(kNoEvents, nullptr,
                               dispatched() + (ORCH_MUTANT("bookmark early") ? 50 : 0))) {
      std::lock_guard lock(mutex_);
      ended_.insert(watcher->range);
    }
  }
  return false;  // those that are behind keep replay_some() busy
}

StoreResult<EventBatch> WatchHub::complete(const HistoryChunk& chunk) {
  if (chunk.events) return chunk.events;
  if (!chunk.missing.empty()) {
    std::vector<int64_t> ids;
    ids.reserve(chunk.missing.size());
    for (const MissingValue& missing : chunk.missing) ids.push_back(missing.id);
    ORCH_TRY(std::vector<Bytes> values, fetch_(ids));
    for (size_t i = 0; i < values.size(); ++i) {
      const MissingValue& missing = chunk.missing[i];
      if (!values[i]) return Err(compacted_error(id_revision(missing.id), mvcc_.compacted()));
      Event& event = (*chunk.rebuilt)[missing.index];
      (missing.previous ? event.prev_kv : event.kv).value = std::move(values[i]);
    }
  }
  return EventBatch(chunk.rebuilt);
}

bool WatchHub::dispatch_live() {
  const auto chunks = mvcc_.read(dispatched(), INT64_MAX, kLiveEvents, nullptr);
  for (const HistoryChunk& chunk : chunks) {
    if (stopped_) return false;
    if (!ORCH_MUTANT("watch gap") || chunk.through % 64 != 0) dispatch(chunk);
    dispatched_.store(chunk.through, std::memory_order_release);
    store_metrics::watch_lag().set(static_cast<double>(mvcc_.published() - chunk.through));
  }
  return !chunks.empty();
}

void WatchHub::dispatch(const HistoryChunk& chunk) {
  if (groups_.empty()) return;
  auto batch = complete(chunk);
  if (!batch) {
    // Only when dispatching fell so far behind that values were shed and then could not be read.
    for (auto& [range, group] : groups_) {
      for (const WatcherPtr& watcher : group->watchers) watcher->close(batch.error());
      std::lock_guard lock(mutex_);
      ended_.insert(range);
    }
    return;
  }
  const auto touch = [&](Group& group, const Event& event) {
    if (group.pending.empty()) touched_.push_back(&group);
    group.pending.push_back(&event);
  };
  for (const Event& event : **batch) {
    const std::string_view key = *event.kv.key;
    if (auto it = exact_.find(key); it != exact_.end()) touch(*it->second, event);
    for (const auto& [length, uses] : prefix_lengths_) {
      if (length > key.size()) break;
      auto it = prefixes_.find(key.substr(0, length));
      if (it != prefixes_.end()) touch(*it->second, event);
    }
    for (const auto& group : other_) {
      if (KeyRange{group->range.key, group->range.end}.contains(key)) touch(*group, event);
    }
  }
  for (Group* group : touched_) group_offer(*group, *batch, chunk.through);
  touched_.clear();
}

void WatchHub::group_offer(Group& group, const EventBatch& batch, Revision through) {
  bool ended = false;
  for (const WatcherPtr& watcher : group.watchers) {
    if (through < watcher->next) continue;
    bool alive;
    if (group.pending.front()->kv.mod_revision >= watcher->next) {
      alive = watcher->offer(group.pending, batch, through);
    } else {
      std::vector<const Event*> wanted;
      for (const Event* event : group.pending) {
        if (event->kv.mod_revision >= watcher->next) wanted.push_back(event);
      }
      alive = wanted.empty() ? !watcher->done : watcher->offer(wanted, batch, through);
    }
    watcher->next = through + 1;
    ended |= !alive;
  }
  group.pending.clear();
  if (ended) {
    std::lock_guard lock(mutex_);
    ended_.insert(group.range);
  }
}

bool WatchHub::replay_some() {
  store_metrics::slow_watchers().set(static_cast<double>(replaying_.size()));
  if (replaying_.empty()) return false;
  for (const WatcherPtr& watcher : replaying_) {
    if (stopped_) return false;
    replay(watcher);
  }
  std::erase_if(replaying_, [&](const WatcherPtr& watcher) {
    if (watcher->done) return true;
    if (watcher->next <= dispatched()) return false;
    join(watcher);
    return true;
  });
  return true;
}

// One chunk of the log, never past the dispatcher's position.
void WatchHub::replay(const WatcherPtr& watcher) {
  if (watcher->done) return;
  const KeyRange range = watcher->key_range();
  const Revision last = dispatched();
  const auto chunks = mvcc_.read(watcher->next - 1, last, kReplayScan, &range);
  if (watcher->next < mvcc_.compacted() && !ORCH_MUTANT("compaction past a reader")) {
    watcher->close(compacted_error(watcher->next, mvcc_.compacted()));
    return;
  }
  auto matches = std::make_shared<std::vector<Event>>();
  Revision through = watcher->next - 1;
  for (const HistoryChunk& chunk : chunks) {
    auto batch = complete(chunk);
    if (!batch) {
      watcher->close(batch.error());
      return;
    }
    for (const Event& event : **batch) {
      if (event.kv.mod_revision >= watcher->next && range.contains(*event.kv.key)) {
        matches->push_back(event);
      }
    }
    through = chunk.through;
  }
  // Nothing in the log between here and the dispatcher (revisions skipped by a restart).
  if (chunks.empty()) through = std::max(through, last);
  if (!matches->empty()) {
    std::vector<const Event*> events;
    events.reserve(matches->size());
    for (const Event& event : *matches) events.push_back(&event);
    if (!watcher->offer(events, matches, through)) return;
  }
  watcher->next = std::max(watcher->next, through + 1);
}

void WatchHub::join(const WatcherPtr& watcher) {
  auto& group = groups_[watcher->range];
  if (!group) {
    group = std::make_shared<Group>();
    group->range = watcher->range;
    const Range& range = watcher->range;
    if (range.end.empty()) {
      exact_[range.key] = group;
    } else if (prefix_end(range.key) == range.end) {
      prefixes_[range.key] = group;
      ++prefix_lengths_[range.key.size()];
    } else {
      other_.push_back(group);
    }
  }
  group->watchers.push_back(watcher);
}

void WatchHub::drop_ended() {
  std::set<Range> ended;
  {
    std::lock_guard lock(mutex_);
    ended.swap(ended_);
  }
  for (const Range& range : ended) {
    auto it = groups_.find(range);
    if (it == groups_.end()) continue;
    std::erase_if(it->second->watchers, [](const WatcherPtr& w) { return w->done.load(); });
    if (!it->second->watchers.empty()) continue;
    if (range.end.empty()) {
      exact_.erase(range.key);
    } else if (prefix_end(range.key) == range.end) {
      prefixes_.erase(range.key);
      auto length = prefix_lengths_.find(range.key.size());
      if (--length->second == 0) prefix_lengths_.erase(length);
    } else {
      std::erase(other_, it->second);
    }
    groups_.erase(it);
  }
}

void WatchHub::stop(const Error& why) {
  stopped_ = true;
  std::lock_guard lock(run_mutex_);
  std::vector<WatcherPtr> fresh;
  {
    std::lock_guard queue(mutex_);
    fresh.swap(fresh_);
    progress_.clear();
  }
  for (const WatcherPtr& watcher : fresh) watcher->close(why);
  for (const WatcherPtr& watcher : replaying_) watcher->close(why);
  for (const auto& [range, group] : groups_) {
    for (const WatcherPtr& watcher : group->watchers) watcher->close(why);
  }
  replaying_.clear();
  groups_.clear();
  exact_.clear();
  prefixes_.clear();
  prefix_lengths_.clear();
  other_.clear();
}

}  // namespace orch::storage
