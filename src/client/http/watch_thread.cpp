#include "client/http/watch_thread.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>

#include "orch/base/json_scan.h"
#include "orch/base/strings.h"

namespace orch::client {
namespace {

constexpr size_t kLineBytesMax = 64 * 1024 * 1024;
constexpr size_t kErrorBodyBytesMax = 64 * 1024;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 2 * 1024 * 1024;  // instrumented frames are large
#else
constexpr size_t kStackBytes = 256 * 1024;  // TLS handshake and name look-up fit in it
#endif

// What the thread works on; shared, since it may outlive the handle that cancelled it.
struct Running {
  std::shared_ptr<net::HttpClient> client;
  std::string target;
  net::Headers headers;
  WatchCallbacks callbacks;
  std::shared_ptr<net::HttpClient::Cancel> cancel = net::HttpClient::make_cancel();

  std::recursive_mutex mutex;  // held during callbacks
  bool cancelled = false;

  void deliver(WatchEvent event) {
    std::lock_guard lock(mutex);
    if (!cancelled) callbacks.event(std::move(event));
  }
  void finish(const api::Error* error) {
    std::lock_guard lock(mutex);
    if (!cancelled) callbacks.ended(error);
  }
  bool is_cancelled() {
    std::lock_guard lock(mutex);
    return cancelled;
  }

  void run() {
    WatchDecoder decoder([this](WatchEvent event) { deliver(std::move(event)); });
    int status = 0;
    std::string refusal;
    auto result = client->stream(
        "GET", target, headers, "",
        [&](const net::HttpResult& head) {
          status = head.status;
          return true;
        },
        [&](std::string_view bytes) {
          if (is_cancelled()) return false;
          if (status != 200) {
            refusal.append(
                bytes.substr(0, kErrorBodyBytesMax - std::min(kErrorBodyBytesMax, refusal.size())));
            return refusal.size() < kErrorBodyBytesMax;
          }
          return decoder.feed(bytes);
        },
        cancel);
    if (status != 0 && status != 200) {
      const api::Error error = api::error_from_response(status, refusal);
      finish(&error);
    } else if (decoder.error()) {
      finish(decoder.error());
    } else if (!result && status == 0) {
      const api::Error error = api::service_unavailable(result.error());
      finish(&error);
    } else {
      finish(nullptr);  // a cut connection is an ordinary end: the caller resumes
    }
  }
};

void* thread_main(void* argument) {
  std::unique_ptr<std::shared_ptr<Running>> running(
      static_cast<std::shared_ptr<Running>*>(argument));
  (*running)->run();
  return nullptr;
}

class WatchThread final : public WatchStream {
 public:
  WatchThread(std::shared_ptr<Running> running, pthread_t thread)
      : running_(std::move(running)), thread_(thread) {}
  ~WatchThread() override {
    {
      std::lock_guard lock(running_->mutex);  // waits for a running callback of the thread
      running_->cancelled = true;
    }
    running_->cancel->cancel();
    if (pthread_equal(pthread_self(), thread_)) {
      pthread_detach(thread_);
    } else {
      pthread_join(thread_, nullptr);
    }
  }

 private:
  std::shared_ptr<Running> running_;
  pthread_t thread_;
};

}  // namespace

bool WatchDecoder::fail(api::Error error) {
  failed_ = true;
  error_ = std::move(error);
  return false;
}

bool WatchDecoder::feed(std::string_view bytes) {
  if (failed_) return false;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      if (rest_.size() + bytes.size() > kLineBytesMax) {
        return fail(api::internal_error("a watch event is too long"));
      }
      rest_.append(bytes);
      return true;
    }
    bool more = true;
    if (rest_.empty()) {
      more = line(bytes.substr(0, end));
    } else {
      rest_.append(bytes.substr(0, end));
      more = line(rest_);
      rest_.clear();
      if (rest_.capacity() > kErrorBodyBytesMax) rest_.shrink_to_fit();
    }
    if (!more) return false;
    bytes.remove_prefix(end + 1);
  }
  return true;
}

bool WatchDecoder::line(std::string_view text) {
  if (trim(text).empty()) return true;
  const auto type = json_member(text, "type");
  const auto object = json_member(text, "object");
  if (!type || !object) return fail(api::internal_error("a watch event cannot be read"));
  std::string name = json_string(*type).value_or("");
  if (name == "ERROR") {
    int code = 500;
    if (auto value = json_member(*object, "code")) {
      code = static_cast<int>(parse_int(*value).value_or(500));
    }
    return fail(api::error_from_response(code, *object));
  }
  event_({std::move(name), std::string(*object)});
  return true;
}

api::ApiResult<std::unique_ptr<WatchStream>> start_watch_thread(
    std::shared_ptr<net::HttpClient> client, std::string target, net::Headers headers,
    WatchCallbacks callbacks) {
  auto running = std::make_shared<Running>();
  running->client = std::move(client);
  running->target = std::move(target);
  running->headers = std::move(headers);
  running->callbacks = std::move(callbacks);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  auto argument = std::make_unique<std::shared_ptr<Running>>(running);
  pthread_t thread;
  const int failure = pthread_create(&thread, &attributes, thread_main, argument.get());
  pthread_attr_destroy(&attributes);
  if (failure != 0) {
    return Err(api::service_unavailable(std::string("watch thread: ") + std::strerror(failure)));
  }
  argument.release();
  return std::unique_ptr<WatchStream>(std::make_unique<WatchThread>(std::move(running), thread));
}

}  // namespace orch::client
