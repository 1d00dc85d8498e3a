// JSON scalars as Go's encoding/json writes them. Appends to `out`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orch::api::codec {

// Quoted; <, >, & and U+2028/U+2029 escaped, invalid UTF-8 as \ufffd.
void append_string(std::string& out, std::string_view text);
void append_int(std::string& out, int64_t value);
// Shortest text that reads back the same; NaN and infinities as null.
void append_double(std::string& out, double value);
// Bytes of the UTF-8 sequence that `text` begins with; 0 when it is none.
size_t utf8_length(std::string_view text);

// True for one whole JSON value.
bool is_json(std::string_view text);

}  // namespace orch::api::codec
