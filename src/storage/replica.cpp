#include "orch/storage/replica.h"

#include <condition_variable>
#include <optional>
#include <shared_mutex>
#include <thread>

#include "storage/errors.h"
#include "storage/mvcc.h"
#include "storage/watch_hub.h"

namespace orch::storage {
namespace {

constexpr size_t kTrimStep = 4096;

class ReplicaImpl final : public Replica {
 public:
  explicit ReplicaImpl(size_t history_events_max)
      : history_events_max_(history_events_max), mvcc_([](std::string_view) { return true; }) {
    hub_ = std::make_shared<WatchHub>(
        mvcc_,
        [](const std::vector<int64_t>&) -> StoreResult<std::vector<Bytes>> {
          return Err(stopped_error());  // nothing is ever shed
        },
        [this] { wake(); });
    dispatcher_ = std::thread([this] { dispatch(); });
  }
  ~ReplicaImpl() override {
    stop(stopped_error());
    dispatcher_.join();
  }

  void load(std::vector<KeyValue> kvs) override {
    std::unique_lock lock(mvcc_.mutex());
    std::vector<int64_t> none;
    for (KeyValue& kv : kvs) {
      const int64_t id = make_id(kv.mod_revision, place_++ % kPlaceMax);
      mvcc_.load_base(kv.key, {id, kv.create_revision, kv.version, kv.lease, std::move(kv.value)},
                      none);
    }
  }
  void ready(Revision revision) override {
    {
      std::unique_lock lock(mvcc_.mutex());
      base_ = revision;
      mvcc_.load_done(revision, revision);
    }
    hub_->start_at(revision);
  }
  void apply(const std::vector<Event>& events) override;
  void forget(Revision revision) override;
  void stop(const Error& why) override {
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      stopped_ = why;
      pending_ = true;
    }
    changed_.notify_all();
    hub_->stop(why);
  }

  Revision revision() const override { return mvcc_.published(); }
  Revision compact_revision() const override { return mvcc_.compacted(); }
  int64_t size_bytes() const override { return mvcc_.current_bytes() + mvcc_.pinned_bytes(); }
  StoreResult<RangeResponse> range(const RangeRequest& request) override {
    if (request.key.empty()) return Err(Error{ErrorCode::kInvalid, "key is not provided"});
    std::vector<MissingValue> none;
    std::shared_lock lock(mvcc_.mutex());
    return mvcc_.range(request, mvcc_.published(), request.revision > 0 ? mvcc_.compacted() : 0,
                       none);
  }
  StoreResult<std::unique_ptr<WatchHandle>> watch(const std::string& key,
                                                  const std::string& range_end, Revision start,
                                                  std::shared_ptr<WatchSink> sink) override {
    if (key.empty()) return Err(Error{ErrorCode::kInvalid, "key is not provided"});
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return Err(*stopped_);
    }
    // What happened at base_ itself is not in the log.
    const Revision first = std::max(base_ + 1, mvcc_.compacted());
    if (start > 0 && start < first) return Err(compacted_error(start, first));
    return hub_->add(key, range_end, start > 0 ? start : mvcc_.published() + 1, std::move(sink));
  }
  bool wait_for(Revision revision, Millis timeout) override {
    if (mvcc_.published() >= revision) return true;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return stopped_ || mvcc_.published() >= revision; });
    return mvcc_.published() >= revision;
  }

 private:
  void wake() {
    {
      std::lock_guard lock(mutex_);
      pending_ = true;
    }
    changed_.notify_all();
  }
  void dispatch() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return pending_; });
      if (stopped_) return;
      pending_ = false;
      lock.unlock();
      hub_->run();
      lock.lock();
    }
  }

  const size_t history_events_max_;
  Mvcc mvcc_;
  std::shared_ptr<WatchHub> hub_;
  Revision base_ = 0;  // fixed by ready(), before others come
  int64_t place_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool pending_ = false;
  std::optional<Error> stopped_;
  std::thread dispatcher_;
};

void ReplicaImpl::apply(const std::vector<Event>& events) {
  if (events.empty()) return;
  {
    std::unique_lock lock(mvcc_.mutex());
    Batch batch = mvcc_.begin();
    Revision revision = 0;
    int64_t place = 0;
    for (const Event& event : events) {
      if (event.kv.mod_revision <= mvcc_.published()) continue;  // known already
      if (event.kv.mod_revision != std::exchange(revision, event.kv.mod_revision)) place = 0;
      Version version;
      version.id = make_id(revision, place++);
      if (event.type == Event::Type::kPut) {
        static const Bytes kEmpty = std::make_shared<const std::string>();
        version.create = event.kv.create_revision;
        version.version = event.kv.version;
        version.lease = event.kv.lease;
        version.value = event.kv.value ? event.kv.value : kEmpty;
      }
      const Item* known = mvcc_.table().find(*event.kv.key);
      mvcc_.apply(batch, known ? known->key : event.kv.key, std::move(version));
    }
    mvcc_.publish(std::move(batch));
    (void)mvcc_.shed(INT64_MAX, kWholeEvents, 2 * events.size() + 64);
  }
  wake();
  if (mvcc_.history_events() > history_events_max_) forget(mvcc_.middle());
}

void ReplicaImpl::forget(Revision revision) {
  std::vector<int64_t> erased;
  std::unique_lock lock(mvcc_.mutex());
  const Revision to = std::min(revision, mvcc_.published());
  if (to > mvcc_.compacted()) mvcc_.set_compacted(to);
  while (mvcc_.needs_trim() && mvcc_.trim(kTrimStep, hub_->dispatched(), erased) > 0) {
    erased.clear();
  }
}

}  // namespace

std::shared_ptr<Replica> Replica::make(size_t history_events_max) {
  return std::make_shared<ReplicaImpl>(history_events_max);
}

}  // namespace orch::storage
