// Label and field selectors: what parses prints and parses again to the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "orch/api/selector.h"

using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (auto selector = LabelSelector::parse(input)) {
    (void)selector->matches({{"a", "b"}, {"c", "1"}});
    auto again = LabelSelector::parse(selector->str());
    if (!again || again->str() != selector->str()) std::abort();
  }
  if (auto selector = FieldSelector::parse(input)) {
    (void)selector->matches([](std::string_view field) { return std::string(field); });
  }
  return 0;
}
