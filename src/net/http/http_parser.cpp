#include "net/http/http_parser.h"

#include <algorithm>

#include "net/http/http_text.h"
#include "orch/base/strings.h"

namespace orch::net {
namespace {

constexpr size_t kHeadersMax = 2000;
constexpr size_t kChunkLineMax = 4096;
constexpr size_t kTrailerBytesMax = 64 * 1024;

Err<ParseError> bad(std::string message, int status = 400) {
  return Err(ParseError{status, std::move(message)});
}

bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The next line of `rest` without its CRLF.
Result<std::string_view, ParseError> take_line(std::string_view& rest) {
  size_t end = rest.find('\n');
  if (end == std::string_view::npos || end == 0 || rest[end - 1] != '\r') {
    return bad("malformed line ending");
  }
  std::string_view line = rest.substr(0, end - 1);
  rest.remove_prefix(end + 1);
  return line;
}

Result<Headers, ParseError> parse_fields(std::string_view rest) {
  Headers headers;
  while (true) {
    ORCH_TRY(std::string_view line, take_line(rest));
    if (line.empty()) break;
    size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return bad("malformed header line");
    }
    std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_field_value(value)) return bad("invalid header value");
    if (headers.size() == kHeadersMax) return bad("too many header fields", 431);
    headers.emplace(line.substr(0, colon), value);
  }
  if (!rest.empty()) return bad("malformed header");
  return headers;
}

Result<std::optional<uint64_t>, ParseError> content_length(const Headers& headers) {
  std::optional<uint64_t> length;
  auto [first, last] = headers.equal_range("Content-Length");
  for (; first != last; ++first) {
    const std::string& text = first->second;
    bool digits =
        !text.empty() && text.size() <= 18 &&
        std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return bad("bad Content-Length \"" + text.substr(0, 32) + "\"");
    uint64_t value = std::stoull(text);
    if (length && *length != value) return bad("http: contradicting Content-Length headers");
    length = value;
  }
  return length;
}

Result<BodyFraming, ParseError> framing_of(const Headers& headers, int minor_version) {
  BodyFraming framing;
  ORCH_TRY(framing.length, content_length(headers));
  auto [first, last] = headers.equal_range("Transfer-Encoding");
  if (first == last) return framing;
  if (framing.length) return bad("both Content-Length and Transfer-Encoding");
  if (minor_version == 0) return bad("Transfer-Encoding in HTTP/1.0");
  if (std::next(first) != last || !iequals(first->second, "chunked")) {
    return bad("unsupported transfer encoding", 501);
  }
  framing.chunked = true;
  return framing;
}

bool keeps_alive(const Headers& headers, int minor_version) {
  if (header_has_token(headers, "Connection", "close")) return false;
  return minor_version == 1 || header_has_token(headers, "Connection", "keep-alive");
}

}  // namespace

size_t find_head_end(std::string_view bytes, size_t& scanned) {
  size_t found = bytes.find("\r\n\r\n", scanned > 3 ? scanned - 3 : 0);
  scanned = bytes.size();
  return found == std::string_view::npos ? found : found + 4;
}

Result<RequestHead, ParseError> parse_request_head(std::string_view head) {
  RequestHead request;
  ORCH_TRY(std::string_view line, take_line(head));
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("malformed request line");
  std::string_view method = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  std::string_view version = line.substr(last + 1);
  bool clean = std::none_of(target.begin(), target.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
  });
  if (!is_token(method) || target.empty() || !clean) return bad("malformed request line");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return version.starts_with("HTTP/") ? bad("unsupported protocol version", 505)
                                        : bad("malformed HTTP version");
  }
  request.method = method;
  request.target = target;
  request.minor_version = version.back() - '0';
  ORCH_TRY(request.headers, parse_fields(head));
  size_t hosts = request.headers.count("Host");
  if (hosts > 1) return bad("too many Host headers");
  if (hosts == 0 && request.minor_version == 1) return bad("missing required Host header");
  ORCH_TRY(request.framing, framing_of(request.headers, request.minor_version));
  request.keep_alive = keeps_alive(request.headers, request.minor_version);
  std::string_view expect = header(request.headers, "Expect");
  if (!expect.empty() && !iequals(expect, "100-continue")) return bad("unknown Expect", 417);
  request.expect_continue = !expect.empty() && request.minor_version == 1;
  return request;
}

Result<Unit, ParseError> split_target(HttpRequest& request) {
  std::string_view target = request.target;
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    request.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    target = request.target;
    break;
  }
  if (!target.starts_with('/') && !(target == "*" && request.method == "OPTIONS")) {
    return bad("invalid request target");
  }
  size_t hash = std::min(target.find('#'), target.size());
  size_t question = std::min(target.find('?'), hash);
  if (!percent_decode(target.substr(0, question), false, request.path)) {
    return bad("invalid URL escape in request target");
  }
  if (question < hash) request.raw_query = target.substr(question + 1, hash - question - 1);
  request.query = parse_query(request.raw_query);
  return Unit{};
}

Result<ResponseHead, std::string> parse_response_head(std::string_view head) {
  auto malformed = [](std::string_view text) {
    return Err("malformed HTTP response \"" + std::string(text.substr(0, 64)) + "\"");
  };
  auto line = take_line(head);
  if (!line) return malformed(head);
  bool shaped = line->size() >= 12 && line->starts_with("HTTP/1.") &&
                ((*line)[7] == '0' || (*line)[7] == '1') && (*line)[8] == ' ' &&
                (line->size() == 12 || (*line)[12] == ' ');
  auto status = shaped ? parse_int(line->substr(9, 3)) : std::nullopt;
  if (!status || *status < 100) return malformed(*line);
  ResponseHead response;
  response.status = static_cast<int>(*status);
  int minor_version = (*line)[7] - '0';
  auto headers = parse_fields(head);
  if (!headers) return Err("malformed HTTP response: " + headers.error().message);
  response.headers = std::move(*headers);
  auto framing = framing_of(response.headers, minor_version);
  if (!framing) return Err("malformed HTTP response: " + framing.error().message);
  response.framing = *framing;
  response.keep_alive = keeps_alive(response.headers, minor_version);
  return response;
}

Result<Unit, ParseError> ChunkDecoder::line(std::string_view text) {
  if (state_ == State::kDataEnd) {
    if (!text.empty()) return bad("malformed chunked encoding");
    state_ = State::kSize;
    return Unit{};
  }
  if (state_ == State::kTrailer) {
    // Trailers are read past: nothing here uses them.
    if (text.empty()) state_ = State::kDone;
    return Unit{};
  }
  std::string_view size = trim_blanks(text.substr(0, text.find(';')));
  if (size.empty() || size.size() > 15 || !is_field_value(text)) {
    return bad("malformed chunked encoding");
  }
  left_ = 0;
  for (char c : size) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return bad("malformed chunked encoding");
    left_ = left_ * 16 + static_cast<uint64_t>(digit);
  }
  state_ = left_ == 0 ? State::kTrailer : State::kData;
  return Unit{};
}

Result<size_t, ParseError> ChunkDecoder::decode(std::string_view bytes, std::string& out,
                                                uint64_t payload_max) {
  size_t used = 0;
  while (used < bytes.size() && state_ != State::kDone) {
    std::string_view rest = bytes.substr(used);
    if (state_ == State::kData) {
      size_t take = static_cast<size_t>(std::min<uint64_t>(left_, rest.size()));
      out.append(rest.substr(0, take));
      used += take;
      left_ -= take;
      if (left_ == 0) state_ = State::kDataEnd;
      continue;
    }
    size_t newline = rest.find('\n');
    size_t take = newline == std::string_view::npos ? rest.size() : newline + 1;
    used += take;
    line_.append(rest.substr(0, take));
    if (line_.size() > kChunkLineMax) return bad("malformed chunked encoding");
    if (state_ == State::kTrailer && (trailer_bytes_ += take) > kTrailerBytesMax) {
      return bad("trailer too large", 431);
    }
    if (newline == std::string_view::npos) break;
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r' ||
        line_.find('\r') != line_.size() - 2) {
      return bad("malformed chunked encoding");
    }
    ORCH_CHECK(line(std::string_view(line_).substr(0, line_.size() - 2)));
    line_.clear();
    if (state_ == State::kData) {
      if (left_ > payload_max || total_ > payload_max - left_) {
        return bad("request body too large", 413);
      }
      total_ += left_;
    }
  }
  return used;
}

}  // namespace orch::net
