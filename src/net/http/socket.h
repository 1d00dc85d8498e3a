// A Channel with blocking calls, for one reader and one writer thread at a time: the client's
// connections and both sides of an upgrade. Private to net/http.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "net/http/channel.h"
#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/http.h"

namespace orch::net {

class Socket {
 public:
  using Deadline = std::optional<MonoTime>;  // nullopt = none

  // `first` are bytes of the peer that were read already.
  explicit Socket(Channel channel, std::string first = {});
  Result<Unit, std::string> handshake(Deadline deadline);
  // 0 = end of stream. Errors: "context deadline exceeded", "use of closed network connection", ...
  Result<size_t, std::string> read(char* buffer, size_t size, Deadline deadline);
  Result<Unit, std::string> write_all(std::string_view bytes, Deadline deadline);
  void shutdown_write();
  void close();  // wakes both; any thread; the descriptor lives until the destructor
  bool closed() const { return closed_.load(); }
  // Nothing to read and not ended: an idle kept-alive connection may be used again.
  bool idle_and_open();
  void unread(std::string bytes);  // to be read again, first
  SSL* ssl() const { return channel_.ssl(); }
  Channel take() { return std::move(channel_); }  // nobody else uses it any more

 private:
  // Waits for the socket; false = deadline.
  Result<Unit, std::string> wait(Io what, Deadline deadline);
  std::mutex mutex_;  // OpenSSL's state serves one call at a time
  Channel channel_;
  std::string first_;
  std::atomic<bool> closed_{false};
};

std::unique_ptr<RawConnection> raw_connection(std::shared_ptr<Socket> socket);

}  // namespace orch::net
