// JSON into typed structs and back: what is accepted must survive a round trip unchanged. What is
// JSON at all is what another parser says, which is laxer about NUL and byte order marks.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/codec/json_parser.h"
#include "orch/api/codec.h"

using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const bool lax = json.find('\0') != json.npos || json.starts_with("\xef\xbb\xbf");
  if (!lax && codec::json_syntax_error(json).empty() != nlohmann::json::accept(json)) std::abort();
  const auto kind = peek_kind(json);
  const TypeInfo* type = kind ? find_kind(kind->group, kind->version, kind->kind) : nullptr;
  if (!type) type = find_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
  const std::unique_ptr<void, void (*)(void*)> value(type->make(), type->destroy);
  std::vector<std::string> findings;
  if (!decode_json(json, *type, value.get(), {&findings})) return 0;
  std::string once, twice;
  encode_json(*type, value.get(), once);
  const std::unique_ptr<void, void (*)(void*)> again(type->make(), type->destroy);
  if (!decode_json(once, *type, again.get())) std::abort();
  encode_json(*type, again.get(), twice);
  if (once != twice) std::abort();
  (void)json_to_yaml(once);
  return 0;
}
