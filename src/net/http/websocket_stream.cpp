// A streamed response as WebSocket messages.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <thread>

#include "orch/base/strings.h"
#include "orch/net/websocket.h"

namespace orch::net {
namespace {

constexpr size_t kBufferBytesMax = 16 * 1024 * 1024;
constexpr Seconds kGoodbye{5};  // how long the peer may take to answer ours

// Messages wait in a queue that the upgrade's own thread sends; a second thread hears the peer.
class MessageStream final : public Stream {
 public:
  explicit MessageStream(MessageForm form) : form_(form) {}

  bool write(std::string bytes) override {
    return write(std::make_shared<const std::string>(std::move(bytes)));
  }

  bool write(std::shared_ptr<const std::string> bytes) override {
    std::lock_guard lock(mutex_);
    if (closed_ || finished_) return false;
    if (waiting_ > 0 && waiting_ + bytes->size() > kBufferBytesMax) {
      queue_.clear();
      waiting_ = 0;
      closed_ = true;
      changed_.notify_all();
      return false;
    }
    waiting_ += bytes->size();
    queue_.push_back(std::move(bytes));
    changed_.notify_all();
    return true;
  }

  size_t buffered_bytes() const override {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

  bool wait_below(size_t bytes, Millis timeout) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return closed_ || waiting_ <= bytes; }) &&
           !closed_;
  }

  void finish() override {
    std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  void on_close(std::function<void()> fn) override {
    {
      std::lock_guard lock(mutex_);
      if (!ended_) {
        on_close_ = std::move(fn);
        return;
      }
    }
    fn();
  }

  // Sends until the producer ended, the peer is gone or too slow.
  void send_all(WebSocket& socket) {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return closed_ || finished_ || !queue_.empty(); });
      if (closed_ || queue_.empty()) return;
      const auto bytes = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      const bool sent = send(socket, *bytes);
      lock.lock();
      waiting_ -= std::min(waiting_, bytes->size());
      if (!sent) closed_ = true;
      changed_.notify_all();
    }
  }

  void peer_gone() {
    std::lock_guard lock(mutex_);
    closed_ = gone_ = true;
    changed_.notify_all();
  }

  void wait_gone(Micros timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return gone_; });
  }

  void end() {
    std::function<void()> fn;
    {
      std::lock_guard lock(mutex_);
      closed_ = ended_ = true;
      fn = std::exchange(on_close_, nullptr);
      changed_.notify_all();
    }
    if (fn) fn();
  }

 private:
  bool send(WebSocket& socket, std::string_view bytes) const {
    if (form_ == MessageForm::kBase64) {
      return socket.send(base64_encode(bytes), WebSocketOpcode::kText).has_value();
    }
    return socket
        .send(bytes,
              form_ == MessageForm::kText ? WebSocketOpcode::kText : WebSocketOpcode::kBinary)
        .has_value();
  }

  const MessageForm form_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<const std::string>> queue_;
  std::function<void()> on_close_;
  size_t waiting_ = 0;
  bool finished_ = false;  // by the producer
  bool closed_ = false;    // nobody reads any more
  bool gone_ = false;      // the peer closed, or the connection broke
  bool ended_ = false;
};

}  // namespace

Result<Unit, std::string> stream_as_messages(const HttpRequest& request, std::string_view protocol,
                                             MessageForm form, HttpResponse& response) {
  ORCH_CHECK(accept_websocket(request, protocol, response));
  response.headers.erase("Content-Type");
  response.join_body();
  auto start = response.stream_start();
  response.stream(nullptr);
  response.upgrade([start = std::move(start), body = std::exchange(response.body, {}), form,
                    protocol = std::string(protocol)](std::unique_ptr<RawConnection> connection) {
    WebSocket socket(std::move(connection), WebSocketRole::kServer, protocol);
    auto stream = std::make_shared<MessageStream>(form);
    std::thread listener([&socket, stream] {
      while (true) {
        auto message = socket.receive();
        if (!message || !*message) break;
      }
      stream->peer_gone();
    });
    if (!body.empty()) stream->write(body);
    if (start) {
      start(stream);
    } else {
      stream->finish();
    }
    stream->send_all(socket);
    stream->end();
    socket.end();
    stream->wait_gone(kGoodbye);
    socket.close();
    listener.join();
  });
  return Unit{};
}

}  // namespace orch::net
