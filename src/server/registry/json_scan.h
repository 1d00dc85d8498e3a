// Reads single values out of JSON text without parsing the rest: labels, one field, the place where
// resourceVersion goes. For texts that the codec wrote; on anything malformed it finds nothing.
// Stateless; any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace orch::server {

// Walks the members of a JSON object in order. `key` is the raw text between the quotes, `value`
// the raw value. The callback returns false to stop. False = malformed.
template <class Fn>
bool json_members(std::string_view object, Fn&& fn);

// End of the value that starts at `at`, or npos.
size_t json_value_end(std::string_view text, size_t at);
size_t json_skip_space(std::string_view text, size_t at);

// The raw value of a direct member, or nullopt.
std::optional<std::string_view> json_member(std::string_view object, std::string_view key);
// The raw value at a dotted path of direct members.
std::optional<std::string_view> json_path(std::string_view object, std::string_view path);
// A JSON string's content; nullopt if `raw` is no string.
std::optional<std::string> json_string(std::string_view raw);
// {"a":"b"} as a map; other members are left out.
std::map<std::string, std::string> json_string_map(std::string_view object);
// Appends `text` as a JSON string with quotes.
void append_json_string(std::string& out, std::string_view text);
std::string json_quote(std::string_view text);
// Indented by two blanks, as kubectl and `?pretty=true` show it; ends with a newline.
std::string json_pretty(std::string_view json);

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

}  // namespace orch::server
