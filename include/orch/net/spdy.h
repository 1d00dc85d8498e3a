// SPDY/3.1 as Kubernetes' streaming uses it (exec, attach, port-forward): frames, and the client's
// side of a connection. Source: the SPDY protocol draft 3 and 3.1; of flow control nothing, as the
// implementations in use (moby/spdystream) neither send nor heed windows. The codec is pure.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "orch/net/http.h"

namespace orch::net {

enum class SpdyType : uint16_t {
  kData = 0,
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9
};

struct SpdyFrame {
  SpdyType type = SpdyType::kData;
  uint32_t stream = 0;  // kGoAway: the last good one
  bool fin = false;     // half-close by the sender
  Headers headers;      // kSynStream, kSynReply, kHeaders; names in lower case
  std::string payload;  // kData
  uint32_t value = 0;   // kRstStream, kGoAway: status; kPing: id; kWindowUpdate: delta
};

// Bytes in, frames out. A data frame that came in part is given in parts, FIN with the last. Frames
// of unknown type are skipped.
class SpdyReader {
 public:
  SpdyReader();
  ~SpdyReader();
  void feed(std::string_view bytes) { buffer_ += bytes; }
  // nullopt = more bytes are needed. Error: the peer broke the protocol; the connection is dead.
  Result<std::optional<SpdyFrame>, std::string> next();

 private:
  Result<std::optional<SpdyFrame>, std::string> take();
  Result<SpdyFrame, std::string> control(uint16_t type, uint8_t flags, std::string_view body);
  Result<Headers, std::string> header_block(std::string_view compressed);
  struct Inflater;
  std::unique_ptr<Inflater> inflater_;
  std::string buffer_;
  size_t at_ = 0;
  uint32_t data_stream_ = 0;
  size_t data_left_ = 0;
  bool data_fin_ = false;
};

// Header blocks share a compression state: frames go out in the order they were made.
class SpdyWriter {
 public:
  SpdyWriter();
  ~SpdyWriter();
  std::string syn_stream(uint32_t stream, const Headers& headers, bool fin = false);
  std::string syn_reply(uint32_t stream, const Headers& headers, bool fin = false);
  // At most 2^24 - 1 bytes.
  static std::string data(uint32_t stream, std::string_view bytes, bool fin);
  static std::string rst_stream(uint32_t stream, uint32_t status);
  static std::string ping(uint32_t id);
  static std::string go_away(uint32_t last_good, uint32_t status);

 private:
  std::string header_block(const Headers& headers);
  struct Deflater;
  std::unique_ptr<Deflater> deflater_;
};

// The client's side. receive() by one thread, the rest by any other: write() and finish() wait
// until receive() saw the stream's SYN_REPLY, as servers drop what comes before they sent it.
class SpdyClient {
 public:
  explicit SpdyClient(std::shared_ptr<RawConnection> connection)
      : connection_(std::move(connection)) {}
  ~SpdyClient() { close(); }
  SpdyClient(const SpdyClient&) = delete;

  // Asks for a stream; its refusal comes as an event with `reset`.
  Result<uint32_t, std::string> open(const Headers& headers);
  Result<Unit, std::string> write(uint32_t stream, std::string_view bytes);
  Result<Unit, std::string> finish(uint32_t stream);  // half-close
  Result<Unit, std::string> reset(uint32_t stream);   // both ways, at once (CANCEL)

  struct Event {
    uint32_t stream = 0;
    std::string bytes;
    bool end = false;    // the peer sends no more on it
    bool reset = false;  // and takes no more
  };
  // Pings are answered. nullopt = the connection ended.
  Result<std::optional<Event>, std::string> receive();
  void close();  // wakes receive()

 private:
  Result<Unit, std::string> send(std::string_view frame);
  Result<Unit, std::string> wait_for_reply(uint32_t stream);
  void note_reply(uint32_t stream);
  Result<std::optional<Event>, std::string> next_event();

  const std::shared_ptr<RawConnection> connection_;
  SpdyReader reader_;
  std::mutex reply_mutex_;
  std::condition_variable replied_;
  std::set<uint32_t> waiting_;  // streams without a reply
  bool ended_ = false;          // receive() got to the end
  std::mutex write_mutex_;
  SpdyWriter writer_;
  uint32_t next_stream_ = 1;
};

}  // namespace orch::net
