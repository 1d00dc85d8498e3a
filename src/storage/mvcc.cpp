#include "storage/mvcc.h"

#include <algorithm>
#include <shared_mutex>

#include "storage/errors.h"

namespace orch::storage {

namespace {

int64_t value_bytes(const Bytes& value) { return value ? static_cast<int64_t>(value->size()) : 0; }

template <class T>
bool compare_with(Compare::Op op, const T& left, const T& right) {
  switch (op) {
    case Compare::Op::kEqual:
      return left == right;
    case Compare::Op::kGreater:
      return left > right;
    case Compare::Op::kLess:
      return left < right;
    case Compare::Op::kNotEqual:
      return left != right;
  }
  return false;
}

// `version` null: the key does not exist, which counts as zeros but has no value to compare.
bool compare_version(const Compare& compare, const Version* version) {
  static const Version kAbsent{};
  const Version& v = version ? *version : kAbsent;
  switch (compare.target) {
    case Compare::Target::kVersion:
      return compare_with(compare.op, v.version, compare.number);
    case Compare::Target::kCreate:
      return compare_with(compare.op, v.create, compare.number);
    case Compare::Target::kMod:
      return compare_with(compare.op, v.revision(), compare.number);
    case Compare::Target::kLease:
      return compare_with(compare.op, v.lease, compare.number);
    case Compare::Target::kValue:
      return version && version->value && compare_with(compare.op, *version->value, compare.value);
  }
  return false;
}

}  // namespace

Mvcc::Mvcc(Pinned pinned) : pinned_(std::move(pinned)) {}

StoreResult<RangeResponse> Mvcc::range(const RangeRequest& request, Revision newest, Revision floor,
                                       std::vector<MissingValue>& missing) const {
  if (request.revision > newest) return Err(future_error(request.revision, newest));
  const Revision at = request.revision > 0 ? request.revision : newest;
  if (at < floor) return Err(compacted_error(at, floor));
  const KeyRange range{request.key, request.range_end};
  RangeResponse response;
  response.revision = newest;
  if (request.count_only) {
    response.count = table_.count(range, at);
    return response;
  }
  const auto add = [&](const Item& item, const Version& version) {
    if (!version.value && !request.keys_only) {
      missing.push_back({version.id, response.kvs.size(), false});
    }
    response.kvs.push_back(to_key_value(item.key, version, !request.keys_only));
  };
  if (range.single()) {
    const Item* item = table_.find(range.begin);
    const Version* version = item ? item->at(at) : nullptr;
    if (version) add(*item, *version);
    response.count = version ? 1 : 0;
    return response;
  }
  const size_t limit = request.limit > 0 ? static_cast<size_t>(request.limit) : SIZE_MAX;
  table_.for_each(range, [&](const Item& item) {
    const Version* version = item.at(at);
    if (!version) return true;
    if (response.kvs.size() >= limit) {
      response.more = true;
      return false;
    }
    add(item, *version);
    return true;
  });
  response.count =
      response.more ? table_.count(range, at) : static_cast<int64_t>(response.kvs.size());
  return response;
}

bool Mvcc::holds(const Compare& compare, Revision at) const {
  const KeyRange range{compare.key, compare.range_end};
  if (range.single()) {
    const Item* item = table_.find(range.begin);
    return compare_version(compare, item ? item->at(at) : nullptr);
  }
  bool any = false, all = true;
  table_.for_each(range, [&](const Item& item) {
    if (const Version* version = item.at(at)) {
      any = true;
      all = compare_version(compare, version);
    }
    return all;
  });
  return any ? all : compare_version(compare, nullptr);
}

Batch Mvcc::begin() const {
  Batch batch;
  batch.tip = published();
  return batch;
}

void Mvcc::apply(Batch& batch, const Bytes& key, Version version) {
  Event event;
  event.type = version.alive() ? Event::Type::kPut : Event::Type::kDelete;
  const int64_t id = version.id;
  Item& item = table_.push(key, std::move(version));
  if (item.older && item.older->back().alive()) {
    event.prev_kv = to_key_value(item.key, item.older->back());
  }
  if (event.type == Event::Type::kPut) {
    event.kv = to_key_value(item.key, item.latest);
  } else {
    event.kv.key = item.key;
    event.kv.mod_revision = item.latest.revision();
  }
  batch.events.push_back(std::move(event));
  batch.ids.push_back(id);
  batch.tip = std::max(batch.tip, id_revision(id));
}

void Mvcc::undo(const Batch& batch) {
  for (auto event = batch.events.rbegin(); event != batch.events.rend(); ++event) {
    table_.pop(*event->kv.key);
  }
}

void Mvcc::account(std::string_view key, const Bytes& value, int sign) {
  if (!value) return;
  (pinned_(key) ? pinned_bytes_ : loose_bytes_).fetch_add(sign * value_bytes(value));
}

void Mvcc::publish(Batch&& batch) {
  if (batch.events.empty()) return;
  int64_t grown = 0;
  for (const Event& event : batch.events) {
    if (event.prev_kv.key) {
      account(*event.prev_kv.key, event.prev_kv.value, 1);
      grown -= value_bytes(event.prev_kv.value);
    }
    grown += value_bytes(event.kv.value);
  }
  current_bytes_.fetch_add(grown);
  Commit commit;
  commit.first = id_revision(batch.ids.front());
  commit.last = batch.tip;
  history_events_.fetch_add(batch.events.size());
  commit.events = std::make_shared<const std::vector<Event>>(std::move(batch.events));
  commit.ids = std::move(batch.ids);
  log_.push_back(std::move(commit));
  published_.store(batch.tip, std::memory_order_release);
}

void Mvcc::set_compacted(Revision revision) {
  compacted_.store(revision, std::memory_order_release);
}

size_t Mvcc::trim(size_t max_events, Revision dispatched, std::vector<int64_t>& erased) {
  const Revision below = std::min(compacted(), dispatched + 1);
  size_t done = 0;
  while (!log_.empty() && log_.front().last < below) {
    if (done >= max_events) break;
    Commit& commit = log_.front();
    for (size_t i = 0; i < commit.size(); ++i) {
      const Bytes& key = commit.events ? (*commit.events)[i].kv.key : commit.refs[i].key;
      const int64_t id = commit.events ? commit.ids[i] : commit.refs[i].id;
      const bool on_disk = !pinned_(*key);
      const Bytes keep = key;  // trim() may drop the item that owns it
      table_.trim(*keep, id, [&](const Version& version) {
        account(*keep, version.value, -1);
        if (on_disk) erased.push_back(version.id);
      });
    }
    done += commit.size();
    history_events_.fetch_sub(commit.size());
    log_.pop_front();
  }
  return done;
}

void Mvcc::shed(int64_t budget_bytes, size_t max_commits) {
  if (loose_bytes_.load() <= budget_bytes) return;
  auto next = std::find_if(log_.begin(), log_.end(), [](const Commit& c) { return !!c.events; });
  for (; next != log_.end() && max_commits > 0 && loose_bytes_.load() > budget_bytes;
       ++next, --max_commits) {
    const auto& events = *next->events;
    next->refs.reserve(events.size());
    for (size_t i = 0; i < events.size(); ++i) {
      const Event& event = events[i];
      next->refs.push_back({event.kv.key, next->ids[i]});
      if (!event.prev_kv.key || pinned_(*event.kv.key)) continue;
      Item* item = table_.find(*event.kv.key);
      Version* old = item ? const_cast<Version*>(item->before(next->ids[i])) : nullptr;
      if (!old || !old->value) continue;
      account(*event.kv.key, old->value, -1);
      old->value.reset();
    }
    next->events.reset();
    next->ids = {};
  }
}

void Mvcc::load_base(const Bytes& key, Version version, std::vector<int64_t>& erased) {
  const Bytes kept = key;
  current_bytes_.fetch_add(value_bytes(version.value));
  const int64_t id = version.id;
  table_.push(kept, std::move(version));
  table_.trim(*kept, id, [&](const Version& dropped) {
    current_bytes_.fetch_sub(value_bytes(dropped.value));
    erased.push_back(dropped.id);
  });
}

void Mvcc::load_done(Revision revision, Revision compacted) {
  published_.store(revision);
  compacted_.store(compacted);
}

HistoryChunk Mvcc::rebuild(const Commit& commit, const KeyRange* only) const {
  HistoryChunk chunk;
  chunk.through = commit.last;
  chunk.rebuilt = std::make_shared<std::vector<Event>>();
  for (const Ref& ref : commit.refs) {
    if (only && !only->contains(*ref.key)) continue;
    const Item* item = table_.find(*ref.key);
    const Version* version = item ? const_cast<Item*>(item)->by_id(ref.id) : nullptr;
    if (!version) continue;  // compacted; the reader finds out by the compaction revision
    Event event;
    if (version->alive()) {
      event.kv = to_key_value(item->key, *version);
      if (!version->value) chunk.missing.push_back({ref.id, chunk.rebuilt->size(), false});
    } else {
      event.type = Event::Type::kDelete;
      event.kv.key = item->key;
      event.kv.mod_revision = version->revision();
    }
    const Version* previous = item->before(ref.id);
    if (previous && previous->alive()) {
      event.prev_kv = to_key_value(item->key, *previous);
      if (!previous->value) chunk.missing.push_back({previous->id, chunk.rebuilt->size(), true});
    }
    chunk.rebuilt->push_back(std::move(event));
  }
  return chunk;
}

std::vector<HistoryChunk> Mvcc::read(Revision after, size_t max_events,
                                     const KeyRange* only) const {
  std::vector<HistoryChunk> chunks;
  std::shared_lock lock(mutex_);
  auto commit = std::upper_bound(log_.begin(), log_.end(), after,
                                 [](Revision r, const Commit& c) { return r < c.last; });
  for (size_t events = 0; commit != log_.end() && events < max_events; ++commit) {
    events += commit->size();
    if (commit->events) {
      HistoryChunk chunk;
      chunk.events = commit->events;
      chunk.through = commit->last;
      chunks.push_back(std::move(chunk));
    } else {
      chunks.push_back(rebuild(*commit, only));
    }
  }
  return chunks;
}

Revision Mvcc::middle() const {
  std::shared_lock lock(mutex_);
  return log_.empty() ? published() : log_[log_.size() / 2].first;
}

}  // namespace orch::storage
