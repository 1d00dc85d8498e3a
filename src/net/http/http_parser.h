// Strict, incremental HTTP/1.1 parsing (RFC 9112), no I/O. What two implementations could read
// differently is refused: bare CR or LF, obs-fold, spaces before colons, both lengths, other
// transfer codings. Private to net/http.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orch/base/result.h"
#include "orch/net/http.h"

namespace orch::net {

struct ParseError {
  int status = 400;
  std::string message;
};

// Offset behind the empty line that ends a head, looking from `scanned` on; npos if it is not there
// yet. `scanned` moves so that no byte is looked at twice.
size_t find_head_end(std::string_view bytes, size_t& scanned);

// How a message's body is delimited.
struct BodyFraming {
  bool chunked = false;
  std::optional<uint64_t> length;  // neither: a request has none, a response goes to the end
};

struct RequestHead {
  std::string method, target;
  int minor_version = 1;
  Headers headers;
  BodyFraming framing;
  bool keep_alive = true;
  bool expect_continue = false;
};
// `head` ends with the empty line.
Result<RequestHead, ParseError> parse_request_head(std::string_view head);
// Splits target into path (decoded), raw_query and query of `request`.
Result<Unit, ParseError> split_target(HttpRequest& request);

struct ResponseHead {
  int status = 0;
  Headers headers;
  BodyFraming framing;
  bool keep_alive = true;
};
Result<ResponseHead, std::string> parse_response_head(std::string_view head);

// Takes the chunked coding apart, byte-exact and bounded.
class ChunkDecoder {
 public:
  // Decodes from `bytes`, appends payload to `out`, returns how many bytes it took; stops at the
  // end of the body. At most `payload_max` payload bytes in all: more is a 413.
  Result<size_t, ParseError> decode(std::string_view bytes, std::string& out, uint64_t payload_max);
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailer, kDone };
  Result<Unit, ParseError> line(std::string_view text);
  State state_ = State::kSize;
  std::string line_;
  uint64_t left_ = 0, total_ = 0;
  size_t trailer_bytes_ = 0;
};

}  // namespace orch::net
