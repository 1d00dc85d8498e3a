// Protobuf with and without its envelope into typed structs.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "orch/api/codec.h"

using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto unwrapped = unwrap_protobuf(bytes);
  if (!unwrapped) return 0;
  const size_t slash = unwrapped->api_version.find('/');
  const bool core = slash == std::string::npos;
  const std::string group = core ? "" : unwrapped->api_version.substr(0, slash);
  const std::string version =
      core ? unwrapped->api_version : unwrapped->api_version.substr(slash + 1);
  const TypeInfo* type = find_kind(group, version, unwrapped->kind);
  if (!type) type = find_kind("", "v1", "Pod");
  const std::unique_ptr<void, void (*)(void*)> value(type->make(), type->destroy);
  if (!decode_protobuf(unwrapped->raw, *type, value.get())) return 0;
  std::string once, twice, json;
  encode_protobuf(*type, value.get(), once);
  const std::unique_ptr<void, void (*)(void*)> again(type->make(), type->destroy);
  if (!decode_protobuf(once, *type, again.get())) std::abort();
  encode_protobuf(*type, again.get(), twice);
  if (once != twice) std::abort();
  encode_json(*type, value.get(), json);
  return 0;
}
