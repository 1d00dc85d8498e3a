#include "storage/mvcc.h"

#include <algorithm>
#include <shared_mutex>

#include "storage/errors.h"

namespace orch::storage {

namespace {

constexpr ptrdiff_t kRebuildMax = 512;

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
  whole_ += batch.events.size();
  commit.events = std::make_shared<const std::vector<Event>>(std::move(batch.events));
  commit.ids = std::move(batch.ids);
  log_.push_back(std::move(commit));
  published_.store(batch.tip, std::memory_order_release);
}

void Mvcc::set_compacted(Revision revision) {
  compacted_.store(revision, std::memory_order_release);
}

Revision Mvcc::oldest() const {
  if (!refs_.empty()) return refs_.front().revision();
  return log_.empty() ? INT64_MAX : log_.front().last;
}

size_t Mvcc::trim(size_t max_events, Revision dispatched, std::vector<int64_t>& erased) {
  const Revision below = std::min(compacted(), dispatched + 1);
  size_t done = 0;
  const auto forget = [&](const Bytes& key, int64_t id) {
    const bool on_disk = !pinned_(*key);
    table_.trim(*key, id, [&](const Version& version) {
      account(*key, version.value, -1);
      if (on_disk) erased.push_back(version.id);
    });
    ++done;
  };
  Revision last = 0;  // revisions go as a whole
  while (!refs_.empty() && refs_.front().revision() < below &&
         (done < max_events || refs_.front().revision() == last)) {
    const Ref ref = std::move(refs_.front());
    refs_.pop_front();
    if (bare_ > 0) --bare_;
    last = ref.revision();
    forget(ref.key, ref.id);
  }
  while (refs_.empty() && done < max_events && !log_.empty() && log_.front().last < below) {
    const Commit commit = std::move(log_.front());
    log_.pop_front();
    whole_ -= commit.ids.size();
    for (size_t i = 0; i < commit.ids.size(); ++i) {
      forget((*commit.events)[i].kv.key, commit.ids[i]);
    }
  }
  history_events_.fetch_sub(done);
  return done;
}

size_t Mvcc::fold_oldest() {
  const Commit commit = std::move(log_.front());
  log_.pop_front();
  const size_t count = commit.ids.size();
  for (size_t i = 0; i < count; ++i) {
    refs_.push_back({(*commit.events)[i].kv.key, commit.ids[i]});
  }
  whole_ -= count;
  return count;
}

void Mvcc::shed_replaced(const Ref& ref) {
  if (pinned_(*ref.key)) return;
  Item* item = table_.find(*ref.key);
  Version* old = item ? const_cast<Version*>(item->before(ref.id)) : nullptr;
  if (!old || !old->value) return;
  account(*ref.key, old->value, -1);
  old->value.reset();
}

bool Mvcc::shed(int64_t budget_bytes, size_t whole_max, size_t max_events) {
  size_t done = 0;
  while (done < max_events && whole_ > whole_max && log_.size() > 1) done += fold_oldest();
  while (done < max_events && loose_bytes_.load() > budget_bytes) {
    if (bare_ == refs_.size()) {
      if (log_.empty()) break;
      (void)fold_oldest();
    }
    shed_replaced(refs_[bare_++]);
    ++done;
  }
  return done > 0;
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

HistoryChunk Mvcc::rebuild(Refs::const_iterator ref, Refs::const_iterator end,
                           const KeyRange* only) const {
  HistoryChunk chunk;
  chunk.through = std::prev(end)->revision();
  chunk.rebuilt = std::make_shared<std::vector<Event>>();
  for (; ref != end; ++ref) {
    if (only && !only->contains(*ref->key)) continue;
    const Item* item = table_.find(*ref->key);
    const Version* version = item ? const_cast<Item*>(item)->by_id(ref->id) : nullptr;
    if (!version) continue;  // compacted; the reader finds out by the compaction revision
    Event event;
    if (version->alive()) {
      event.kv = to_key_value(item->key, *version);
      if (!version->value) chunk.missing.push_back({ref->id, chunk.rebuilt->size(), false});
    } else {
      event.type = Event::Type::kDelete;
      event.kv.key = item->key;
      event.kv.mod_revision = version->revision();
    }
    const Version* previous = item->before(ref->id);
    if (previous && previous->alive()) {
      event.prev_kv = to_key_value(item->key, *previous);
      if (!previous->value) chunk.missing.push_back({previous->id, chunk.rebuilt->size(), true});
    }
    chunk.rebuilt->push_back(std::move(event));
  }
  return chunk;
}

std::vector<HistoryChunk> Mvcc::read(Revision after, Revision through, size_t max_events,
                                     const KeyRange* only) const {
  std::vector<HistoryChunk> chunks;
  std::shared_lock lock(mutex_);
  const auto later = [](Revision r, const Ref& ref) { return r < ref.revision(); };
  const auto ref = std::upper_bound(refs_.begin(), refs_.end(), after, later);
  if (ref != refs_.end()) {
    // Writers wait meanwhile: not too many at a time.
    const auto last = std::upper_bound(ref, refs_.end(), through, later);
    auto end = ref + std::min<ptrdiff_t>(kRebuildMax, last - ref);
    while (end != last && end->revision() == std::prev(end)->revision()) ++end;
    if (end != ref) chunks.push_back(rebuild(ref, end, only));
    return chunks;
  }
  auto commit = std::upper_bound(log_.begin(), log_.end(), after,
                                 [](Revision r, const Commit& c) { return r < c.last; });
  for (size_t events = 0; commit != log_.end() && commit->last <= through && events < max_events;
       ++commit) {
    events += commit->ids.size();
    HistoryChunk chunk;
    chunk.events = commit->events;
    chunk.through = commit->last;
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

Revision Mvcc::middle() const {
  std::shared_lock lock(mutex_);
  const size_t half = history_events() / 2;
  if (half < refs_.size()) return refs_[half].revision();
  size_t seen = refs_.size();
  for (const Commit& commit : log_) {
    seen += commit.ids.size();
    if (seen > half) return commit.first;
  }
  return published();
}

}  // namespace orch::storage
