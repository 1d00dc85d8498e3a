#include "orch/net/websocket.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "orch/base/random.h"
#include "orch/base/strings.h"

namespace orch::net {
namespace {

constexpr char kGuid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr size_t kReadBytes = 32 * 1024;

bool is_control(uint8_t opcode) { return (opcode & 8) != 0; }

void apply_mask(char* bytes, size_t size, uint32_t mask) {
  std::array<char, 4> key{};
  for (size_t i = 0; i < 4; ++i) key[i] = static_cast<char>(mask >> (24 - 8 * i));
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ key[i % 4]);
}

}  // namespace

std::string encode_websocket_frame(WebSocketOpcode opcode, std::string_view payload,
                                   std::optional<uint32_t> mask) {
  const uint64_t size = payload.size();
  const int length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
  std::string out;
  out.reserve(payload.size() + 14);
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  const uint64_t length = length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127;
  out += static_cast<char>((mask ? 0x80 : 0) | length);
  for (int i = length_bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i));
  if (mask) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(*mask >> shift);
  }
  const size_t begin = out.size();
  out += payload;
  if (mask) apply_mask(out.data() + begin, payload.size(), *mask);
  return out;
}

Result<std::optional<WebSocketMessage>, std::string> WebSocketReader::next() {
  std::optional<WebSocketMessage> out;
  for (;;) {
    ORCH_TRY(const bool took, take_frame(out));
    if (took && !out) continue;
    if (!took && at_ > 0) {
      buffer_.erase(0, at_);
      at_ = 0;
    }
    return out;
  }
}

// True = a frame was taken off the buffer; `out` is set if it ended a message.
Result<bool, std::string> WebSocketReader::take_frame(std::optional<WebSocketMessage>& out) {
  const std::string_view bytes = std::string_view(buffer_).substr(at_);
  auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (bytes.size() < 2) return false;
  const bool fin = (byte(0) & 0x80) != 0, masked = (byte(1) & 0x80) != 0;
  const uint8_t opcode = byte(0) & 0x0F;
  if ((byte(0) & 0x70) != 0) return Err(std::string("websocket: reserved bits set"));
  if (masked && role_ == WebSocketRole::kClient) {
    return Err(std::string("websocket: masked frame from the server"));
  }
  if (!masked && role_ == WebSocketRole::kServer) {
    return Err(std::string("websocket: unmasked frame from the client"));
  }
  if (opcode > 10 || (opcode > 2 && opcode < 8)) {
    return Err(fmt::format("websocket: unknown opcode {}", opcode));
  }
  uint64_t size = byte(1) & 0x7F;
  size_t head = 2;
  if (size >= 126) {
    if (is_control(opcode)) return Err(std::string("websocket: control frame too long"));
    const size_t length_bytes = size == 126 ? 2 : 8;
    if (bytes.size() < head + length_bytes) return false;
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8 | byte(head + i);
    head += length_bytes;
  }
  if (is_control(opcode) && !fin) return Err(std::string("websocket: fragmented control frame"));
  const size_t held = partial_ ? partial_->payload.size() : 0;
  if (size > kMessageBytesMax || size + held > kMessageBytesMax) {
    return Err(fmt::format("websocket: message of {} bytes is too long", size));
  }
  if (masked) head += 4;
  if (bytes.size() < head + size) return false;
  std::string payload(bytes.substr(head, size));
  if (masked) {
    uint32_t mask = 0;
    for (size_t i = head - 4; i < head; ++i) mask = mask << 8 | byte(i);
    apply_mask(payload.data(), payload.size(), mask);
  }
  at_ += head + size;
  if (is_control(opcode)) {
    out = WebSocketMessage{static_cast<WebSocketOpcode>(opcode), std::move(payload)};
    return true;
  }
  if (opcode == 0) {
    if (!partial_) return Err(std::string("websocket: continuation of nothing"));
    partial_->payload += payload;
  } else {
    if (partial_) return Err(std::string("websocket: new message inside a fragmented one"));
    partial_ = WebSocketMessage{static_cast<WebSocketOpcode>(opcode), std::move(payload)};
  }
  if (fin) {
    out = std::move(partial_);
    partial_.reset();
  }
  return true;
}

std::string websocket_key() {
  std::string nonce;
  for (int i = 0; i < 2; ++i) {
    const uint64_t bits = system_random().next();
    nonce.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  return base64_encode(nonce);
}

// SHA-1 because the handshake asks for it; nothing is secured by it.
std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + kGuid;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64_encode({reinterpret_cast<const char*>(digest.data()), size});
}

bool is_websocket_request(const Headers& headers) {
  return header_has_token(headers, "Connection", "upgrade") &&
         header_has_token(headers, "Upgrade", "websocket");
}

std::vector<std::string> websocket_protocols(const Headers& headers) {
  std::vector<std::string> out;
  for (auto [it, end] = headers.equal_range("Sec-WebSocket-Protocol"); it != end; ++it) {
    for (const std::string& part : split(it->second, ',')) {
      if (const auto name = trim(part); !name.empty()) out.emplace_back(name);
    }
  }
  return out;
}

Result<Unit, std::string> accept_websocket(const HttpRequest& request, std::string_view protocol,
                                           HttpResponse& response) {
  if (request.method != "GET") return Err(std::string("bad method"));
  if (!is_websocket_request(request.headers)) return Err(std::string("not websocket protocol"));
  const std::string_view key = header(request.headers, "Sec-WebSocket-Key");
  if (key.empty()) return Err(std::string("mismatch challenge/response"));
  if (header(request.headers, "Sec-WebSocket-Version") != "13") {
    return Err(std::string("missing or bad WebSocket Version"));
  }
  response.status = 101;
  response.set("Connection", "Upgrade");
  response.set("Upgrade", "websocket");
  response.set("Sec-WebSocket-Accept", websocket_accept(key));
  if (!protocol.empty()) response.set("Sec-WebSocket-Protocol", std::string(protocol));
  return Unit{};
}

Result<Unit, std::string> WebSocket::write(WebSocketOpcode opcode, std::string_view payload) {
  std::optional<uint32_t> mask;
  if (role_ == WebSocketRole::kClient) mask = static_cast<uint32_t>(system_random().next());
  const std::string frame = encode_websocket_frame(opcode, payload, mask);
  std::lock_guard lock(write_mutex_);
  if (ended_) return Err(std::string("websocket: closed"));
  ended_ = opcode == WebSocketOpcode::kClose;
  return connection_->write_all(frame);
}

Result<Unit, std::string> WebSocket::send(std::string_view payload, WebSocketOpcode opcode) {
  return write(opcode, payload);
}

Result<std::optional<WebSocketMessage>, std::string> WebSocket::receive() {
  std::array<char, kReadBytes> bytes;
  for (;;) {
    ORCH_TRY(auto message, reader_.next());
    if (message) {
      if (message->opcode == WebSocketOpcode::kPing) {
        // Not being able to answer matters to the sender of the next data, not here.
        (void)write(WebSocketOpcode::kPong, message->payload);
      } else if (message->opcode == WebSocketOpcode::kClose) {
        (void)write(WebSocketOpcode::kClose, message->payload);
        return std::optional<WebSocketMessage>();
      } else if (message->opcode != WebSocketOpcode::kPong) {
        return message;
      }
      continue;
    }
    ORCH_TRY(const size_t count, connection_->read(bytes.data(), bytes.size()));
    if (count == 0) return std::optional<WebSocketMessage>();
    reader_.feed({bytes.data(), count});
  }
}

void WebSocket::end(uint16_t code) {
  const std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
  (void)write(WebSocketOpcode::kClose, payload);
}

void WebSocket::close() { connection_->close(); }

}  // namespace orch::net
