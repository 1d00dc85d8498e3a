#include "ctl/websocket.h"

#include <algorithm>
#include <cstring>

namespace orch::ctl {
namespace {

// The messages of a WebSocket as a stream of bytes.
class Tunnel final : public net::RawConnection {
 public:
  explicit Tunnel(std::unique_ptr<net::WebSocket> socket) : socket_(std::move(socket)) {}
  Result<size_t, std::string> read(char* buffer, size_t size) override {
    while (at_ == message_.size()) {
      ORCH_TRY(auto message, socket_->receive());
      if (!message) return size_t{0};
      message_ = std::move(message->payload);
      at_ = 0;
    }
    const size_t count = std::min(size, message_.size() - at_);
    std::memcpy(buffer, message_.data() + at_, count);
    at_ += count;
    return count;
  }
  Result<Unit, std::string> write_all(std::string_view bytes) override {
    return socket_->send(bytes);
  }
  void shutdown_write() override { socket_->end(); }
  void close() override { socket_->close(); }

 private:
  std::unique_ptr<net::WebSocket> socket_;
  std::string message_;
  size_t at_ = 0;
};

}  // namespace

Outcome<std::unique_ptr<net::WebSocket>> open_websocket(ApiClient& client,
                                                        const std::string& target,
                                                        const std::string& protocols) {
  const std::string key = net::websocket_key();
  ORCH_TRY(auto upgraded, client.upgrade(target, {{"Connection", "Upgrade"},
                                                  {"Upgrade", "websocket"},
                                                  {"Sec-WebSocket-Version", "13"},
                                                  {"Sec-WebSocket-Key", key},
                                                  {"Sec-WebSocket-Protocol", protocols}}));
  const net::Headers& answer = upgraded.answer.headers;
  if (net::header(answer, "Sec-WebSocket-Accept") != net::websocket_accept(key)) {
    return Err(error("unable to upgrade connection: websocket: bad handshake"));
  }
  return std::make_unique<net::WebSocket>(
      std::move(upgraded.connection), net::WebSocketRole::kClient,
      std::string(net::header(answer, "Sec-WebSocket-Protocol")));
}

Outcome<std::unique_ptr<net::SpdyClient>> open_port_forward(ApiClient& client,
                                                            const std::string& target) {
  ORCH_TRY(auto socket, open_websocket(client, target, "SPDY/3.1+portforward.k8s.io"));
  return std::make_unique<net::SpdyClient>(std::make_shared<Tunnel>(std::move(socket)));
}

}  // namespace orch::ctl
