// RFC 6455 over a connection that is already upgraded: frames, messages and the handshake's
// arithmetic; client's and server's side. No extensions. The reader is pure.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/net/http.h"

namespace orch::net {

enum class WebSocketRole : uint8_t { kClient, kServer };

enum class WebSocketOpcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

struct WebSocketMessage {
  WebSocketOpcode opcode = WebSocketOpcode::kBinary;  // never kContinuation: fragments are joined
  std::string payload;
};

// One frame with FIN. Clients mask, servers do not.
std::string encode_websocket_frame(WebSocketOpcode opcode, std::string_view payload,
                                   std::optional<uint32_t> mask);

// Bytes from the peer in, messages out. `role` is ours: a server reads masked frames only, a client
// none.
class WebSocketReader {
 public:
  static constexpr size_t kMessageBytesMax = 32 * 1024 * 1024;
  explicit WebSocketReader(WebSocketRole role) : role_(role) {}
  void feed(std::string_view bytes) { buffer_ += bytes; }
  // nullopt = more bytes are needed. Error: what the peer did wrong; the connection is then dead.
  Result<std::optional<WebSocketMessage>, std::string> next();

 private:
  Result<bool, std::string> take_frame(std::optional<WebSocketMessage>& out);

  WebSocketRole role_;
  std::string buffer_;
  size_t at_ = 0;  // bytes of buffer_ that were read
  std::optional<WebSocketMessage> partial_;
};

// A fresh Sec-WebSocket-Key, and what must be answered to one.
std::string websocket_key();
std::string websocket_accept(std::string_view key);

// A request that asks for `Upgrade: websocket`.
bool is_websocket_request(const Headers& headers);
// The subprotocols it offers, in its order; without the header none.
std::vector<std::string> websocket_protocols(const Headers& headers);
// Turns the response into the handshake's answer. Error: why the request is no handshake (400).
Result<Unit, std::string> accept_websocket(const HttpRequest& request, std::string_view protocol,
                                           HttpResponse& response);

// How stream_as_messages() packs what is written: one message a write.
enum class MessageForm : uint8_t { kText, kBinary, kBase64 };
// Turns a response that streams (or has its body) into the handshake's answer, and sends the same
// bytes as messages then. Error: why the request is no handshake (400).
Result<Unit, std::string> stream_as_messages(const HttpRequest& request, std::string_view protocol,
                                             MessageForm form, HttpResponse& response);

// One connection. receive() by one thread, the rest by any.
class WebSocket {
 public:
  WebSocket(std::shared_ptr<RawConnection> connection, WebSocketRole role, std::string protocol)
      : connection_(std::move(connection)),
        role_(role),
        protocol_(std::move(protocol)),
        reader_(role) {}
  ~WebSocket() { close(); }
  WebSocket(const WebSocket&) = delete;

  const std::string& protocol() const { return protocol_; }
  Result<Unit, std::string> send(std::string_view payload,
                                 WebSocketOpcode opcode = WebSocketOpcode::kBinary);
  // Data messages only; pings are answered. nullopt = the peer closed.
  Result<std::optional<WebSocketMessage>, std::string> receive();
  // Says goodbye (RFC 6455, 7.4.1: 1000 normal, 1002 protocol error, 1011 failure) and sends no
  // more; the peer's answer is still to be received. Idempotent.
  void end(uint16_t code = 1000);
  void close();  // at once; wakes receive()

 private:
  Result<Unit, std::string> write(WebSocketOpcode opcode, std::string_view payload);

  const std::shared_ptr<RawConnection> connection_;
  const WebSocketRole role_;
  const std::string protocol_;
  WebSocketReader reader_;
  std::mutex write_mutex_;
  bool ended_ = false;
};

}  // namespace orch::net
