#include "api/codec/yaml_scalar.h"

#include <algorithm>
#include <charconv>

#include "api/codec/json_text.h"

namespace orch::api::codec {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Go's strconv.ParseInt(text, 0, 64), then ParseUint: decimal JSON text, "" if it is neither.
std::string integer_json(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return "";
  if (negative && value > uint64_t{1} << 63) return "";
  return (negative && value != 0 ? "-" : "") + std::to_string(value);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && is_digit(text[at])) at++;
    return at - begin;
  };
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) at++;
  const bool whole = digits() > 0;
  if (at < text.size() && text[at] == '.') {
    at++;
    if (digits() == 0 && !whole) return false;
  } else if (!whole) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    at++;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) at++;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

bool is_timestamp(std::string_view text) {
  // yyyy-m-d, then nothing or a time.
  size_t at = 0;
  const auto digits = [&](size_t least, size_t most) {
    const size_t begin = at;
    while (at < text.size() && at - begin < most && is_digit(text[at])) at++;
    return at - begin >= least;
  };
  const auto sign = [&](char c) { return at < text.size() && text[at] == c && ++at; };
  if (!digits(4, 4) || !sign('-') || !digits(1, 2) || !sign('-') || !digits(1, 2)) return false;
  if (at == text.size()) return true;
  const char separator = text[at++];
  if (separator != 'T' && separator != 't' && separator != ' ') return false;
  if (!digits(1, 2) || !sign(':') || !digits(1, 2) || !sign(':') || !digits(1, 2)) return false;
  if (sign('.') && !digits(1, 99)) return false;
  if (separator == ' ') return at == text.size();
  if (sign('Z')) return at == text.size();
  if (!sign('+') && !sign('-')) return false;
  return digits(2, 2) && sign(':') && digits(2, 2) && at == text.size();
}

std::string float_json(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return "";
  std::string out;
  append_double(out, value);
  return out;
}

}  // namespace

YamlScalar resolve_plain(std::string_view text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return {YamlKind::kNull, "null"};
  if (one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}))
    return {YamlKind::kBool, "true"};
  if (one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}))
    return {YamlKind::kBool, "false"};
  if (text == "<<") return {YamlKind::kMerge, ""};
  const char first = text[0];
  if (!is_digit(first) && first != '+' && first != '-' && first != '.')
    return {YamlKind::kString, ""};
  std::string_view unsigned_text = text;
  if (first == '+' || first == '-') unsigned_text.remove_prefix(1);
  if (one_of(unsigned_text, {".inf", ".Inf", ".INF"}) || one_of(text, {".nan", ".NaN", ".NAN"}))
    return {YamlKind::kNotFinite, ""};
  if (is_timestamp(text)) return {YamlKind::kTimestamp, ""};
  std::string plain(text);
  if (first != '.') plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  if (std::string json = integer_json(plain); !json.empty())
    return {YamlKind::kNumber, std::move(json)};
  if (is_float(plain))
    if (std::string json = float_json(plain); !json.empty())
      return {YamlKind::kNumber, std::move(json)};
  return {YamlKind::kString, ""};
}

bool is_base60(std::string_view text) {
  size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) at++;
  if (at >= text.size() || !is_digit(text[at])) return false;
  while (at < text.size() && (is_digit(text[at]) || text[at] == '_')) at++;
  bool groups = false;
  while (at < text.size() && text[at] == ':') {
    const size_t begin = ++at;
    while (at < text.size() && is_digit(text[at])) at++;
    const size_t count = at - begin;
    if (count == 0 || count > 2 || (count == 2 && text[begin] > '5')) return false;
    groups = true;
  }
  if (at < text.size() && text[at] == '.')
    for (at++; at < text.size() && (is_digit(text[at]) || text[at] == '_');) at++;
  return groups && at == text.size();
}

}  // namespace orch::api::codec
