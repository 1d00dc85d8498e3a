// One running watch: initial events, then the store's, bookmarks, time limit; to an HTTP stream or
// to in-process callbacks. Held by the ApiServer until it ends. stop() and finish(): any thread.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "orch/base/executor.h"
#include "server/api/api_server.h"
#include "server/api/call.h"
#include "server/api/encode.h"

namespace orch::server {

// Where a watch goes. Calls come one at a time, but for finish(), which may come at any moment.
class WatchOutput {
 public:
  virtual ~WatchOutput() = default;
  // False = gone or too slow: the watch ends.
  virtual bool event(WatchEventType type, const Stored& object) = 0;
  virtual bool bookmark(storage::Revision revision, bool initial_events_end) = 0;
  virtual void error(const api::Error& error) = 0;
  virtual void finish() = 0;  // the last call
  // True: pause the initial events for a moment.
  virtual bool congested() const { return false; }
};

class WatchSession final : public WatchReceiver, public std::enable_shared_from_this<WatchSession> {
 public:
  // Reads the options of `call`. Errors are those that fail the request itself; a version that is
  // gone becomes an ERROR event.
  static api::ApiResult<std::shared_ptr<WatchSession>> prepare(ApiServer& server, const Call& call,
                                                               const api::ResourceInfo& resource);
  // Once, with where to write. Registers itself with the server.
  void begin(std::shared_ptr<WatchOutput> output);
  // No output call begins after it (but for one that runs); idempotent.
  void stop();
  // stop(), then output->finish().
  void finish();

  bool event(WatchEventType type, const Stored& object) override;
  bool progress(storage::Revision through) override;
  void ended(const std::optional<api::Error>& why) override;

 private:
  WatchSession(ApiServer& server, const api::ResourceInfo& resource);
  void pump_initial();
  void follow();
  void fail(const api::Error& error);
  void arm_timers();
  void arm_bookmark();

  ApiServer& server_;
  const api::ResourceInfo& resource_;
  std::string namespace_;
  ObjectFilter filter_;
  bool bookmarks_ = false;
  bool send_initial_ = false;  // the client asked: ends with a bookmark
  storage::Revision after_ = 0;
  std::optional<Page> initial_;  // to be sent first
  size_t sent_ = 0;
  std::optional<api::Error> failed_;
  Micros timeout_{};

  std::atomic<bool> stopped_{false};
  std::atomic<bool> finished_{false};
  std::atomic<bool> bookmark_due_{false};
  std::shared_ptr<WatchOutput> output_;
  std::mutex mutex_;
  std::shared_ptr<storage::WatchHandle> handle_;
  std::optional<uint64_t> timeout_timer_, bookmark_timer_;
};

// What running watches share (in ApiServer::Internals).
class WatchSessions {
 public:
  explicit WatchSessions(Executor& executor) : strand_(executor.make_strand("api-watch")) {}
  void add(std::shared_ptr<WatchSession> session);
  void remove(WatchSession* session);
  void finish_all();
  size_t size() const;
  Strand& strand() { return *strand_; }

 private:
  std::shared_ptr<Strand> strand_;
  mutable std::mutex mutex_;
  std::map<WatchSession*, std::shared_ptr<WatchSession>> sessions_;
};

// The frames last made, shared by all watchers that want the same bytes. Any thread.
class FrameCache {
 public:
  using Frame = std::shared_ptr<const std::string>;
  template <class Make>
  Frame get(const Stored& object, WatchEventType type, std::string_view form, Make&& make) {
    std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_) {
      if (entry.value == object.value() && entry.revision == object.revision() &&
          entry.type == type && entry.form == form) {
        return entry.frame;
      }
    }
    auto frame = std::make_shared<const std::string>(make());
    entries_[next_++ % entries_.size()] =
        Entry{object.value(), object.revision(), type, std::string(form), frame};
    return frame;
  }

 private:
  struct Entry {
    storage::Bytes value;  // pinned, so that its address stays its own
    storage::Revision revision = 0;
    WatchEventType type{};
    std::string form;
    Frame frame;
  };
  std::mutex mutex_;
  std::array<Entry, 64> entries_;
  size_t next_ = 0;
};

}  // namespace orch::server
