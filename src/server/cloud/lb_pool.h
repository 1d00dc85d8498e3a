// --lb-pool: the addresses load balancers get. "10.0.0.16/28,10.0.1.5-10.0.1.9". IPv4; a plain
// value.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::server {

class LbPool {
 public:
  // Error: what is wrong, quoting the part.
  static Result<LbPool, std::string> parse(const std::vector<std::string>& parts);
  static std::optional<uint32_t> address(std::string_view text);  // dotted IPv4
  bool empty() const { return ranges_.empty(); }
  bool contains(uint32_t address) const;
  // Whether any address of first..last is in the pool.
  bool overlaps(uint32_t first, uint32_t last) const;
  // The lowest address not in `taken`; those ending in .0 or .255, which some devices take for
  // networks and broadcasts, only if asked for by name. "" = none is left.
  std::string first_free(const std::set<std::string>& taken) const;

 private:
  struct Range {
    uint32_t first, last;
  };
  std::vector<Range> ranges_;
};

}  // namespace orch::server
