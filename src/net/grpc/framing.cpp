#include "net/grpc/framing.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::net {

std::string grpc_prefix(size_t message_bytes) {
  std::string prefix(kGrpcPrefixBytes, '\0');
  for (int i = 0; i < 4; ++i) {
    prefix[static_cast<size_t>(4 - i)] = static_cast<char>(message_bytes >> (8 * i));
  }
  return prefix;
}

Result<std::optional<std::string>, GrpcStatus> GrpcAssembler::take(std::string_view& bytes) {
  if (prefix_.size() < kGrpcPrefixBytes) {
    const size_t part = std::min(bytes.size(), kGrpcPrefixBytes - prefix_.size());
    prefix_.append(bytes.substr(0, part));
    bytes.remove_prefix(part);
    if (prefix_.size() < kGrpcPrefixBytes) return std::optional<std::string>();
    if (prefix_[0] != 0) {
      return Err(GrpcStatus{GrpcCode::kUnimplemented,
                            "grpc: compressed messages are not supported by this server"});
    }
    size_ = 0;
    for (size_t i = 1; i < kGrpcPrefixBytes; ++i) {
      size_ = size_ << 8 | static_cast<unsigned char>(prefix_[i]);
    }
    if (size_ > max_) {
      return Err(GrpcStatus{
          GrpcCode::kResourceExhausted,
          fmt::format("grpc: received message larger than max ({} vs. {})", size_, max_)});
    }
  }
  const size_t part = std::min(bytes.size(), size_ - message_.size());
  // Memory follows what came, not what was announced.
  message_.append(bytes.substr(0, part));
  bytes.remove_prefix(part);
  if (message_.size() < size_) return std::optional<std::string>();
  prefix_.clear();
  std::optional<std::string> message(std::move(message_));
  message_.clear();
  return message;
}

std::optional<Micros> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto digits = text.substr(0, text.size() - 1);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const int64_t number = *parse_int(digits);
  switch (text.back()) {
    case 'H':
      return Micros(number * 3'600'000'000);
    case 'M':
      return Micros(number * 60'000'000);
    case 'S':
      return Micros(number * 1'000'000);
    case 'm':
      return Micros(number * 1000);
    case 'u':
      return Micros(number);
    case 'n':
      return Micros((number + 999) / 1000);
    default:
      return std::nullopt;
  }
}

std::string format_grpc_timeout(Millis timeout) {
  const int64_t ms = std::max<int64_t>(1, timeout.count());
  return ms < 100'000'000 ? fmt::format("{}m", ms)
                          : fmt::format("{}S", std::min<int64_t>(ms / 1000, 99'999'999));
}

std::string encode_grpc_message(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string decode_grpc_message(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace orch::net
