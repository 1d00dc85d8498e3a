#include <fmt/format.h>

#include "orch/base/strings.h"
#include "orch/net/netlink.h"

namespace orch::net {

std::optional<uint32_t> parse_ipv4(std::string_view text) {
  uint32_t address = 0;
  size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (at >= text.size() || text[at] != '.') return std::nullopt;
      ++at;
    }
    uint32_t value = 0;
    size_t start = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - start < 3) {
      value = value * 10 + static_cast<uint32_t>(text[at++] - '0');
    }
    // Leading zeros are refused: some read them as octal.
    if (at == start || value > 255 || (at - start > 1 && text[start] == '0')) return std::nullopt;
    address = address << 8 | value;
  }
  if (at != text.size()) return std::nullopt;
  return address;
}

std::string format_ipv4(uint32_t a) {
  return fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

std::optional<Ipv4Prefix> parse_prefix(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto address = parse_ipv4(text.substr(0, slash));
  auto length = parse_int(text.substr(slash + 1));
  if (!address || !length || *length < 0 || *length > 32) return std::nullopt;
  return Ipv4Prefix{*address, static_cast<uint8_t>(*length)};
}

std::string format_prefix(const Ipv4Prefix& prefix) {
  return fmt::format("{}/{}", format_ipv4(prefix.address), prefix.length);
}

std::optional<std::string> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < 17; i += 3) {
    if (i > 0 && text[i - 1] != ':') return std::nullopt;
    int value = 0;
    for (char c : text.substr(i, 2)) {
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + digit;
    }
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

std::string format_mac(std::string_view bytes) {
  std::string text;
  for (unsigned char c : bytes) text += fmt::format("{}{:02x}", text.empty() ? "" : ":", c);
  return text;
}

}  // namespace orch::net
