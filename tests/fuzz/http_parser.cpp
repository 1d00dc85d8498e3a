// HTTP heads, targets and chunked bodies from the network: whatever comes, the parser answers the
// same however the bytes are cut, and what it accepts cannot be read in two ways.
#include "net/http/http_parser.h"

#include <cstdint>
#include <cstdlib>

#include "orch/base/assert.h"

using namespace orch;
using namespace orch::net;

namespace {

void check_fields(const Headers& headers, const BodyFraming& framing) {
  ORCH_ASSERT(!(framing.chunked && framing.length));
  ORCH_ASSERT(headers.count("Transfer-Encoding") == (framing.chunked ? 1u : 0u));
  for (const auto& [name, value] : headers) {
    ORCH_ASSERT(!name.empty());
    ORCH_ASSERT(name.find_first_of(std::string_view(" \t\r\n:\0", 6)) == std::string::npos);
    ORCH_ASSERT(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
}

void check_head(std::string_view bytes) {
  size_t scanned = 0;
  size_t end = find_head_end(bytes, scanned);
  // Found at the same place byte by byte.
  size_t cut_scanned = 0, cut_end = std::string_view::npos;
  for (size_t size = 0; size <= bytes.size() && cut_end == std::string_view::npos; ++size) {
    cut_end = find_head_end(bytes.substr(0, size), cut_scanned);
  }
  ORCH_ASSERT(cut_end == end);
  std::string_view head = bytes.substr(0, end);
  if (auto request = parse_request_head(head)) {
    check_fields(request->headers, request->framing);
    ORCH_ASSERT(end != std::string_view::npos);
    ORCH_ASSERT(request->target.find_first_of(" \t\r\n") == std::string::npos);
    HttpRequest split;
    split.method = request->method;
    split.target = request->target;
    (void)split_target(split);
  }
  if (auto response = parse_response_head(head)) {
    check_fields(response->headers, response->framing);
    ORCH_ASSERT(response->status >= 100 && response->status <= 999);
  }
}

struct Decoded {
  std::string out;
  size_t used = 0;
  int failed = 0;
  bool done = false;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, size_t step) {
  constexpr uint64_t kPayloadMax = 4096;
  ChunkDecoder decoder;
  Decoded result;
  for (size_t at = 0; at < bytes.size() && !decoder.done(); at += step) {
    auto used = decoder.decode(bytes.substr(at, step), result.out, kPayloadMax);
    if (!used) {
      result.failed = used.error().status;
      break;
    }
    result.used += *used;
  }
  ORCH_ASSERT(result.out.size() <= kPayloadMax);
  result.done = decoder.done();
  // How far a broken body got depends on the cuts.
  if (result.failed != 0) result.used = 0, result.out.clear();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_head(bytes);
  size_t body = bytes.find("\r\n\r\n");
  std::string_view coded = body == std::string_view::npos ? bytes : bytes.substr(body + 4);
  if (!coded.empty()) {
    Decoded whole = decode(coded, coded.size());
    ORCH_ASSERT(whole == decode(coded, 1));
    ORCH_ASSERT(whole == decode(coded, 7));
  }
  Query query = parse_query(bytes.substr(0, 512));
  ORCH_ASSERT(url_decode(url_encode(bytes.substr(0, 512))) == bytes.substr(0, 512));
  return 0;
}
