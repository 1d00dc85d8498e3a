#include "server/cloud/lb_pool.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

std::string dotted(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                     address & 255);
}

}  // namespace

std::optional<uint32_t> LbPool::address(std::string_view text) {
  in_addr parsed{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1) return std::nullopt;
  return ntohl(parsed.s_addr);
}

Result<LbPool, std::string> LbPool::parse(const std::vector<std::string>& parts) {
  LbPool pool;
  for (const std::string& part : parts) {
    const auto bad = [&part] {
      return Err(fmt::format(
          "\"{}\" is neither a CIDR (10.0.0.16/28) nor a range (10.0.0.16-10.0.0.31) of IPv4 "
          "addresses",
          part));
    };
    const size_t slash = part.find('/'), dash = part.find('-');
    const std::string_view text = part;
    if (slash != std::string::npos) {
      const auto base = address(text.substr(0, slash));
      const auto bits = parse_int(text.substr(slash + 1));
      if (!base || !bits || *bits < 8 || *bits > 32) return bad();
      const uint32_t mask = ~uint32_t{0} << (32 - *bits);
      pool.ranges_.push_back({*base & mask, (*base & mask) | ~mask});
    } else {
      const auto first = address(text.substr(0, dash));
      const auto last = dash == std::string::npos ? first : address(text.substr(dash + 1));
      if (!first || !last || *last < *first) return bad();
      pool.ranges_.push_back({*first, *last});
    }
  }
  return pool;
}

bool LbPool::contains(uint32_t address) const { return overlaps(address, address); }

bool LbPool::overlaps(uint32_t first, uint32_t last) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.first <= last && first <= range.last;
  });
}

std::string LbPool::first_free(const std::set<std::string>& taken) const {
  for (const Range& range : ranges_) {
    for (uint64_t at = range.first; at <= range.last; ++at) {
      const uint32_t low = at & 255;
      if ((low == 0 || low == 255) && range.first != range.last) continue;
      std::string text = dotted(static_cast<uint32_t>(at));
      if (taken.count(text) == 0) return text;
    }
  }
  return "";
}

}  // namespace orch::server
