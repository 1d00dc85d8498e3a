// The store's contract: etcd v3's semantics. Bytes in, bytes out; knows nothing of Pods.
//
// A revision per transaction that changes something; create/mod revision and version per key;
// ranges at a revision; compare-and-swap transactions; watches from a revision; leases;
// compaction. Nothing is acknowledged or shown to a watcher before it is durable (but for keys of
// the volatile tier, see StoreOptions). All methods: any thread; txn() blocks until durable.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"

namespace orch::storage {

using Revision = int64_t;                             // the empty store is at 1, as etcd
using Bytes = std::shared_ptr<const std::string>;     // immutable, shared with the store
using LeaseId = int64_t;                              // 0 = none

enum class ErrorCode : uint8_t {
  kCompacted,    // the asked revision is below the compaction
  kFutureRev,    // the asked revision is not there yet
  kLeaseNotFound,
  kLeaseExists,
  kTooLarge,     // request over the limit
  kNoSpace,      // the disk is full; the write did not happen, the store lives on
  kUnavailable,  // stopped, or an I/O error made the store refuse writes
  kCorrupt,      // the file is not ours, damaged, or of a newer schema
  kInvalid,
};
struct Error {
  ErrorCode code;
  std::string message;
  Revision compact_revision = 0;  // for kCompacted
};
template <class T>
using StoreResult = Result<T, Error>;

struct KeyValue {
  Bytes key;
  Bytes value;  // null when keys_only
  Revision create_revision = 0;
  Revision mod_revision = 0;
  int64_t version = 0;
  LeaseId lease = 0;
};

// [key, range_end); range_end "" = the single key; range_end "\0" = everything from key up.
struct RangeRequest {
  std::string key, range_end;
  int64_t limit = 0;        // 0 = no limit
  Revision revision = 0;    // 0 = newest
  bool keys_only = false;
  bool count_only = false;
};
struct RangeResponse {
  Revision revision = 0;    // of the store when answered
  std::vector<KeyValue> kvs;  // ascending by key
  bool more = false;
  int64_t count = 0;        // keys in the range, regardless of limit
};

struct Compare {
  enum class Target : uint8_t { kVersion, kCreate, kMod, kValue, kLease };
  enum class Op : uint8_t { kEqual, kGreater, kLess, kNotEqual };
  std::string key;
  std::string range_end;
  Target target = Target::kMod;
  Op op = Op::kEqual;
  int64_t number = 0;
  std::string value;
};
struct TxnRequest;
struct Op {
  enum class Type : uint8_t { kRange, kPut, kDelete, kTxn };
  Type type = Type::kPut;
  RangeRequest range;         // kRange; kDelete uses key and range_end
  std::string key;            // kPut
  Bytes value;                // kPut
  LeaseId lease = 0;
  bool prev_kv = false;
  bool ignore_value = false, ignore_lease = false;
  std::shared_ptr<const TxnRequest> nested;  // kTxn

  static Op put(std::string key, Bytes value, LeaseId lease = 0);
  static Op erase(std::string key, std::string range_end = "");
  static Op get(RangeRequest range);
};
struct OpResult {
  Op::Type type = Op::Type::kPut;
  RangeResponse range;              // kRange
  std::vector<KeyValue> prev_kvs;   // kPut, kDelete when asked for
  int64_t deleted = 0;              // kDelete
  bool succeeded = false;           // kTxn: the results of its operations follow
};
// Nested transactions are decided before the first operation runs, as in etcd.
struct TxnRequest {
  std::vector<Compare> compares;
  std::vector<Op> success, failure;
};
struct TxnResponse {
  Revision revision = 0;  // of the store after the transaction
  bool succeeded = false;
  std::vector<OpResult> results;
};

struct Event {
  enum class Type : uint8_t { kPut, kDelete };
  Type type = Type::kPut;
  KeyValue kv;       // kDelete: key and mod_revision (the deletion's) only
  KeyValue prev_kv;  // what it replaced or deleted; empty key when it was created
};
// All events of one or more whole revisions, in order; never a part of a revision.
using EventBatch = std::shared_ptr<const std::vector<Event>>;

// Receives a watch. Called from the store's threads, never concurrently for one watch; must not
// block and must not call back into the store.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Events of the watched range with revisions up to `through` (also without events: progress).
  // False = full or gone: the store drops the watch and calls closed().
  virtual bool offer(const std::vector<const Event*>& events, const EventBatch& keep_alive,
                     Revision through) = 0;
  // The last call. kCompacted: the start revision is gone.
  virtual void closed(const Error& why) = 0;
};
// Dropping the handle ends the watch: after its destructor no call into the sink runs or begins.
class WatchHandle {
 public:
  virtual ~WatchHandle() = default;
  // Asks for an offer() with no events telling how far the watch is, once it is caught up.
  virtual void request_progress() = 0;
};

struct Lease {
  LeaseId id = 0;
  int64_t ttl_seconds = 0;
  int64_t remaining_seconds = 0;
  std::vector<std::string> keys;
};

class ValueTransformer;  // orch/storage/transformer.h

class KvStore {
 public:
  virtual ~KvStore() = default;
  virtual StoreResult<RangeResponse> range(const RangeRequest& request) = 0;
  virtual StoreResult<TxnResponse> txn(const TxnRequest& request) = 0;
  // As txn(), but may return before. `done` is called once, on this thread or one of the store's;
  // it must neither block nor call the store. `alone`: the caller has nothing else to do, so that
  // the store may commit on its thread if nobody else writes and the disk is quick.
  using TxnDone = std::function<void(StoreResult<TxnResponse>)>;
  virtual void txn_async(TxnRequest request, TxnDone done, bool alone) {
    (void)alone;
    done(txn(request));
  }
  // txn_async() waits neither for a disk nor for a peer.
  virtual bool answers_later() const { return false; }
  // Events with revision >= start (0 = from now on) of [key, range_end). The history comes first,
  // then what is committed afterwards, without gap or repetition.
  virtual StoreResult<std::unique_ptr<WatchHandle>> watch(const std::string& key,
                                                          const std::string& range_end,
                                                          Revision start,
                                                          std::shared_ptr<WatchSink> sink) = 0;
  virtual StoreResult<Unit> compact(Revision revision) = 0;
  // What compact() dropped is not erased from the disk yet.
  virtual bool compaction_pending() const { return false; }
  virtual Revision revision() const = 0;          // newest committed
  virtual Revision compact_revision() const = 0;
  virtual StoreResult<Lease> lease_grant(LeaseId id, int64_t ttl_seconds) = 0;  // id 0 = choose
  virtual StoreResult<Unit> lease_revoke(LeaseId id) = 0;
  virtual StoreResult<Lease> lease_keep_alive(LeaseId id) = 0;
  virtual StoreResult<Lease> lease_info(LeaseId id, bool keys) = 0;
  virtual std::vector<LeaseId> leases() = 0;
  virtual int64_t size_bytes() const = 0;         // of the file, or of memory
  // What values go through on their way to disk and to backups; null = nothing.
  virtual const ValueTransformer* transformer() const { return nullptr; }
  // Writes the whole file anew beside the old one in small steps, everything in its present form,
  // and takes its place: nothing of what was erased or changed is left in it. Writes go on
  // meanwhile. Returns when it is done; at once in memory.
  virtual StoreResult<Unit> rebuild() { return Unit{}; }
  // Values on disk that are not in their present form (ValueTransformer::Read::stale).
  virtual int64_t stale_values() const { return 0; }
  // Flushes the volatile tier, closes. Later calls answer kUnavailable. Idempotent.
  virtual void stop() = 0;
};

// Range end of the half-open range of all keys with this prefix.
std::string prefix_end(std::string_view prefix);

struct StoreOptions {
  std::string path;  // directory of the database (SQLite); ignored in memory
  // Keys below these prefixes are high-churn and worthless after a crash: kept in memory, written
  // back rarely and on stop(). Their revisions stay unique and increasing across crashes.
  std::vector<std::string> volatile_prefixes;
  Seconds volatile_flush{300};
  // Compaction keeps this much history; 0 = never compacts by itself.
  Seconds compaction_interval{300};
  int64_t request_bytes_max = 4 * 1024 * 1024;
  std::shared_ptr<const ValueTransformer> transformer;  // null = values lie as they are
};

StoreResult<std::unique_ptr<KvStore>> open_sqlite_store(Env& env, const StoreOptions& options);
std::unique_ptr<KvStore> make_memory_store(Env& env, const StoreOptions& options = {});

}  // namespace orch::storage
