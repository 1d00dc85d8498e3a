#include "net/http/socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "net/http/out_queue.h"
#include "net/http/thread.h"

namespace orch::net {
namespace {

constexpr const char* kTimeout = "context deadline exceeded";
constexpr const char* kClosed = "use of closed network connection";

class SocketConnection final : public RawConnection {
 public:
  explicit SocketConnection(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  ~SocketConnection() override { socket_->close(); }
  Result<size_t, std::string> read(char* buffer, size_t size) override {
    return socket_->read(buffer, size, std::nullopt);
  }
  Result<Unit, std::string> write_all(std::string_view bytes) override {
    return socket_->write_all(bytes, std::nullopt);
  }
  void shutdown_write() override { socket_->shutdown_write(); }
  void close() override { socket_->close(); }

 private:
  std::shared_ptr<Socket> socket_;
};

void copy_until_end(RawConnection& from, RawConnection& to) {
  auto buffer = std::make_unique<char[]>(kRecordBytes);
  while (true) {
    auto got = from.read(buffer.get(), kRecordBytes);
    if (!got) {
      // Broken, not ended: the other side can expect nothing more either way.
      to.close();
      return;
    }
    if (*got == 0) {
      to.shutdown_write();
      return;
    }
    if (!to.write_all({buffer.get(), *got})) {
      from.close();
      return;
    }
  }
}

}  // namespace

Socket::Socket(Channel channel, std::string first)
    : channel_(std::move(channel)), first_(std::move(first)) {}

Result<Unit, std::string> Socket::wait(Io what, Deadline deadline) {
  pollfd entry{channel_.fd(), static_cast<short>(what == Io::kWantRead ? POLLIN : POLLOUT), 0};
  while (!closed()) {
    int timeout = -1;
    if (deadline) {
      auto left = std::chrono::ceil<Millis>(*deadline - system_clock().mono()).count();
      if (left <= 0) return Err(std::string(kTimeout));
      timeout = static_cast<int>(std::min<int64_t>(left, 3600 * 1000));
    }
    int ready = ::poll(&entry, 1, timeout);
    if (ready > 0) return Unit{};
    if (ready < 0 && errno != EINTR) return Err(system_error_text(errno));
  }
  return Err(std::string(kClosed));
}

Result<Unit, std::string> Socket::handshake(Deadline deadline) {
  while (true) {
    Io io;
    {
      std::lock_guard lock(mutex_);
      io = channel_.handshake();
      if (io == Io::kError) return Err(channel_.error());
    }
    if (io == Io::kOk) return Unit{};
    if (io == Io::kEnd) return Err(std::string("EOF"));
    ORCH_CHECK(wait(io, deadline));
  }
}

Result<size_t, std::string> Socket::read(char* buffer, size_t size, Deadline deadline) {
  while (!closed()) {
    Io io;
    {
      std::lock_guard lock(mutex_);
      if (!first_.empty()) {
        size_t take = std::min(size, first_.size());
        std::copy_n(first_.data(), take, buffer);
        first_.erase(0, take);
        return take;
      }
      size_t got = 0;
      io = channel_.read(buffer, size, got);
      if (io == Io::kOk) return got;
      if (io == Io::kError && !closed()) return Err(channel_.error());
    }
    if (io == Io::kEnd && !closed()) return size_t{0};
    if (io == Io::kWantRead || io == Io::kWantWrite) ORCH_CHECK(wait(io, deadline));
  }
  return Err(std::string(kClosed));
}

Result<Unit, std::string> Socket::write_all(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty() && !closed()) {
    Io io;
    {
      std::lock_guard lock(mutex_);
      size_t put = 0;
      io = channel_.write(bytes.data(), std::min(bytes.size(), kRecordBytes), put);
      bytes.remove_prefix(put);
      if (io == Io::kError && !closed()) return Err(channel_.error());
    }
    if (io == Io::kEnd && !closed()) return Err(std::string("broken pipe"));
    if (io == Io::kWantRead || io == Io::kWantWrite) ORCH_CHECK(wait(io, deadline));
  }
  if (closed()) return Err(std::string(kClosed));
  return Unit{};
}

void Socket::shutdown_write() {
  std::lock_guard lock(mutex_);
  if (!closed()) channel_.end_write();
}

void Socket::close() {
  if (!closed_.exchange(true)) channel_.shutdown();
}

void Socket::unread(std::string bytes) {
  std::lock_guard lock(mutex_);
  first_.insert(0, bytes);
}

bool Socket::idle_and_open() {
  std::lock_guard lock(mutex_);
  if (closed() || !first_.empty() || channel_.buffered()) return false;
  pollfd entry{channel_.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 0;
}

std::unique_ptr<RawConnection> raw_connection(std::shared_ptr<Socket> socket) {
  return std::make_unique<SocketConnection>(std::move(socket));
}

void pump(RawConnection& a, RawConnection& b) {
  pthread_t thread;
  if (!start_thread(
          "http-pump", kSmallStackBytes, [&] { copy_until_end(b, a); }, thread)) {
    a.close();
    b.close();
    return;
  }
  copy_until_end(a, b);
  pthread_join(thread, nullptr);
}

}  // namespace orch::net
