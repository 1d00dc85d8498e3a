// The store's metrics: etcd's names where etcd has them, so that its dashboards and alerts fit; the
// rest begins with orch_storage_. One set for the process. Any thread.
#pragma once

#include "orch/base/metrics.h"
#include "orch/storage/kv_store.h"

namespace orch::storage::store_metrics {

// A commit's parts: the sync of its log, and all of it.
metrics::Histogram& wal_fsync();
metrics::Histogram& backend_commit();
metrics::Histogram& checkpoint();
metrics::Histogram& compaction_step();
// Requests that one commit answered together.
metrics::Histogram& batch_requests();
// Changes of a batch, counted by kind; the revision and the number of keys after it.
void published(const std::vector<Event>& events, size_t transactions, Revision revision);
void loaded(int64_t keys, Revision revision, Revision compacted);
void sizes(int64_t database_bytes, int64_t log_bytes);
void unused(int64_t bytes);  // of the database
void compacted(Revision revision);
metrics::Gauge& watchers();
metrics::Gauge& slow_watchers();   // that still read history
metrics::Gauge& watch_lag();       // revisions published and not yet dispatched
metrics::Counter& watchers_cut();  // that did not keep up
metrics::Counter& watch_events();

}  // namespace orch::storage::store_metrics
