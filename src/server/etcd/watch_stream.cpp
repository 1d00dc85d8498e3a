// Watch: many watches on one stream.
//
// The stream's state belongs to the gRPC thread; events come from the store's dispatcher. A client
// that does not keep up is not cut off and not buffered for without bound: its watch is dropped
// and taken up again, from the revision it had reached, once what is buffered has been sent. If
// that revision has been compacted meanwhile, the watch is cancelled with compact_revision.
#include <algorithm>
#include <map>
#include <set>

#include "server/etcd/facade.h"

namespace orch::server::etcd {

namespace {

constexpr size_t kBufferMax = 8 << 20;
constexpr size_t kBufferLow = 1 << 20;
constexpr size_t kControlMax = 64 << 20;  // a peer that asks and does not read
constexpr size_t kWatchesMax = 100'000;   // of one stream
constexpr size_t kResponseBytes = kMessageBytesMax / 2;
constexpr int64_t kNoWatch = -1;  // for answers that concern all watches, or none

class WatchStream;

size_t bytes_of(const KeyValue& kv) {
  return (kv.key ? kv.key->size() : 0) + (kv.value ? kv.value->size() : 0) + 40;
}

class Watch final : public storage::WatchSink {
 public:
  Watch(std::weak_ptr<WatchStream> owner, std::shared_ptr<Facade> facade,
        std::shared_ptr<net::GrpcStream> stream)
      : owner_(std::move(owner)), facade_(std::move(facade)), stream_(std::move(stream)) {}

  bool offer(const std::vector<const storage::Event*>& events, const storage::EventBatch& keep,
             storage::Revision through) override;
  void closed(const storage::Error& why) override;

  int64_t id = 0;
  std::string key, range_end;
  bool prev_kv = false, fragment = false, no_put = false, no_delete = false;
  bool progress_notify = false;
  storage::Revision next =
      0;  // of the dispatcher; of the stream's thread between closed() and watch()
  std::atomic<bool> notify_wanted{false}, answer_wanted{false}, quiet{true};
  std::unique_ptr<storage::WatchHandle> handle;  // the stream's thread

 private:
  void send(WatchResponse& response);

  const std::weak_ptr<WatchStream> owner_;
  const std::shared_ptr<Facade> facade_;
  const std::shared_ptr<net::GrpcStream> stream_;
  bool lagging_ = false;
};

class WatchStream final : public net::GrpcHandler,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(std::shared_ptr<Facade> facade, std::shared_ptr<net::GrpcStream> stream)
      : facade_(std::move(facade)), stream_(std::move(stream)) {}

  void on_message(std::string message) override;
  void on_half_close() override { stream_->finish({}); }
  void on_stopping() override { stream_->finish(errors::stopped()); }
  void on_closed(const GrpcStatus&) override {
    // A handle keeps its sink, the Watch that keeps it.
    for (const auto& [id, watch] : watches_) watch->handle.reset();
    watches_.clear();
    awaited_.clear();
  }

  // Of watches, on the stream's thread.
  void resume(int64_t id);
  void ended(int64_t id);
  void progress_answered(int64_t id, storage::Revision through);

 private:
  void create(WatchCreateRequest request);
  void cancel(int64_t id);
  void progress();
  void refuse(storage::Revision now, std::string reason);
  bool start(const std::shared_ptr<Watch>& watch, storage::Revision from);
  void send(const WatchResponse& response) { stream_->send(encode(response)); }
  void answer_progress();
  void arm_notify();
  void notify();

  const std::shared_ptr<Facade> facade_;
  const std::shared_ptr<net::GrpcStream> stream_;
  std::map<int64_t, std::shared_ptr<Watch>> watches_;
  int64_t next_id_ = 0;
  bool notify_armed_ = false;
  // A request for progress under way: the watches that have not answered yet.
  bool progress_pending_ = false, progress_again_ = false;
  std::set<int64_t> awaited_;
  storage::Revision progress_revision_ = 0;
};

// ---- Watch

void Watch::send(WatchResponse& response) {
  response.watch_id = id;
  stream_->send(encode(response));
  response.events.clear();
}

bool Watch::offer(const std::vector<const storage::Event*>& events, const storage::EventBatch&,
                  storage::Revision through) {
  if (stream_->closed()) return false;
  if (events.empty()) {
    next = std::max(next, through + 1);
    if (notify_wanted.exchange(false)) {
      WatchResponse response;
      response.header = facade_->header(through);
      send(response);
    }
    if (answer_wanted.exchange(false)) {
      // Behind the events sent before, as all that is posted keeps its order.
      stream_->when_below(SIZE_MAX, [owner = owner_, watch = id, through] {
        if (auto held = owner.lock()) held->progress_answered(watch, through);
      });
    }
    return true;
  }
  if (stream_->buffered_bytes() > kBufferMax) {
    lagging_ = true;
    return false;
  }
  WatchResponse response;
  response.header = facade_->header(through);
  size_t bytes = 0;
  storage::Revision last = 0;
  for (const storage::Event* event : events) {
    const bool deletion = event->type == storage::Event::Type::kDelete;
    if (deletion ? no_delete : no_put) continue;
    const storage::Revision revision = event->kv.mod_revision;
    // A revision is not torn apart, unless the client knows how to join it again.
    if (bytes > kResponseBytes && (revision != last || fragment)) {
      response.fragment = revision == last;
      send(response);
      bytes = 0;
    }
    Event& out = response.events.emplace_back();
    out.type = deletion ? 1 : 0;
    out.kv = event->kv;
    out.has_prev_kv = prev_kv && event->prev_kv.key;
    if (out.has_prev_kv) out.prev_kv = event->prev_kv;
    bytes += bytes_of(out.kv) + bytes_of(out.prev_kv);
    last = revision;
  }
  response.fragment = false;
  if (!response.events.empty()) {
    send(response);
    quiet = false;
  }
  next = through + 1;
  return true;
}

void Watch::closed(const storage::Error& why) {
  if (std::exchange(lagging_, false)) {
    stream_->when_below(kBufferLow, [owner = owner_, watch = id] {
      if (auto held = owner.lock()) held->resume(watch);
    });
    return;
  }
  WatchResponse response;
  response.header = facade_->header();
  response.canceled = true;
  if (why.code == storage::ErrorCode::kCompacted) {
    response.compact_revision = why.compact_revision;
  } else {
    response.cancel_reason = errors::of(why).message;
  }
  send(response);
  stream_->when_below(SIZE_MAX, [owner = owner_, watch = id] {
    if (auto held = owner.lock()) held->ended(watch);
  });
}

// ---- WatchStream

void WatchStream::on_message(std::string message) {
  WatchRequest request;
  if (!decode(message, request)) return stream_->finish(errors::malformed());
  if (stream_->buffered_bytes() > kControlMax) {
    return stream_->finish(errors::make(GrpcCode::kResourceExhausted, "too many requests"));
  }
  if (request.has_create) {
    create(std::move(request.create));
  } else if (request.has_cancel) {
    cancel(request.cancel.watch_id);
  } else if (request.has_progress) {
    progress();
  }
}

void WatchStream::refuse(storage::Revision now, std::string reason) {
  WatchResponse response;
  response.header = facade_->header(now);
  response.watch_id = kNoWatch;
  response.created = response.canceled = true;
  response.cancel_reason = std::move(reason);
  send(response);
}

void WatchStream::create(WatchCreateRequest request) {
  const storage::Revision now = facade_->store().revision();
  const std::string nul(1, '\0');
  if (request.key.empty()) request.key = nul;
  if (!request.range_end.empty() && request.range_end != nul && request.range_end <= request.key) {
    return refuse(now, "mvcc: watcher range is empty");
  }
  if (watches_.size() >= kWatchesMax) return refuse(now, "mvcc: too many watchers on the stream");
  if (request.watch_id == 0) {
    while (watches_.contains(next_id_)) ++next_id_;
    request.watch_id = next_id_++;
  } else if (watches_.contains(request.watch_id)) {
    return refuse(now, "mvcc: duplicate watch ID provided on the WatchStream");
  }
  auto watch = std::make_shared<Watch>(weak_from_this(), facade_, stream_);
  watch->id = request.watch_id;
  watch->key = std::move(request.key);
  watch->range_end = std::move(request.range_end);
  watch->prev_kv = request.prev_kv;
  watch->fragment = request.fragment;
  watch->progress_notify = request.progress_notify;
  for (const int64_t filter : request.filters) {
    watch->no_put |= filter == 0;
    watch->no_delete |= filter == 1;
  }
  WatchResponse created;
  created.header = facade_->header(now);
  created.watch_id = watch->id;
  created.created = true;
  send(created);
  watches_[watch->id] = watch;
  const storage::Revision from =
      request.start_revision == 0 ? now + 1 : std::max<int64_t>(1, request.start_revision);
  if (start(watch, from) && watch->progress_notify) arm_notify();
}

bool WatchStream::start(const std::shared_ptr<Watch>& watch, storage::Revision from) {
  watch->next = from;
  auto handle = facade_->store().watch(watch->key, watch->range_end, from, watch);
  if (!handle) {
    watch->closed(handle.error());
    return false;
  }
  watch->handle = std::move(*handle);
  if (awaited_.contains(watch->id)) {
    watch->answer_wanted = true;
    watch->handle->request_progress();
  }
  return true;
}

void WatchStream::resume(int64_t id) {
  auto it = watches_.find(id);
  if (it == watches_.end()) return;
  it->second->handle.reset();
  start(it->second, it->second->next);
}

void WatchStream::cancel(int64_t id) {
  auto it = watches_.find(id);
  if (it == watches_.end()) return;
  it->second->handle.reset();  // nothing more is sent for it
  WatchResponse response;
  response.header = facade_->header();
  response.watch_id = id;
  response.canceled = true;
  send(response);
  ended(id);
}

void WatchStream::ended(int64_t id) {
  if (auto it = watches_.find(id); it != watches_.end()) {
    it->second->handle.reset();
    watches_.erase(it);
  }
  if (awaited_.erase(id) > 0 && awaited_.empty()) answer_progress();
}

// Answered for all watches at once, when each of them has got all there is.
void WatchStream::progress() {
  if (std::exchange(progress_pending_, true)) {
    progress_again_ = true;
    return;
  }
  progress_revision_ = facade_->store().revision();
  for (const auto& [id, watch] : watches_) {
    awaited_.insert(id);
    if (!watch->handle) continue;  // start() asks
    watch->answer_wanted = true;
    watch->handle->request_progress();
  }
  if (awaited_.empty()) answer_progress();
}

void WatchStream::progress_answered(int64_t id, storage::Revision through) {
  if (awaited_.erase(id) == 0) return;
  progress_revision_ = std::min(progress_revision_, through);
  if (awaited_.empty()) answer_progress();
}

void WatchStream::answer_progress() {
  if (!std::exchange(progress_pending_, false)) return;
  WatchResponse response;
  response.header = facade_->header(progress_revision_);
  response.watch_id = kNoWatch;
  send(response);
  if (std::exchange(progress_again_, false)) progress();
}

void WatchStream::arm_notify() {
  if (std::exchange(notify_armed_, true)) return;
  facade_->server().after(facade_->options().progress_interval, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->notify();
  });
}

void WatchStream::notify() {
  notify_armed_ = false;
  bool any = false;
  for (const auto& [id, watch] : watches_) {
    if (!watch->progress_notify) continue;
    any = true;
    if (!watch->quiet.exchange(true) || !watch->handle) continue;
    watch->notify_wanted = true;
    watch->handle->request_progress();
  }
  if (any && !stream_->closed()) arm_notify();
}

}  // namespace

std::shared_ptr<net::GrpcHandler> make_watch_stream(std::shared_ptr<Facade> facade,
                                                    std::shared_ptr<net::GrpcStream> stream) {
  return std::make_shared<WatchStream>(std::move(facade), std::move(stream));
}

}  // namespace orch::server::etcd
