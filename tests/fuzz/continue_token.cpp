// Continue tokens of paged lists, as they come from clients: the text itself, and the JSON inside
// it. What is accepted never leads out of the listed prefix and comes back the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "orch/base/strings.h"
#include "server/registry/continue_token.h"

using namespace orch;
using namespace orch::server;

namespace {

void check(std::string_view text) {
  const auto token = decode_continue(text);
  if (!token) {
    if (token.error().empty()) std::abort();
    return;
  }
  if (token->start.empty() || token->start.front() == '/' ||
      token->start.find("..") != std::string::npos || token->revision == 0 ||
      token->revision < -1) {
    std::abort();
  }
  const auto again = decode_continue(encode_continue(*token));
  if (!again || again->revision != token->revision || again->start != token->start) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input);
  check(base64url_encode(input));
  return 0;
}
