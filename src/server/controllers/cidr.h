// An IPv4 network: what --cluster-cidr and --service-cidr say. A plain value, host order.
#pragma once

#include <cstdint>
#include <string>

#include "orch/base/result.h"

namespace orch::server {

struct Cidr {
  uint32_t base = 0;
  int bits = 0;
  // Error: what is wrong with the text, which it quotes.
  static Result<Cidr, std::string> parse(const std::string& text);
  std::string address(uint32_t index) const;  // the index-th address, dotted
};

}  // namespace orch::server
