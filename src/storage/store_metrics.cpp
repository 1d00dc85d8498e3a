#include "storage/store_metrics.h"

#include <algorithm>

namespace orch::storage::store_metrics {
namespace {

// etcd's: 1 ms doubling up to 8 s.
std::vector<double> doubling() {
  std::vector<double> bounds;
  for (double bound = 0.001; bound < 9; bound *= 2) bounds.push_back(bound);
  return bounds;
}

metrics::Gauge& newest() {
  static auto& gauge =
      metrics::gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.");
  return gauge;
}
metrics::Gauge& keys() {
  static auto& gauge = metrics::gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.");
  return gauge;
}

}  // namespace

metrics::Histogram& wal_fsync() {
  static auto& all = metrics::histogram(
      "etcd_disk_wal_fsync_duration_seconds",
      "The latency distributions of fsync called by the write-ahead log.", "", doubling());
  return all;
}
metrics::Histogram& backend_commit() {
  static auto& all =
      metrics::histogram("etcd_disk_backend_commit_duration_seconds",
                         "The latency distributions of commit called by backend.", "", doubling());
  return all;
}
metrics::Histogram& checkpoint() {
  static auto& all =
      metrics::histogram("orch_storage_checkpoint_duration_seconds",
                         "Moving the write-ahead log into the database.", "", doubling());
  return all;
}
metrics::Histogram& compaction_step() {
  static auto& all =
      metrics::histogram("orch_storage_compaction_step_duration_seconds",
                         "Erasing some of what is compacted, between commits.", "", doubling());
  return all;
}
metrics::Histogram& batch_requests() {
  static auto& all =
      metrics::histogram("orch_storage_batch_requests", "Requests that one commit answered.", "",
                         {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024});
  return all;
}

void loaded(int64_t count, Revision revision, Revision compaction) {
  keys().set(static_cast<double>(count));
  newest().set(static_cast<double>(revision));
  compacted(compaction);
}

void published(const std::vector<Event>& events, size_t transactions, Revision revision) {
  static auto& puts = metrics::counter("etcd_mvcc_put_total", "Total number of puts seen.");
  static auto& deletes =
      metrics::counter("etcd_mvcc_delete_total", "Total number of deletes seen.");
  static auto& txns = metrics::counter("etcd_mvcc_txn_total", "Total number of txns seen.");
  size_t put = 0, created = 0;
  for (const Event& event : events) {
    put += event.type == Event::Type::kPut;
    created += event.type == Event::Type::kPut && event.kv.version == 1;
  }
  const size_t deleted = events.size() - put;
  if (put) puts.add(static_cast<double>(put));
  if (deleted) deletes.add(static_cast<double>(deleted));
  txns.add(static_cast<double>(transactions));
  if (created != deleted) keys().add(static_cast<double>(created) - static_cast<double>(deleted));
  newest().set(static_cast<double>(revision));
}

void sizes(int64_t database_bytes, int64_t log_bytes) {
  static auto& total = metrics::gauge("etcd_mvcc_db_total_size_in_bytes",
                                      "Total size of the underlying database physically "
                                      "allocated in bytes.");
  static auto& api = metrics::gauge("apiserver_storage_size_bytes",
                                    "Size of the storage database file physically allocated in "
                                    "bytes.",
                                    "storage_cluster_id=\"etcd-0\"");
  static auto& log =
      metrics::gauge("orch_storage_wal_size_bytes", "Size of the write-ahead log's file.");
  total.set(static_cast<double>(database_bytes));
  api.set(static_cast<double>(database_bytes));
  log.set(static_cast<double>(log_bytes));
}

void unused(int64_t bytes) {
  static auto& gauge =
      metrics::gauge("orch_storage_unused_bytes", "Bytes of the database file without content.");
  gauge.set(static_cast<double>(bytes));
}

void compacted(Revision revision) {
  static auto& gauge = metrics::gauge("etcd_debugging_mvcc_compact_revision",
                                      "The revision of the last compaction in store.");
  gauge.set(static_cast<double>(revision));
}

metrics::Gauge& watchers() {
  static auto& gauge =
      metrics::gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.");
  return gauge;
}
metrics::Gauge& slow_watchers() {
  static auto& gauge = metrics::gauge("etcd_debugging_mvcc_slow_watcher_total",
                                      "Total number of unsynced slow watchers.");
  return gauge;
}
metrics::Gauge& watch_lag() {
  static auto& gauge = metrics::gauge("orch_storage_watch_lag_revisions",
                                      "Revisions that watchers have not been offered yet.");
  return gauge;
}
metrics::Counter& watchers_cut() {
  static auto& counter = metrics::counter("orch_storage_watchers_cut_off_total",
                                          "Watches ended because they did not keep up.");
  return counter;
}
metrics::Counter& watch_events() {
  static auto& counter = metrics::counter("etcd_debugging_mvcc_events_total",
                                          "Total number of events sent by this member.");
  return counter;
}

}  // namespace orch::storage::store_metrics
