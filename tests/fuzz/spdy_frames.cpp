// SPDY frames and WebSocket frames from a peer: whatever comes, the readers answer the same however
// the bytes are cut.
#include <cstdint>

#include "orch/base/assert.h"
#include "orch/net/spdy.h"
#include "orch/net/websocket.h"

using namespace orch;
using namespace orch::net;

namespace {

struct Seen {
  std::string text;
  bool failed = false;
  bool operator==(const Seen&) const = default;
};

// Data is noted by stream as it adds up: where it is cut depends on the cuts.
Seen read_spdy(std::string_view bytes, size_t step) {
  SpdyReader reader;
  Seen seen;
  uint32_t last = 0;
  for (size_t at = 0; at < bytes.size() && !seen.failed; at += step) {
    reader.feed(bytes.substr(at, step));
    for (;;) {
      auto frame = reader.next();
      seen.failed = !frame;
      if (!frame || !*frame) break;
      const SpdyFrame& f = **frame;
      if (f.type != SpdyType::kData || f.stream != last) {
        seen.text += "|" + std::to_string(static_cast<int>(f.type)) + ":" +
                     std::to_string(f.stream) + ":" + std::to_string(f.value) + ":";
      }
      last = f.type == SpdyType::kData ? f.stream : 0;
      seen.text += f.payload;
      if (f.fin) seen.text += "#";
      for (const auto& [name, value] : f.headers) seen.text += name + "=" + value + ",";
    }
  }
  return seen;
}

Seen read_websocket(WebSocketRole role, std::string_view bytes, size_t step) {
  WebSocketReader reader(role);
  Seen seen;
  for (size_t at = 0; at < bytes.size() && !seen.failed; at += step) {
    reader.feed(bytes.substr(at, step));
    for (;;) {
      auto message = reader.next();
      seen.failed = !message;
      if (!message || !*message) break;
      ORCH_ASSERT((*message)->opcode != WebSocketOpcode::kContinuation);
      ORCH_ASSERT((*message)->payload.size() <= WebSocketReader::kMessageBytesMax);
      seen.text += std::to_string(static_cast<int>((*message)->opcode)) + (*message)->payload + "|";
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  const Seen whole = read_spdy(bytes, size);
  ORCH_ASSERT(whole == read_spdy(bytes, 1));
  ORCH_ASSERT(whole == read_spdy(bytes, 13));
  for (const WebSocketRole role : {WebSocketRole::kClient, WebSocketRole::kServer}) {
    const Seen messages = read_websocket(role, bytes, size);
    ORCH_ASSERT(messages == read_websocket(role, bytes, 1));
    ORCH_ASSERT(messages == read_websocket(role, bytes, 5));
  }
  return 0;
}
