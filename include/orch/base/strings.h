// Small text helpers shared by all layers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch {

std::vector<std::string> split(std::string_view text, char separator);  // "" -> {}
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  // spaces, tabs, CR, LF
std::string to_lower(std::string_view text);   // ASCII
bool iequals(std::string_view a, std::string_view b);  // ASCII, case-insensitive
// Whole text as a base-10 integer; nullopt on anything else (sign allowed, no spaces, no overflow).
std::optional<int64_t> parse_int(std::string_view text);
// RFC 4648 base64 with padding; decode returns nullopt on bad input. url = base64url, no padding.
std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
uint64_t fnv1a64(std::string_view bytes);
uint32_t fnv1a32(std::string_view bytes);

}  // namespace orch
