#include "ctl/websocket.h"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "orch/base/random.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

constexpr char kGuid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3

// RFC 3174. The handshake asks for SHA-1; nothing is secured by it.
std::string sha1(std::string_view text) {
  std::array<uint32_t, 5> h{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  std::string padded(text);
  padded += '\x80';
  while (padded.size() % 64 != 56) padded += '\0';
  const uint64_t bits = text.size() * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift);
  for (size_t block = 0; block < padded.size(); block += 64) {
    std::array<uint32_t, 80> w{};
    for (size_t i = 0; i < 16; ++i) {
      for (size_t byte = 0; byte < 4; ++byte) {
        w[i] = w[i] << 8 | static_cast<uint8_t>(padded[block + i * 4 + byte]);
      }
    }
    for (size_t i = 16; i < 80; ++i) {
      w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    auto [a, b, c, d, e] = h;
    for (size_t i = 0; i < 80; ++i) {
      uint32_t f = b ^ c ^ d, k = i < 40 ? 0x6ED9EBA1 : 0xCA62C1D6;
      if (i < 20) {
        f = (b & c) | (~b & d);
        k = 0x5A827999;
      } else if (i >= 40 && i < 60) {
        f = (b & c) | (b & d) | (c & d);
        k = 0x8F1BBCDC;
      }
      const uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    h = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e};
  }
  std::string out;
  for (const uint32_t word : h) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(word >> shift);
  }
  return out;
}

bool is_control(uint8_t opcode) { return (opcode & 8) != 0; }

}  // namespace

std::string encode_frame(Opcode opcode, std::string_view payload, uint32_t mask) {
  std::string out;
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  const uint64_t size = payload.size();
  const int length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
  out += static_cast<char>(0x80 | (length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127));
  for (int i = length_bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i));
  std::array<char, 4> key{};
  for (size_t i = 0; i < 4; ++i) key[i] = static_cast<char>(mask >> (24 - 8 * i));
  out.append(key.data(), key.size());
  for (size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(payload[i] ^ key[i % 4]);
  }
  return out;
}

std::string websocket_accept(std::string_view key) {
  return base64_encode(sha1(std::string(key) + kGuid));
}

Result<std::optional<WebSocketMessage>, std::string> FrameReader::next() {
  std::optional<WebSocketMessage> out;
  for (;;) {
    ORCH_TRY(const bool took, take_frame(out));
    if (!took || out) return out;
  }
}

// True = a frame was taken off the buffer; `out` is set if it ended a message.
Result<bool, std::string> FrameReader::take_frame(std::optional<WebSocketMessage>& out) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(buffer_[i]); };
  if (buffer_.size() < 2) return false;
  const bool fin = (byte(0) & 0x80) != 0;
  const uint8_t opcode = byte(0) & 0x0F;
  if ((byte(0) & 0x70) != 0) return Err(std::string("websocket: reserved bits set"));
  if ((byte(1) & 0x80) != 0) return Err(std::string("websocket: masked frame from the server"));
  if (opcode > 10 || (opcode > 2 && opcode < 8)) {
    return Err(fmt::format("websocket: unknown opcode {}", opcode));
  }
  uint64_t size = byte(1) & 0x7F;
  size_t head = 2;
  if (size >= 126) {
    if (is_control(opcode)) return Err(std::string("websocket: control frame too long"));
    const size_t length_bytes = size == 126 ? 2 : 8;
    if (buffer_.size() < head + length_bytes) return false;
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8 | byte(head + i);
    head += length_bytes;
  }
  if (is_control(opcode) && !fin) return Err(std::string("websocket: fragmented control frame"));
  const size_t held = partial_ ? partial_->payload.size() : 0;
  if (size > kMessageBytesMax || size + held > kMessageBytesMax) {
    return Err(fmt::format("websocket: message of {} bytes is too long", size));
  }
  if (buffer_.size() < head + size) return false;
  std::string payload = buffer_.substr(head, size);
  buffer_.erase(0, head + size);
  if (is_control(opcode)) {
    out = WebSocketMessage{static_cast<Opcode>(opcode), std::move(payload)};
    return true;
  }
  if (opcode == 0) {
    if (!partial_) return Err(std::string("websocket: continuation of nothing"));
    partial_->payload += payload;
  } else {
    if (partial_) return Err(std::string("websocket: new message inside a fragmented one"));
    partial_ = WebSocketMessage{static_cast<Opcode>(opcode), std::move(payload)};
  }
  if (fin) {
    out = std::move(partial_);
    partial_.reset();
  }
  return true;
}

Outcome<std::unique_ptr<WebSocket>> WebSocket::open(ApiClient& client, const std::string& target,
                                                    const std::string& protocols) {
  std::string nonce;
  for (int i = 0; i < 2; ++i) {
    const uint64_t bits = system_random().next();
    nonce.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  const std::string key = base64_encode(nonce);
  ORCH_TRY(auto upgraded, client.upgrade(target, {{"Connection", "Upgrade"},
                                                  {"Upgrade", "websocket"},
                                                  {"Sec-WebSocket-Version", "13"},
                                                  {"Sec-WebSocket-Key", key},
                                                  {"Sec-WebSocket-Protocol", protocols}}));
  const net::Headers& answer = upgraded.answer.headers;
  if (net::header(answer, "Sec-WebSocket-Accept") != websocket_accept(key)) {
    return Err(error("unable to upgrade connection: websocket: bad handshake"));
  }
  std::unique_ptr<WebSocket> out(new WebSocket);
  out->connection_ = std::move(upgraded.connection);
  out->protocol_ = std::string(net::header(answer, "Sec-WebSocket-Protocol"));
  return out;
}

WebSocket::~WebSocket() { close(); }

void WebSocket::close() {
  if (connection_) connection_->close();
}

Result<Unit, std::string> WebSocket::send_frame(Opcode opcode, std::string_view payload) {
  const std::string frame =
      encode_frame(opcode, payload, static_cast<uint32_t>(system_random().next()));
  std::lock_guard lock(write_mutex_);
  return connection_->write_all(frame);
}

Result<Unit, std::string> WebSocket::send(std::string_view payload) {
  return send_frame(Opcode::kBinary, payload);
}

Result<std::optional<std::string>, std::string> WebSocket::receive() {
  std::array<char, 32 * 1024> bytes;
  for (;;) {
    ORCH_TRY(auto message, reader_.next());
    if (message) {
      if (message->opcode == Opcode::kPing) {
        ORCH_CHECK(send_frame(Opcode::kPong, message->payload));
      } else if (message->opcode == Opcode::kClose) {
        (void)send_frame(Opcode::kClose, message->payload);
        return std::optional<std::string>();
      } else if (message->opcode != Opcode::kPong) {
        return std::optional<std::string>(std::move(message->payload));
      }
      continue;
    }
    ORCH_TRY(const size_t count, connection_->read(bytes.data(), bytes.size()));
    if (count == 0) return std::optional<std::string>();
    reader_.feed({bytes.data(), count});
  }
}

}  // namespace orch::ctl
