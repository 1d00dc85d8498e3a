#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "orch/base/strings.h"
#include "orch/net/spdy.h"

namespace orch::net {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr uint16_t kVersion = 3;
constexpr uint8_t kFlagFin = 1;
constexpr uint32_t kStreamMask = 0x7FFFFFFF;
constexpr size_t kControlBytesMax = 256 * 1024;
constexpr size_t kHeaderBytesMax = 256 * 1024;  // inflated
constexpr size_t kDataPieceMax = 1024 * 1024;

// The draft's dictionary is a header block of these words, each behind its length, then kCommon.
constexpr std::string_view kWords[] = {"options",
                                       "head",
                                       "post",
                                       "put",
                                       "delete",
                                       "trace",
                                       "accept",
                                       "accept-charset",
                                       "accept-encoding",
                                       "accept-language",
                                       "accept-ranges",
                                       "age",
                                       "allow",
                                       "authorization",
                                       "cache-control",
                                       "connection",
                                       "content-base",
                                       "content-encoding",
                                       "content-language",
                                       "content-length",
                                       "content-location",
                                       "content-md5",
                                       "content-range",
                                       "content-type",
                                       "date",
                                       "etag",
                                       "expect",
                                       "expires",
                                       "from",
                                       "host",
                                       "if-match",
                                       "if-modified-since",
                                       "if-none-match",
                                       "if-range",
                                       "if-unmodified-since",
                                       "last-modified",
                                       "location",
                                       "max-forwards",
                                       "pragma",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "range",
                                       "referer",
                                       "retry-after",
                                       "server",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "user-agent",
                                       "vary",
                                       "via",
                                       "warning",
                                       "www-authenticate",
                                       "method",
                                       "get",
                                       "status",
                                       "200 OK",
                                       "version",
                                       "HTTP/1.1",
                                       "url",
                                       "public",
                                       "set-cookie",
                                       "keep-alive",
                                       "origin"};
constexpr std::string_view kCommon =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

void put32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

uint32_t get32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

const std::string& dictionary() {
  static const std::string text = [] {
    std::string out;
    for (const std::string_view word : kWords) {
      put32(out, static_cast<uint32_t>(word.size()));
      out += word;
    }
    return out += kCommon;
  }();
  return text;
}

Bytef* zbytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

std::string control_frame(SpdyType type, uint8_t flags, std::string_view body) {
  std::string out;
  put32(out, 0x80000000u | uint32_t{kVersion} << 16 | static_cast<uint32_t>(type));
  put32(out, uint32_t{flags} << 24 | static_cast<uint32_t>(body.size()));
  return out += body;
}

std::string two_words(SpdyType type, uint32_t first, uint32_t second) {
  std::string body;
  put32(body, first);
  put32(body, second);
  return control_frame(type, 0, body);
}

Result<Headers, std::string> parse_pairs(std::string_view block) {
  const auto broken = [] { return Err(std::string("spdy: malformed header block")); };
  size_t at = 0;
  const auto number = [&]() -> std::optional<uint32_t> {
    if (block.size() - at < 4) return std::nullopt;
    at += 4;
    return get32(block, at - 4);
  };
  const auto text = [&]() -> std::optional<std::string> {
    const auto size = number();
    if (!size || block.size() - at < *size) return std::nullopt;
    at += *size;
    return std::string(block.substr(at - *size, *size));
  };
  const auto count = number();
  if (!count) return broken();
  Headers out;
  for (uint32_t i = 0; i < *count; ++i) {
    const auto name = text();
    const auto value = name ? text() : std::nullopt;
    if (!name || !value || name->empty() || to_lower(*name) != *name) return broken();
    if (out.contains(*name)) return broken();
    // Several values of one name are joined by zero bytes.
    for (const std::string& part : split(*value, '\0')) out.emplace(*name, part);
    if (value->empty()) out.emplace(*name, "");
  }
  if (at != block.size()) return broken();
  return out;
}

}  // namespace

struct SpdyReader::Inflater {
  Inflater() { ok = inflateInit(&z) == Z_OK; }
  ~Inflater() { inflateEnd(&z); }
  z_stream z{};
  bool ok = false;
};

struct SpdyWriter::Deflater {
  Deflater() {
    deflateInit(&z, Z_BEST_COMPRESSION);
    deflateSetDictionary(&z, zbytes(dictionary()), static_cast<uInt>(dictionary().size()));
  }
  ~Deflater() { deflateEnd(&z); }
  z_stream z{};
};

SpdyReader::SpdyReader() : inflater_(std::make_unique<Inflater>()) {}
SpdyReader::~SpdyReader() = default;
SpdyWriter::SpdyWriter() : deflater_(std::make_unique<Deflater>()) {}
SpdyWriter::~SpdyWriter() = default;

Result<std::optional<SpdyFrame>, std::string> SpdyReader::next() {
  ORCH_TRY(auto frame, take());
  if (!frame && at_ > 0) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return frame;
}

Result<std::optional<SpdyFrame>, std::string> SpdyReader::take() {
  for (;;) {
    const std::string_view bytes = std::string_view(buffer_).substr(at_);
    if (data_left_ > 0) {
      if (bytes.empty()) return std::optional<SpdyFrame>();
      SpdyFrame frame;
      frame.stream = data_stream_;
      frame.payload = bytes.substr(0, std::min(data_left_, kDataPieceMax));
      at_ += frame.payload.size();
      data_left_ -= frame.payload.size();
      frame.fin = data_left_ == 0 && data_fin_;
      return std::optional(std::move(frame));
    }
    if (bytes.size() < kHeadBytes) return std::optional<SpdyFrame>();
    const uint32_t first = get32(bytes, 0), second = get32(bytes, 4);
    const auto flags = static_cast<uint8_t>(second >> 24);
    const size_t size = second & 0xFFFFFF;
    if ((first & 0x80000000u) == 0) {
      data_stream_ = first & kStreamMask;
      data_fin_ = (flags & kFlagFin) != 0;
      data_left_ = size;
      at_ += kHeadBytes;
      if (data_stream_ == 0) return Err(std::string("spdy: data on stream 0"));
      if (size > 0) continue;
      SpdyFrame frame;
      frame.stream = data_stream_;
      frame.fin = data_fin_;
      return std::optional(std::move(frame));
    }
    const uint16_t version = first >> 16 & 0x7FFF;
    if (version != kVersion) return Err(fmt::format("spdy: version {}", version));
    if (size > kControlBytesMax) {
      return Err(fmt::format("spdy: control frame of {} bytes is too long", size));
    }
    if (bytes.size() < kHeadBytes + size) return std::optional<SpdyFrame>();
    at_ += kHeadBytes + size;
    const auto type = static_cast<uint16_t>(first & 0xFFFF);
    const bool known = (type >= 1 && type <= 4) || (type >= 6 && type <= 9);
    if (!known) continue;
    ORCH_TRY(auto frame, control(type, flags, bytes.substr(kHeadBytes, size)));
    return std::optional(std::move(frame));
  }
}

Result<SpdyFrame, std::string> SpdyReader::control(uint16_t type, uint8_t flags,
                                                   std::string_view body) {
  SpdyFrame frame;
  frame.type = static_cast<SpdyType>(type);
  size_t fixed = 4;
  if (frame.type == SpdyType::kSynStream) fixed = 10;
  if (frame.type == SpdyType::kRstStream || frame.type == SpdyType::kGoAway ||
      frame.type == SpdyType::kWindowUpdate) {
    fixed = 8;
  }
  if (body.size() < fixed) return Err(fmt::format("spdy: frame of type {} is too short", type));
  if (frame.type == SpdyType::kSettings) return frame;
  if (frame.type == SpdyType::kPing) {
    frame.value = get32(body, 0);
    return frame;
  }
  frame.stream = get32(body, 0) & kStreamMask;
  if (fixed == 8) {
    frame.value = get32(body, 4);
    return frame;
  }
  if (frame.stream == 0) return Err(std::string("spdy: stream 0"));
  frame.fin = (flags & kFlagFin) != 0;
  ORCH_TRY(frame.headers, header_block(body.substr(fixed)));
  return frame;
}

Result<Headers, std::string> SpdyReader::header_block(std::string_view compressed) {
  const auto broken = [] { return Err(std::string("spdy: header block does not inflate")); };
  if (!inflater_->ok) return broken();
  z_stream& z = inflater_->z;
  z.next_in = zbytes(compressed);
  z.avail_in = static_cast<uInt>(compressed.size());
  std::string block;
  std::array<char, 4096> out;
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = out.size();
    int result = inflate(&z, Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) {
      const auto size = static_cast<uInt>(dictionary().size());
      if (inflateSetDictionary(&z, zbytes(dictionary()), size) != Z_OK) return broken();
      continue;
    }
    block.append(out.data(), out.size() - z.avail_out);
    if (block.size() > kHeaderBytesMax) return Err(std::string("spdy: headers are too long"));
    if (result == Z_BUF_ERROR) break;  // nothing left to do
    if (result != Z_OK) return broken();
    if (z.avail_in == 0 && z.avail_out != 0) break;
  }
  return parse_pairs(block);
}

std::string SpdyWriter::header_block(const Headers& headers) {
  std::string block, pairs;
  uint32_t count = 0;
  for (auto it = headers.begin(); it != headers.end(); ++count) {
    const auto end = headers.upper_bound(it->first);
    const std::string name = to_lower(it->first);
    std::string value = it->second;
    for (++it; it != end; ++it) value.append(1, '\0').append(it->second);
    put32(pairs, static_cast<uint32_t>(name.size()));
    pairs += name;
    put32(pairs, static_cast<uint32_t>(value.size()));
    pairs += value;
  }
  put32(block, count);
  block += pairs;
  z_stream& z = deflater_->z;
  z.next_in = zbytes(block);
  z.avail_in = static_cast<uInt>(block.size());
  std::string out;
  std::array<char, 4096> piece;
  do {
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = piece.size();
    deflate(&z, Z_SYNC_FLUSH);
    out.append(piece.data(), piece.size() - z.avail_out);
  } while (z.avail_out == 0);
  return out;
}

std::string SpdyWriter::syn_stream(uint32_t stream, const Headers& headers, bool fin) {
  std::string body;
  put32(body, stream);
  put32(body, 0);                // associated to no other
  body += std::string(2, '\0');  // priority, slot
  return control_frame(SpdyType::kSynStream, fin ? kFlagFin : 0, body + header_block(headers));
}

std::string SpdyWriter::syn_reply(uint32_t stream, const Headers& headers, bool fin) {
  std::string body;
  put32(body, stream);
  return control_frame(SpdyType::kSynReply, fin ? kFlagFin : 0, body + header_block(headers));
}

std::string SpdyWriter::data(uint32_t stream, std::string_view bytes, bool fin) {
  std::string out;
  out.reserve(kHeadBytes + bytes.size());
  put32(out, stream);
  put32(out, (fin ? uint32_t{kFlagFin} << 24 : 0) | static_cast<uint32_t>(bytes.size()));
  return out += bytes;
}

std::string SpdyWriter::rst_stream(uint32_t stream, uint32_t status) {
  return two_words(SpdyType::kRstStream, stream, status);
}

std::string SpdyWriter::ping(uint32_t id) {
  std::string body;
  put32(body, id);
  return control_frame(SpdyType::kPing, 0, body);
}

std::string SpdyWriter::go_away(uint32_t last_good, uint32_t status) {
  return two_words(SpdyType::kGoAway, last_good, status);
}

}  // namespace orch::net
