// JSON, merge and strategic patches of arbitrary documents. Input: document, newline, patch.
#include <cstdint>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/api/patch.h"

using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  size_t line = input.find('\n');
  std::string_view document = input.substr(0, line);
  std::string_view patch = line == input.npos ? std::string_view() : input.substr(line + 1);
  (void)json_patch(document, patch);
  (void)merge_patch(document, patch);
  (void)strategic_merge_patch(document, patch, corev1::Pod::type_info());
  return 0;
}
