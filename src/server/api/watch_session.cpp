#include "server/api/watch_session.h"

#include "orch/base/strings.h"
#include "server/api/internals.h"
#include "server/api/verbs/verbs.h"

namespace orch::server {
namespace {

constexpr Seconds kTimeoutMin{1800};
constexpr Seconds kBookmarkInterval{60};
constexpr Micros kCongestionPause = Millis{10};

Micros timeout_of(const Call& call, Random& random) {
  const auto asked = parse_int(call.param("timeoutSeconds"));
  if (asked && *asked > 0) return Seconds{std::min<int64_t>(*asked, 86'400 * 365)};
  // Spread out, so that watches do not all come back at once.
  return kTimeoutMin +
         Micros{static_cast<int64_t>(random_below(random, Micros{kTimeoutMin}.count()))};
}

}  // namespace

WatchSession::WatchSession(ApiServer& server, const api::ResourceInfo& resource)
    : server_(server), resource_(resource) {}

api::ApiResult<std::shared_ptr<WatchSession>> WatchSession::prepare(
    ApiServer& server, const Call& call, const api::ResourceInfo& resource) {
  ORCH_TRY(ListParams params, list_params(call, resource, true));
  ORCH_TRY(const storage::Revision asked, parse_resource_version(params.resource_version));
  std::shared_ptr<WatchSession> session(new WatchSession(server, resource));
  session->namespace_ = call.info.namespace_;
  session->bookmarks_ = call.flag("allowWatchBookmarks");
  session->timeout_ = timeout_of(call, server.env().random);
  const bool has_send_initial = call.has_param("sendInitialEvents");
  session->send_initial_ = has_send_initial && call.flag("sendInitialEvents");
  const bool initial = session->send_initial_ || (asked == 0 && !has_send_initial);
  session->filter_ = params.filter;
  session->after_ = asked;
  if (initial) {
    ListParams list;
    list.filter = params.filter;
    list.resource_version = params.resource_version;
    list.resource_version_match = asked > 0 ? "NotOlderThan" : "";
    auto page = server.registry().list(resource, session->namespace_, list);
    if (page) {
      session->after_ = page->revision;
      session->initial_ = std::move(*page);
    } else {
      session->failed_ = std::move(page.error().error);
    }
  } else if (asked == 0) {
    session->after_ = server.registry().revision();
  }
  return session;
}

void WatchSession::begin(std::shared_ptr<WatchOutput> output) {
  output_ = std::move(output);
  server_.internals().watches.add(shared_from_this());
  if (server_.stopping()) return finish();
  arm_timers();
  if (failed_) return fail(*failed_);
  pump_initial();
}

void WatchSession::pump_initial() {
  if (initial_) {
    while (sent_ < initial_->items.size()) {
      if (stopped_) return;
      if (output_->congested()) {
        server_.internals().watches.strand().post_after(
            kCongestionPause, [self = shared_from_this()] { self->pump_initial(); });
        return;
      }
      if (!output_->event(WatchEventType::kAdded, initial_->items[sent_++])) return finish();
    }
    initial_.reset();
    if (send_initial_ && bookmarks_ && !output_->bookmark(after_, true)) return finish();
  }
  follow();
}

void WatchSession::follow() {
  auto handle =
      server_.registry().watch(resource_, namespace_, after_, filter_, shared_from_this());
  if (!handle) return fail(handle.error());
  std::shared_ptr<storage::WatchHandle> mine = std::move(*handle);
  {
    std::lock_guard lock(mutex_);
    if (!stopped_) handle_.swap(mine);
  }
  // If stopped meanwhile, `mine` ends the store's watch here, outside of the lock.
}

void WatchSession::fail(const api::Error& error) {
  if (!stopped_) output_->error(error);
  finish();
}

void WatchSession::arm_timers() {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  const std::weak_ptr<WatchSession> weak = weak_from_this();
  Strand& strand = server_.internals().watches.strand();
  timeout_timer_ = strand.post_after(timeout_, [weak] {
    if (auto self = weak.lock()) self->finish();
  });
  if (bookmarks_) arm_bookmark();
}

void WatchSession::arm_bookmark() {
  const std::weak_ptr<WatchSession> weak = weak_from_this();
  bookmark_timer_ = server_.internals().watches.strand().post_after(kBookmarkInterval, [weak] {
    auto self = weak.lock();
    if (!self || self->stopped_) return;
    self->bookmark_due_ = true;
    std::shared_ptr<storage::WatchHandle> handle;
    {
      std::lock_guard lock(self->mutex_);
      handle = self->handle_;
      self->arm_bookmark();
    }
    if (handle) handle->request_progress();
  });
}

void WatchSession::stop() {
  std::shared_ptr<storage::WatchHandle> handle;
  {
    std::lock_guard lock(mutex_);
    if (stopped_.exchange(true)) return;
    handle.swap(handle_);
    Strand& strand = server_.internals().watches.strand();
    if (timeout_timer_) strand.cancel_timer(*timeout_timer_);
    if (bookmark_timer_) strand.cancel_timer(*bookmark_timer_);
  }
  handle.reset();
  server_.internals().watches.remove(this);
}

void WatchSession::finish() {
  const auto self = shared_from_this();
  stop();
  if (output_ && !finished_.exchange(true)) output_->finish();
}

bool WatchSession::event(WatchEventType type, const Stored& object) {
  return !stopped_ && output_->event(type, object);
}

bool WatchSession::progress(storage::Revision through) {
  if (stopped_) return false;
  if (!bookmark_due_.exchange(false)) return true;
  return output_->bookmark(through, false);
}

void WatchSession::ended(const std::optional<api::Error>& why) {
  // On the store's thread, where the handle must not be dropped.
  server_.internals().watches.strand().post([self = shared_from_this(), why] {
    if (why && !self->stopped_) self->output_->error(*why);
    self->finish();
  });
}

void WatchSessions::add(std::shared_ptr<WatchSession> session) {
  std::lock_guard lock(mutex_);
  WatchSession* key = session.get();
  sessions_.emplace(key, std::move(session));
}

void WatchSessions::remove(WatchSession* session) {
  std::shared_ptr<WatchSession> last;
  std::lock_guard lock(mutex_);
  const auto it = sessions_.find(session);
  if (it == sessions_.end()) return;
  last = std::move(it->second);
  sessions_.erase(it);
}

void WatchSessions::finish_all() {
  std::map<WatchSession*, std::shared_ptr<WatchSession>> all;
  {
    std::lock_guard lock(mutex_);
    all = sessions_;
  }
  for (auto& [key, session] : all) session->finish();
}

size_t WatchSessions::size() const {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

}  // namespace orch::server
