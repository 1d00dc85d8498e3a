#include "server/etcd/remote_store.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "orch/base/log.h"
#include "orch/storage/replica.h"
#include "server/etcd/remote_convert.h"

namespace orch::server::etcd {
namespace {

using storage::ErrorCode;
using storage::KeyValue;
using storage::Replica;
using storage::Revision;
using storage::StoreResult;

constexpr int64_t kPageKeys = 2000;
constexpr Millis kImageTimeout{5000};  // for the image to follow what etcd has
constexpr Millis kRetryPause{250};
// kube-apiserver's key for agreeing on compaction; its version is the turn.
constexpr std::string_view kCompactKey = "compact_rev_key";

// Follows the whole keyspace: then every revision has an event, and the image knows how far it is.
class Feed final : public net::GrpcHandler {
 public:
  Feed(std::shared_ptr<Replica> replica, std::shared_ptr<Values> values)
      : replica_(std::move(replica)), values_(std::move(values)) {}
  void on_message(std::string message) override;
  void on_closed(const net::GrpcStatus& status) override {
    std::lock_guard lock(mutex_);
    closed_ = true;
    why_ = status.message;
    changed_.notify_all();
  }
  // Until the stream ends. False: the image cannot go on from here (compacted).
  bool wait(std::string& why) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || compacted_; });
    why = why_;
    return !compacted_;
  }

 private:
  const std::shared_ptr<Replica> replica_;
  const std::shared_ptr<Values> values_;
  std::vector<storage::Event> fragments_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false, compacted_ = false;
  std::string why_;
};

void Feed::on_message(std::string message) {
  WatchResponse answer;
  const bool good = decode(message, answer);
  if (!good || answer.canceled) {
    std::lock_guard lock(mutex_);
    compacted_ = good && answer.compact_revision > 0;
    closed_ = true;
    why_ = good ? "watch cancelled: " + answer.cancel_reason : "malformed watch response";
    changed_.notify_all();
    return;
  }
  for (Event& event : answer.events) {
    if (!event.kv.key) continue;
    storage::Event& out = fragments_.emplace_back();
    out.type = event.type == 1 ? storage::Event::Type::kDelete : storage::Event::Type::kPut;
    out.kv = std::move(event.kv);
    values_->to_plain(out.kv);
  }
  if (answer.fragment) return;
  replica_->apply(fragments_);
  fragments_.clear();
}

class RemoteStore final : public storage::KvStore {
 public:
  RemoteStore(std::shared_ptr<EtcdClient> client, RemoteStoreOptions options)
      : client_(std::move(client)),
        compaction_interval_(options.compaction_interval),
        values_(std::make_shared<Values>(std::move(options.transformer))) {}
  ~RemoteStore() override { stop(); }
  Result<Unit, std::string> start(Millis patience);

  StoreResult<storage::RangeResponse> range(const storage::RangeRequest& request) override;
  StoreResult<storage::TxnResponse> txn(const storage::TxnRequest& request) override;
  StoreResult<std::unique_ptr<storage::WatchHandle>> watch(
      const std::string& key, const std::string& range_end, Revision start,
      std::shared_ptr<storage::WatchSink> sink) override {
    return image()->watch(key, range_end, start, std::move(sink));
  }
  StoreResult<Unit> compact(Revision revision) override;
  Revision revision() const override { return image()->revision(); }
  Revision compact_revision() const override { return image()->compact_revision(); }
  StoreResult<storage::Lease> lease_grant(storage::LeaseId id, int64_t ttl_seconds) override;
  StoreResult<Unit> lease_revoke(storage::LeaseId id) override;
  StoreResult<storage::Lease> lease_keep_alive(storage::LeaseId id) override;
  StoreResult<storage::Lease> lease_info(storage::LeaseId id, bool keys) override;
  std::vector<storage::LeaseId> leases() override;
  int64_t size_bytes() const override { return image()->size_bytes(); }
  const storage::ValueTransformer* transformer() const override { return values_->transformer(); }
  StoreResult<Unit> rebuild() override;
  int64_t stale_values() const override { return values_->stale(); }
  void stop() override;

 private:
  std::shared_ptr<Replica> image() const {
    std::lock_guard lock(mutex_);
    return replica_;
  }
  void follow();
  // All keys as they lie there at one revision, which is the answer.
  Result<Revision, net::GrpcStatus> each_page(
      const std::function<void(std::vector<KeyValue>)>& page_read);
  Result<std::shared_ptr<Replica>, std::string> load();
  bool pause(Millis time);  // false: stopped
  StoreResult<Revision> newest();
  StoreResult<Unit> renew(const KeyValue& kv);
  void compact_in_turn();

  const std::shared_ptr<EtcdClient> client_;
  const Seconds compaction_interval_;
  const std::shared_ptr<Values> values_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Replica> replica_;
  std::shared_ptr<net::GrpcStream> stream_;
  bool stopped_ = false;
  std::string last_error_ = "not connected yet";
  std::thread follower_, compactor_;
  int64_t compact_turn_ = 0;  // the compactor's
  Revision compact_next_ = 0;

  // Questions for the newest revision: those that come while one is under way share the next.
  std::mutex newest_mutex_;
  std::condition_variable newest_done_;
  bool newest_running_ = false;
  uint64_t newest_begun_ = 0, newest_ended_ = 0;
  StoreResult<Revision> newest_answer_ = Revision{0};
};

Result<Unit, std::string> RemoteStore::start(Millis patience) {
  follower_ = std::thread([this] { follow(); });
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [&] { return replica_ != nullptr; })) {
    return Err(fmt::format("--datastore-endpoint: {}", last_error_));
  }
  if (compaction_interval_ > Seconds(0)) {
    compactor_ = std::thread([this] {
      while (pause(compaction_interval_)) compact_in_turn();
    });
  }
  return Unit{};
}

bool RemoteStore::pause(Millis time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopped_; });
}

Result<Revision, net::GrpcStatus> RemoteStore::each_page(
    const std::function<void(std::vector<KeyValue>)>& page_read) {
  RangeRequest page;
  page.key = page.range_end = std::string(1, '\0');
  page.limit = kPageKeys;
  for (;;) {
    ORCH_TRY(auto answer, client_->call<RangeResponse>("KV/Range", page, true));
    if (page.revision == 0) page.revision = answer.header.revision;
    const bool more = answer.more && !answer.kvs.empty();
    if (more) page.key = *answer.kvs.back().key + '\0';
    page_read(std::move(answer.kvs));
    if (!more) return page.revision;
  }
}

Result<std::shared_ptr<Replica>, std::string> RemoteStore::load() {
  auto replica = Replica::make();
  auto revision = each_page([&](std::vector<KeyValue> kvs) {
    for (KeyValue& kv : kvs) values_->to_plain(kv);
    replica->load(std::move(kvs));
  });
  if (!revision) return Err(revision.error().message);
  replica->ready(*revision);
  log::info("datastore", "image of revision {} loaded, {} bytes", *revision, replica->size_bytes());
  return replica;
}

// Other servers may write meanwhile, and do the same.
StoreResult<Unit> RemoteStore::renew(const KeyValue& kv) {
  auto read = values_->transformer()->from_disk(*kv.key, kv.value);
  if (!read || !read->stale) return Unit{};  // what cannot be read was logged, and stays
  TxnRequest txn;
  Compare unchanged;
  unchanged.key = *kv.key;
  unchanged.target = static_cast<int64_t>(storage::Compare::Target::kMod);
  unchanged.mod_revision = kv.mod_revision;
  txn.compare.push_back(unchanged);
  RequestOp put;
  put.has_put = true;
  put.put.key = *kv.key;
  put.put.value = std::move(read->value);
  put.put.ignore_lease = true;
  ORCH_CHECK(values_->to_etcd(put));
  txn.success.push_back(put);
  auto answer = client_->call<TxnResponse>("KV/Txn", txn, false);
  if (!answer) return Err(error_of(answer.error()));
  return Unit{};
}

StoreResult<Unit> RemoteStore::rebuild() {
  if (values_->transformer() == nullptr) return Unit{};
  StoreResult<Unit> done = Unit{};
  auto read = each_page([&](const std::vector<KeyValue>& kvs) {
    for (const KeyValue& kv : kvs) {
      if (done && kv.value) done = renew(kv);
    }
  });
  if (!read) return Err(error_of(read.error()));
  if (done) values_->settled();
  return done;
}

void RemoteStore::follow() {
  for (;;) {
    std::shared_ptr<Replica> replica = image();
    std::string why;
    if (!replica) {
      auto loaded = load();
      if (loaded) {
        std::lock_guard lock(mutex_);
        replica = replica_ = std::move(*loaded);
        changed_.notify_all();
      } else {
        why = loaded.error();
      }
    }
    const auto connected = replica ? client_->connection(why) : nullptr;
    if (connected) {
      auto feed = std::make_shared<Feed>(replica, values_);
      auto stream = connected->open("/etcdserverpb.Watch/Watch", feed, Millis(0));
      WatchRequest request;
      request.has_create = true;
      request.create.key = request.create.range_end = std::string(1, '\0');
      request.create.start_revision = replica->revision() + 1;
      request.create.fragment = true;
      stream->send(encode(request));
      {
        std::lock_guard lock(mutex_);
        stream_ = stream;
        if (stopped_) stream->finish({net::GrpcCode::kCancelled, "stopped"});
      }
      const bool resumable = feed->wait(why);
      stream->finish({net::GrpcCode::kCancelled, "done"});
      if (!resumable) {
        log::warn("datastore", "the datastore was compacted past this server; loading anew");
        auto fresh = load();
        if (fresh) {
          {
            std::lock_guard lock(mutex_);
            replica_ = std::move(*fresh);
          }
          replica->stop({ErrorCode::kCompacted, "history lost", image()->revision()});
          continue;
        }
        why = fresh.error();
      }
    }
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      if (last_error_ != why) log::warn("datastore", "{}", why);
      last_error_ = why;
    }
    if (!pause(kRetryPause)) return;
  }
}

// A linearizable read of nothing.
StoreResult<Revision> RemoteStore::newest() {
  std::unique_lock lock(newest_mutex_);
  const uint64_t mine = newest_begun_ + 1;  // begun after this call did
  while (newest_ended_ < mine) {
    if (newest_running_) {
      newest_done_.wait(lock);
      continue;
    }
    newest_running_ = true;
    const uint64_t round = ++newest_begun_;
    lock.unlock();
    RangeRequest nothing;
    nothing.key = std::string(1, '\0');
    nothing.count_only = true;
    auto answer = client_->call<RangeResponse>("KV/Range", nothing, true);
    lock.lock();
    newest_running_ = false;
    newest_ended_ = round;
    if (answer) {
      newest_answer_ = answer->header.revision;
    } else {
      newest_answer_ = Err(error_of(answer.error()));
    }
    newest_done_.notify_all();
  }
  return newest_answer_;
}

StoreResult<storage::RangeResponse> RemoteStore::range(const storage::RangeRequest& request) {
  auto replica = image();
  // What a past revision was does not change.
  if (request.revision <= 0 || request.revision > replica->revision()) {
    ORCH_TRY(const Revision wanted, newest());
    replica = image();
    if (!replica->wait_for(wanted, kImageTimeout)) {
      return Err(storage::Error{
          ErrorCode::kUnavailable,
          fmt::format("the datastore is at revision {}, this server has seen {} only", wanted,
                      replica->revision())});
    }
  }
  return replica->range(request);
}

StoreResult<storage::TxnResponse> RemoteStore::txn(const storage::TxnRequest& request) {
  TxnRequest wire;
  bool writes = false;
  for (const auto& compare : request.compares) {
    if (values_->transformer() && compare.target == storage::Compare::Target::kValue) {
      return Err(storage::Error{ErrorCode::kInvalid, "encrypted values cannot be compared"});
    }
    wire.compare.push_back(compare_of(compare));
  }
  for (const auto* ops : {&request.success, &request.failure}) {
    for (const storage::Op& op : *ops) {
      if (op.type == storage::Op::Type::kTxn) {
        return Err(storage::Error{ErrorCode::kInvalid, "nested transactions are not passed on"});
      }
      writes |= op.type != storage::Op::Type::kRange;
      auto& branch = ops == &request.success ? wire.success : wire.failure;
      ORCH_CHECK(values_->to_etcd(branch.emplace_back(request_of(op))));
    }
  }
  auto answer = client_->call<TxnResponse>("KV/Txn", wire, !writes);
  if (!answer) return Err(error_of(answer.error()));
  storage::TxnResponse response;
  response.revision = answer->header.revision;
  response.succeeded = answer->succeeded;
  for (ResponseOp& op : answer->responses) {
    storage::OpResult& result = response.results.emplace_back(result_of(op));
    for (auto* kvs : {&result.range.kvs, &result.prev_kvs}) {
      for (KeyValue& kv : *kvs) values_->to_plain(kv);
    }
  }
  // Whoever has the answer may watch or list from its revision on, here.
  image()->wait_for(response.revision, kImageTimeout);
  return response;
}

StoreResult<Unit> RemoteStore::compact(Revision revision) {
  CompactionRequest request;
  request.revision = revision;
  auto answer = client_->call<HeaderResponse>("KV/Compact", request, true);
  if (!answer) return Err(error_of(answer.error()));
  return Unit{};
}

// As kube-apiserver does: of all servers, the one that raises the key's version compacts, to the
// revision of its turn before.
void RemoteStore::compact_in_turn() {
  TxnRequest txn;
  Compare turn;
  turn.key = kCompactKey;
  turn.version = compact_turn_;
  txn.compare.push_back(turn);
  RequestOp put, get;
  put.has_put = true;
  put.put.key = kCompactKey;
  put.put.value = std::make_shared<const std::string>(std::to_string(compact_next_));
  get.has_range = true;
  get.range.key = kCompactKey;
  txn.success.push_back(put);
  txn.failure.push_back(get);
  auto answer = client_->call<TxnResponse>("KV/Txn", txn, false);
  if (!answer) return;
  image()->forget(compact_next_);
  const Revision next = std::exchange(compact_next_, answer->header.revision);
  if (!answer->succeeded) {
    const auto& found = answer->responses;
    if (!found.empty() && !found[0].range.kvs.empty())
      compact_turn_ = found[0].range.kvs[0].version;
    return;
  }
  ++compact_turn_;
  if (next > 0) (void)compact(next);
}

StoreResult<storage::Lease> RemoteStore::lease_grant(storage::LeaseId id, int64_t ttl_seconds) {
  auto answer = client_->call<LeaseGrantResponse>("Lease/LeaseGrant",
                                                  LeaseGrantRequest{ttl_seconds, id}, false);
  if (!answer) return Err(error_of(answer.error()));
  return storage::Lease{answer->id, answer->ttl, answer->ttl, {}};
}

StoreResult<Unit> RemoteStore::lease_revoke(storage::LeaseId id) {
  auto answer = client_->call<HeaderResponse>("Lease/LeaseRevoke", LeaseIdRequest{id}, false);
  if (!answer) return Err(error_of(answer.error()));
  return Unit{};
}

StoreResult<storage::Lease> RemoteStore::lease_keep_alive(storage::LeaseId id) {
  auto answer =
      client_->call<LeaseKeepAliveResponse>("Lease/LeaseKeepAlive", LeaseIdRequest{id}, true);
  if (!answer) return Err(error_of(answer.error()));
  if (answer->ttl <= 0) {
    return Err(storage::Error{ErrorCode::kLeaseNotFound, "requested lease not found"});
  }
  return storage::Lease{id, answer->ttl, answer->ttl, {}};
}

StoreResult<storage::Lease> RemoteStore::lease_info(storage::LeaseId id, bool keys) {
  auto answer = client_->call<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive",
                                                       LeaseTimeToLiveRequest{id, keys}, true);
  if (!answer) return Err(error_of(answer.error()));
  if (answer->ttl < 0) {
    return Err(storage::Error{ErrorCode::kLeaseNotFound, "requested lease not found"});
  }
  return storage::Lease{id, answer->granted_ttl, answer->ttl, std::move(answer->keys)};
}

std::vector<storage::LeaseId> RemoteStore::leases() {
  std::vector<storage::LeaseId> ids;
  auto answer = client_->call<LeaseLeasesResponse>("Lease/LeaseLeases", Empty{}, true);
  if (!answer) return ids;
  for (const auto& lease : answer->leases) ids.push_back(lease.id);
  return ids;
}

void RemoteStore::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    if (stream_) stream_->finish({net::GrpcCode::kCancelled, "stopped"});
    changed_.notify_all();
  }
  client_->close();
  if (follower_.joinable()) follower_.join();
  if (compactor_.joinable()) compactor_.join();
  if (const auto replica = image()) {
    replica->stop({ErrorCode::kUnavailable, "the store is stopped"});
  }
}

}  // namespace

Result<std::unique_ptr<storage::KvStore>, std::string> open_remote_store(
    std::shared_ptr<EtcdClient> client, const RemoteStoreOptions& options, Millis patience) {
  auto store = std::make_unique<RemoteStore>(std::move(client), options);
  ORCH_CHECK(store->start(patience));
  return std::unique_ptr<storage::KvStore>(std::move(store));
}

}  // namespace orch::server::etcd
