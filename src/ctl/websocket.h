// The client's side of RFC 6455: handshake, frames, and nothing else. FrameReader is pure.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/api_client.h"

namespace orch::ctl {

enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

struct WebSocketMessage {
  Opcode opcode = Opcode::kBinary;  // never kContinuation: fragments are joined
  std::string payload;
};

// A masked frame with FIN, as clients send.
std::string encode_frame(Opcode opcode, std::string_view payload, uint32_t mask);

// Bytes from a server in, messages out.
class FrameReader {
 public:
  static constexpr size_t kMessageBytesMax = 64 * 1024 * 1024;
  void feed(std::string_view bytes) { buffer_ += bytes; }
  // nullopt = more bytes are needed. Error: what the peer did wrong; the connection is then dead.
  Result<std::optional<WebSocketMessage>, std::string> next();

 private:
  Result<bool, std::string> take_frame(std::optional<WebSocketMessage>& out);

  std::string buffer_;
  std::optional<WebSocketMessage> partial_;
};

// What the server must answer to a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

// One connection. receive() by one thread; send() by any.
class WebSocket {
 public:
  // `protocols`: in order of preference, comma-separated.
  static Outcome<std::unique_ptr<WebSocket>> open(ApiClient& client, const std::string& target,
                                                  const std::string& protocols);
  ~WebSocket();
  const std::string& protocol() const { return protocol_; }
  Result<Unit, std::string> send(std::string_view payload);  // a binary message
  // Data messages only; pings are answered. nullopt = the peer closed.
  Result<std::optional<std::string>, std::string> receive();
  void close();

 private:
  WebSocket() = default;
  Result<Unit, std::string> send_frame(Opcode opcode, std::string_view payload);

  std::unique_ptr<net::RawConnection> connection_;
  std::string protocol_;
  FrameReader reader_;
  std::mutex write_mutex_;
};

}  // namespace orch::ctl
