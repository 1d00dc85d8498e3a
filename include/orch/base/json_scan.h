// Cuts JSON texts apart without building a document: single values, envelopes of lists and watch
// events, label maps; and writes JSON strings. Tolerates any input: on bad text it finds nothing
// and never overruns, whatever the depth (no recursion). What it hands out is not validated.
// Stateless; any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace orch {

// Walks the members of a JSON object in order. `key` is the raw text between the quotes, `value`
// the raw value. The callback returns false to stop. False = malformed.
template <class Fn>
bool json_members(std::string_view object, Fn&& fn);
// Visits each element's text of an array. False = not an array, malformed, or the visitor returned
// false.
bool json_elements(std::string_view array, const std::function<bool(std::string_view)>& visit);

// End of the value that starts at `at`, or npos.
size_t json_value_end(std::string_view text, size_t at);
size_t json_skip_space(std::string_view text, size_t at);

// The raw value of a direct member (the first of that name), or nullopt.
std::optional<std::string_view> json_member(std::string_view object, std::string_view key);
// The raw value at a dotted path of direct members.
std::optional<std::string_view> json_path(std::string_view object, std::string_view path);
// A JSON string's content; nullopt if `raw` is no string. Lone surrogates become U+FFFD.
std::optional<std::string> json_string(std::string_view raw);
// json_path() and json_string() in one.
std::optional<std::string> json_string_at(std::string_view object, std::string_view path);
// {"a":"b"} as a map; other members are left out.
std::map<std::string, std::string> json_string_map(std::string_view object);
// Appends `text` as a JSON string with quotes. Only what JSON demands is escaped.
void append_json_string(std::string& out, std::string_view text);
std::string json_quote(std::string_view text);
// Indented by two blanks, as kubectl and `?pretty=true` show it; ends with a newline.
std::string json_pretty(std::string_view json);

// UTF-8 of a code point.
void append_utf8(std::string& out, uint32_t code);
// Reads "XXXX" or the surrogate pair `XXXX\uXXXX` at the start of `text` (just behind "\u").
// `used`: characters read, 0 = no four hex digits. Lone surrogates are U+FFFD.
uint32_t json_unicode_escape(std::string_view text, size_t& used);

template <class Fn>
bool json_members(std::string_view object, Fn&& fn) {
  size_t at = json_skip_space(object, 0);
  if (at >= object.size() || object[at] != '{') return false;
  at = json_skip_space(object, at + 1);
  if (at < object.size() && object[at] == '}') return true;
  while (at < object.size() && object[at] == '"') {
    const size_t key_end = json_value_end(object, at);
    if (key_end == std::string_view::npos) return false;
    const std::string_view key = object.substr(at + 1, key_end - at - 2);
    at = json_skip_space(object, key_end);
    if (at >= object.size() || object[at] != ':') return false;
    at = json_skip_space(object, at + 1);
    const size_t end = json_value_end(object, at);
    if (end == std::string_view::npos) return false;
    if (!fn(key, object.substr(at, end - at))) return true;
    at = json_skip_space(object, end);
    if (at < object.size() && object[at] == '}') return true;
    if (at >= object.size() || object[at] != ',') return false;
    at = json_skip_space(object, at + 1);
  }
  return false;
}

}  // namespace orch
