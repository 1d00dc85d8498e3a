// YAML to JSON: an answer in bounded time and memory; what is written as YAML reads back the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/codec.h"

using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view yaml(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> findings;
  (void)yaml_documents_to_json(yaml);
  const auto json = yaml_to_json(yaml, &findings);
  if (!json) return 0;
  const std::string written = json_to_yaml(*json);
  const auto again = yaml_to_json(written);
  // Key order may differ; the second writing sorts both alike.
  if (again && json_to_yaml(*again) != written) std::abort();
  return 0;
}
