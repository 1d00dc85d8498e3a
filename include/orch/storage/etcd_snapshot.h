// A store's contents in the form of etcd's database file (bbolt, as etcd 3.4 and later write and
// restore it): what backups are, and what etcd's own tools take and give.
//
// A snapshot is the store at one revision, physically compacted to it. Beside etcd's buckets it
// may have others, which etcd leaves alone: kOrchBucket marks what comes from orch. Values are
// shared with the store, so that taking a snapshot costs little memory. All functions: any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "orch/storage/kv_store.h"

namespace orch::storage {

inline constexpr std::string_view kOrchBucket = "orch";
inline constexpr std::string_view kOrchFormat = "format";  // a key of it; the value:
inline constexpr int kOrchFormatVersion = 1;

struct SnapshotEntry {
  KeyValue kv;
  int64_t place = 0;  // among the changes of its mod_revision
};

// What such a file holds.
struct SnapshotContent {
  Revision revision = 1;
  std::vector<SnapshotEntry> entries;               // the living keys, ascending by revision
  std::vector<std::pair<LeaseId, int64_t>> leases;  // id, ttl in seconds
  std::map<std::string, std::string> orch;          // of kOrchBucket; empty: not orch's snapshot
};

// The store now, values in the form they have on disk (ValueTransformer). kUnavailable, or
// kCompacted when compaction overtakes it again and again. Writes go on meanwhile and are not in
// it.
StoreResult<SnapshotContent> take_snapshot(KvStore& store);

// Lays the file out once, then writes it in order, as often as wanted.
class EtcdSnapshot {
 public:
  explicit EtcdSnapshot(SnapshotContent content);
  ~EtcdSnapshot();

  Revision revision() const;
  int64_t keys() const;
  int64_t size() const;  // of the file in bytes, without the checksum
  // Calls sink with portions of at most 64 KiB until all is written or it returns false; then,
  // in a call of its own, with the SHA-256 of it all (32 bytes), as `etcdctl snapshot save` files
  // end. False: the sink did.
  bool write(const std::function<bool(std::string_view)>& sink) const;

 private:
  struct Layout;
  std::unique_ptr<Layout> layout_;
};

// `file`: a whole database file with or without the checksum at its end; with one, it must hold.
// kCorrupt: damaged, not a database of etcd's, or of a newer orch. Values are copied.
StoreResult<SnapshotContent> parse_etcd_snapshot(std::string_view file);

}  // namespace orch::storage
