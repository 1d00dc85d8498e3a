// What a plain YAML scalar means, as Go's yaml.v2 (and with it every Kubernetes tool) decides: YAML
// 1.1 booleans, 0x/0o/0b and leading-zero octal integers, dates as strings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orch::api::codec {

enum class YamlKind : uint8_t { kString, kNull, kBool, kNumber, kNotFinite, kTimestamp, kMerge };

struct YamlScalar {
  YamlKind kind = YamlKind::kString;
  std::string json;  // kBool, kNumber: the JSON text
};
YamlScalar resolve_plain(std::string_view text);
// Numbers to base 60 of YAML 1.1 ("12:30"): read as strings, quoted when written.
bool is_base60(std::string_view text);

}  // namespace orch::api::codec
