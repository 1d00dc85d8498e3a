#include "server/controllers/cidr.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::server {

Result<Cidr, std::string> Cidr::parse(const std::string& text) {
  const size_t slash = text.find('/');
  const auto bits = slash == std::string::npos ? std::nullopt : parse_int(text.substr(slash + 1));
  in_addr address{};
  if (!bits || *bits < 0 || *bits > 32 ||
      inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1) {
    return Err(fmt::format("\"{}\" is not an IPv4 CIDR like 10.42.0.0/16", text));
  }
  Cidr cidr{ntohl(address.s_addr), static_cast<int>(*bits)};
  const uint32_t mask = cidr.bits == 0 ? 0 : ~uint32_t{0} << (32 - cidr.bits);
  if ((cidr.base & ~mask) != 0) {
    return Err(fmt::format("\"{}\" has bits set after its prefix", text));
  }
  return cidr;
}

std::string Cidr::address(uint32_t index) const {
  const in_addr address{htonl(base + index)};
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address, text, sizeof text);
  return text;
}

}  // namespace orch::server
