// Filling the engine from its backend.
#include <algorithm>
#include <shared_mutex>

#include "storage/engine.h"
#include "storage/mutants.h"
#include "storage/store_metrics.h"

namespace orch::storage {

namespace {

constexpr size_t kLoadBatch = 256;

Version version_of(Row& row) {
  return Version{row.id, row.create, row.version, row.lease, std::move(row.value)};
}

}  // namespace

struct Engine::Loading {
  Revision compacted = 0;
  Revision newest = 1;
  Batch batch;
  std::vector<int64_t> stale;        // log rows that an unfinished compaction left
  std::map<std::string, Row> moved;  // log rows of keys that are volatile by now
  Changes changes;                   // what that takes on disk
};

StoreResult<Unit> Engine::load() {
  if (!backend_) return Unit{};
  ORCH_TRY(Backend::Loaded head, backend_->load_head());
  Loading loading;
  loading.compacted = head.compacted;
  loading.newest = std::max({Revision{1}, head.reserved, head.compacted});
  if (ORCH_MUTANT("revision reuse")) loading.newest = std::max(Revision{1}, head.compacted);
  {
    std::unique_lock lock(mvcc_.mutex());
    ORCH_CHECK(backend_->load_log([&](Row&& row) { load_row(std::move(row), loading); }));
    mvcc_.publish(std::move(loading.batch));
    (void)mvcc_.shed(limits_.history_bytes, limits_.whole_events, SIZE_MAX);
    ORCH_CHECK(load_volatile(std::move(head.volatile_rows), loading));
    const MonoTime now = env_.clock.mono();
    for (const auto& [id, ttl] : head.leases) leases_.add(id, ttl, now);
    mvcc_.load_done(loading.newest, loading.compacted);
    if (!head.leases.empty()) {
      mvcc_.table().for_each(KeyRange{"", std::string_view("\0", 1)}, [&](const Item& item) {
        leases_.move_key(*item.key, 0, item.latest.alive() ? item.latest.lease : 0);
        return true;
      });
    }
  }
  store_metrics::loaded(
      mvcc_.table().count(KeyRange{"", std::string_view("\0", 1)}, loading.newest), loading.newest,
      loading.compacted);
  erasable_.assign(loading.stale.begin(), loading.stale.end());
  compaction_pending_ = !erasable_.empty();
  reserved_ = head.reserved;
  persisted_compaction_ = head.compacted;
  if (!options_.volatile_prefixes.empty() && loading.newest > 1) volatile_floor_ = loading.newest;
  return Unit{};
}

void Engine::load_row(Row&& row, Loading& loading) {
  const Revision revision = id_revision(row.id);
  loading.newest = std::max(loading.newest, revision);
  if (is_volatile(*row.key)) {
    loading.changes.erased.push_back(row.id);
    loading.moved.insert_or_assign(*row.key, std::move(row));
    return;
  }
  // One allocation per key, however many versions.
  const Item* known = mvcc_.table().find(*row.key);
  const Bytes key = known ? known->key : row.key;
  if (revision < loading.compacted) {
    mvcc_.load_base(key, version_of(row), loading.stale);
    return;
  }
  if (loading.batch.events.size() >= kLoadBatch && revision > loading.batch.tip) {
    mvcc_.publish(std::exchange(loading.batch, Batch{}));
    (void)mvcc_.shed(limits_.history_bytes, limits_.whole_events, SIZE_MAX);
  }
  mvcc_.apply(loading.batch, key, version_of(row));
}

// The volatile tier's rows; and keys that have changed their tier with the options move.
StoreResult<Unit> Engine::load_volatile(std::vector<Row>&& rows, Loading& loading) {
  std::vector<int64_t> none;
  for (auto& [key, row] : loading.moved) {
    if (row.version == 0) continue;
    loading.changes.volatile_put.push_back(row);
    rows.push_back(std::move(row));
  }
  for (Row& row : rows) {
    loading.newest = std::max(loading.newest, id_revision(row.id));
    if (!is_volatile(*row.key)) {
      loading.changes.rows.push_back(row);
      loading.changes.volatile_erased.push_back(row.key);
    }
    const Bytes key = row.key;
    mvcc_.load_base(key, version_of(row), none);
  }
  if (loading.changes.empty()) return Unit{};
  loading.changes.reserved = loading.newest;  // the log's rows may have been the only witness
  return backend_->commit(loading.changes);
}

}  // namespace orch::storage
