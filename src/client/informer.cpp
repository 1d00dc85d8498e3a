#include "orch/client/informer.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <thread>

#include "client/object_store.h"
#include "orch/base/json_scan.h"
#include "orch/base/log.h"

namespace orch::client {
namespace {

constexpr int64_t kPageSize = 500;
constexpr Micros kBackoffFirst = Millis{800};
constexpr Micros kBackoffMax = Seconds{15};  // doubled by jitter: 30 s
constexpr Micros kLongWatch = Seconds{10};
constexpr Micros kShortWatch = Seconds{1};
constexpr int64_t kWatchSecondsMin = 300;

// Nobody in the process reads managedFields; they are often half of an object.
void drop_managed_fields(api::Object& object) {
  object.metadata.managedFields.clear();
  object.metadata.managedFields.shrink_to_fit();
}

}  // namespace

// Threads: everything below "strand only" is touched by tasks of strand_ alone. The transport's
// threads only push to pending_. Handlers run under dispatch_mutex_, which stop() takes once, so
// that it returns after the running handler and before any further one.
struct InformerBase::Impl : std::enable_shared_from_this<Impl> {
  Impl(Env& env, Transport& transport, const api::ResourceInfo& resource,
       std::string field_selector, std::string ns)
      : env_(env),
        transport_(transport),
        resource_(resource),
        field_selector_(std::move(field_selector)),
        ns_(std::move(ns)),
        strand_(env.executor.make_strand("informer/" + std::string(resource.plural))) {}

  struct Incoming {
    uint64_t epoch;
    std::optional<WatchEvent> event;  // nullopt = the watch ended
    std::optional<api::Error> error;  // ... and why
  };

  template <class Fn>
  void post(Fn fn) {
    strand_->post([weak = weak_from_this(), fn = std::move(fn)] {
      if (auto self = weak.lock(); self && !self->stopped_) fn(*self);
    });
  }

  // Runs `fn` unless stopped; stop() waits for it.
  void guarded(const std::function<void()>& fn) {
    std::lock_guard lock(dispatch_mutex_);
    if (stopped_) return;
    dispatch_thread_ = std::this_thread::get_id();
    fn();
    dispatch_thread_ = std::thread::id{};
  }

  void dispatch(const api::ObjectPtr& old, const api::ObjectPtr& now) {
    guarded([&] {
      for (const auto& handler : handlers_) {
        if (stopped_) return;
        handler(old, now);
      }
    });
  }

  void start() {
    {
      std::lock_guard lock(mutex_);
      if (started_ || stopped_) return;
      started_ = true;
    }
    post([](Impl& self) { self.run(); });
  }

  void stop() {
    std::unique_ptr<WatchStream> stream;
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
      stream = std::move(stream_);
      pending_.clear();
      if (retry_timer_ != 0) strand_->cancel_timer(retry_timer_);
      retry_timer_ = 0;
    }
    stream.reset();  // waits for a running callback, which takes mutex_
    if (dispatch_thread_ != std::this_thread::get_id()) {
      std::lock_guard wait_for_handler(dispatch_mutex_);
    }
  }

  // ---- strand only ----

  void run() {
    if (last_version_.empty() && !relist()) return;
    if (!stopped_) start_watch();
  }

  // False = failed, and a retry is under way.
  bool relist() {
    auto objects = list_all();
    if (stopped_) return false;
    if (!objects) {
      log::debug("informer", "list {}: {}", resource_.plural, objects.error().message);
      retry_later();
      return false;
    }
    for (auto& item : objects->items) {
      // Made mutable by the decoder and not shared yet.
      drop_managed_fields(*std::const_pointer_cast<api::Object>(item));
    }
    for (const auto& change : store_.replace(std::move(objects->items))) {
      dispatch(change.old, change.now);
    }
    last_version_ = std::move(objects->resource_version);
    if (!synced_.exchange(true)) {
      auto tasks = std::move(synced_tasks_);
      synced_tasks_.clear();
      for (const auto& task : tasks) guarded(task);
    }
    return true;
  }

  api::ApiResult<RawClient::RawList> list_all() {
    RawClient client(transport_);
    ListOptions options;
    options.field_selector = field_selector_;
    options.limit = kPageSize;
    ORCH_TRY(RawClient::RawList all, client.list(resource_, ns_, options));
    while (!all.continue_.empty() && !stopped_) {
      options.continue_ = all.continue_;
      auto page = client.list(resource_, ns_, options);
      if (!page && page.error().code == 410) {  // the continue token outlived the history
        options.continue_.clear();
        options.limit = 0;
        return client.list(resource_, ns_, options);
      }
      if (!page) return Err(std::move(page).error());
      all.continue_ = std::move(page->continue_);
      if (all.resource_version.empty()) all.resource_version = page->resource_version;
      all.items.insert(all.items.end(), std::make_move_iterator(page->items.begin()),
                       std::make_move_iterator(page->items.end()));
    }
    return all;
  }

  void start_watch() {
    Request request;
    request.verb = "watch";
    request.group = resource_.group;
    request.version = resource_.version;
    request.resource = resource_.plural;
    request.namespace_ = ns_;
    if (!field_selector_.empty()) request.query.emplace_back("fieldSelector", field_selector_);
    request.query.emplace_back("resourceVersion", last_version_);
    request.query.emplace_back("allowWatchBookmarks", "true");
    const int64_t seconds =
        kWatchSecondsMin + static_cast<int64_t>(random_below(env_.random, kWatchSecondsMin));
    request.query.emplace_back("timeoutSeconds", std::to_string(seconds));

    const uint64_t epoch = ++epoch_;
    watch_started_ = env_.clock.mono();
    watch_events_ = 0;
    WatchCallbacks callbacks;
    callbacks.event = [weak = weak_from_this(), epoch](WatchEvent event) {
      if (auto self = weak.lock()) self->push({epoch, std::move(event), std::nullopt});
    };
    callbacks.ended = [weak = weak_from_this(), epoch](const api::Error* error) {
      if (auto self = weak.lock()) {
        self->push({epoch, std::nullopt, error ? std::optional(*error) : std::nullopt});
      }
    };
    auto stream = transport_.watch(request, std::move(callbacks));
    if (!stream) {
      ++epoch_;
      failed(stream.error());
      return;
    }
    std::unique_ptr<WatchStream> unwanted;
    std::lock_guard lock(mutex_);
    if (stopped_) {
      unwanted = std::move(stream).value();
    } else {
      stream_ = std::move(stream).value();
    }
  }

  void failed(const api::Error& error) {
    if (stopped_) return;
    if (error.code == 410) {
      last_version_.clear();
      log::debug("informer", "watch {}: {}; listing again", resource_.plural, error.message);
      if (failures_ == 0) {
        failures_ = 1;
        post([](Impl& self) { self.run(); });
        return;
      }
    } else if (error.code != 429 && error.code != 503 && error.code != 500) {
      // Not a matter of load or reachability: begin anew rather than trust this version.
      log::warn("informer", "watch {}: {}", resource_.plural, error.message);
      last_version_.clear();
    }
    retry_later();
  }

  void retry_later() {
    Micros delay = kBackoffFirst;
    for (int i = 0; i < failures_ && delay < kBackoffMax; ++i) delay *= 2;
    delay = std::min(delay, kBackoffMax);
    ++failures_;
    delay += Micros{
        static_cast<int64_t>(random_below(env_.random, static_cast<uint64_t>(delay.count())))};
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    retry_timer_ = strand_->post_after(delay, [weak = weak_from_this()] {
      if (auto self = weak.lock(); self && !self->stopped_) self->run();
    });
  }

  void drain() {
    std::deque<Incoming> batch;
    {
      std::lock_guard lock(mutex_);
      drain_posted_ = false;
      batch.swap(pending_);
    }
    for (auto& item : batch) {
      if (stopped_) return;
      if (item.epoch != epoch_) continue;
      if (item.event) {
        apply(*item.event);
      } else {
        ended(item.error);
      }
    }
  }

  void ended(const std::optional<api::Error>& error) {
    ++epoch_;
    std::unique_ptr<WatchStream> stream;
    {
      std::lock_guard lock(mutex_);
      stream = std::move(stream_);
    }
    stream.reset();
    const Micros lasted = env_.clock.mono() - watch_started_;
    if (lasted >= kLongWatch) failures_ = 0;
    if (error) {
      failed(*error);
    } else if (lasted < kShortWatch && watch_events_ == 0) {
      retry_later();
    } else {
      post([](Impl& self) { self.run(); });
    }
  }

  void remember_version(const WatchEvent& event) {
    auto version = json_string_at(event.object_json, "metadata.resourceVersion");
    if (version && !version->empty()) last_version_ = std::move(*version);
  }

  void apply(const WatchEvent& event) {
    ++watch_events_;
    failures_ = 0;
    if (event.type == "BOOKMARK") {
      remember_version(event);
      return;
    }
    auto decoded = api::decode_object(event.object_json, *resource_.type);
    if (!decoded) {
      log::warn("informer", "watch {}: an object cannot be read: {}", resource_.plural,
                decoded.error().message);
      remember_version(event);
      return;
    }
    drop_managed_fields(**decoded);
    const api::ObjectPtr now = std::move(decoded).value();
    if (!now->metadata.resourceVersion.empty()) last_version_ = now->metadata.resourceVersion;
    if (event.type == "DELETED") {
      if (store_.erase(*now)) dispatch(now, nullptr);
      return;
    }
    const api::ObjectPtr old = store_.put(now);
    if (old && old->metadata.uid != now->metadata.uid) {
      dispatch(old, nullptr);
      dispatch(nullptr, now);
    } else {
      dispatch(old, now);
    }
  }

  // ---- any thread ----

  void push(Incoming item) {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    pending_.push_back(std::move(item));
    if (drain_posted_) return;
    drain_posted_ = true;
    post([](Impl& self) { self.drain(); });
  }

  Env& env_;
  Transport& transport_;
  const api::ResourceInfo& resource_;
  const std::string field_selector_, ns_;
  const std::shared_ptr<Strand> strand_;
  ObjectStore store_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> synced_{false};

  std::mutex mutex_;  // the five below; never held while calling out
  bool started_ = false;
  bool drain_posted_ = false;
  uint64_t retry_timer_ = 0;
  std::unique_ptr<WatchStream> stream_;
  std::deque<Incoming> pending_;

  std::mutex dispatch_mutex_;
  std::atomic<std::thread::id> dispatch_thread_{};

  // Strand only.
  std::vector<Handler> handlers_;
  std::vector<Task> synced_tasks_;
  std::string last_version_;  // "" = list first
  uint64_t epoch_ = 0;        // of the running watch; older callbacks are ignored
  int failures_ = 0;
  MonoTime watch_started_{};
  uint64_t watch_events_ = 0;
};

InformerBase::InformerBase(Env& env, Transport& transport, const api::ResourceInfo& resource,
                           std::string field_selector, std::string ns)
    : impl_(std::make_shared<Impl>(env, transport, resource, std::move(field_selector),
                                   std::move(ns))) {}
InformerBase::~InformerBase() { stop(); }

void InformerBase::add_index(std::string name, IndexFn fn) {
  impl_->store_.add_index(std::move(name), std::move(fn));
}

void InformerBase::add_handler(Handler handler) {
  impl_->post([handler = std::move(handler)](Impl& self) {
    for (const auto& object : self.store_.list("")) {
      self.guarded([&] { handler(nullptr, object); });
    }
    self.handlers_.push_back(handler);
  });
}

void InformerBase::on_synced(Task task) {
  impl_->post([task = std::move(task)](Impl& self) {
    if (self.synced_) {
      self.guarded(task);
    } else {
      self.synced_tasks_.push_back(task);
    }
  });
}

void InformerBase::start() { impl_->start(); }
void InformerBase::stop() { impl_->stop(); }
bool InformerBase::synced() const { return impl_->synced_; }
api::ObjectPtr InformerBase::get(std::string_view ns, std::string_view name) const {
  return impl_->store_.get(ns, name);
}
std::vector<api::ObjectPtr> InformerBase::list(std::string_view ns) const {
  return impl_->store_.list(ns);
}
std::vector<api::ObjectPtr> InformerBase::by_index(std::string_view index,
                                                   std::string_view value) const {
  return impl_->store_.by_index(index, value);
}
size_t InformerBase::size() const { return impl_->store_.size(); }
const api::ResourceInfo& InformerBase::resource() const { return impl_->resource_; }

}  // namespace orch::client
