// JSON to YAML in the looks of Go's yaml.v2, which kubectl -o yaml shows: keys sorted in natural
// order, lists not indented, strings quoted only where a reader would take them for something else,
// lines folded after 80 columns.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec/json_text.h"
#include "api/codec/yaml_scalar.h"
#include "orch/api/codec.h"

namespace orch::api {

namespace codec {

namespace {

using Json = nlohmann::json;
constexpr size_t kFoldAfter = 80;
constexpr size_t kSimpleKeyMax = 128;
constexpr size_t kNestingMax = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Go asks unicode.IsLetter; of what is beyond ASCII nearly everything in keys is a letter.
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

// Digits within keys count as numbers: "b2" before "b10".
bool key_less(const std::string& a, const std::string& b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) i++;
  if (i == n) return a.size() < b.size();
  const bool a_letter = is_letter(a[i]), b_letter = is_letter(b[i]);
  if (a_letter && b_letter)
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
  if (a_letter || b_letter) return b_letter;
  // After digits other than zero a 0 is part of the number.
  uint64_t a_number = 0, b_number = 0;
  if (a[i] == '0' || b[i] == '0') {
    for (size_t j = i; j > 0 && is_digit(a[j - 1]); j--)
      if (a[j - 1] != '0') a_number = b_number = 1;
  }
  size_t a_end = i, b_end = i;
  for (; a_end < a.size() && is_digit(a[a_end]); a_end++)
    a_number = a_number * 10 + static_cast<uint64_t>(a[a_end] - '0');
  for (; b_end < b.size() && is_digit(b[b_end]); b_end++)
    b_number = b_number * 10 + static_cast<uint64_t>(b[b_end] - '0');
  if (a_number != b_number) return a_number < b_number;
  if (a_end != b_end) return a_end < b_end;
  return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
}

// What the text's characters allow.
struct Analysis {
  bool multiline = false;
  bool plain = true, single_quoted = true, block = true;
};

bool is_printable(std::string_view symbol) {
  const auto c = static_cast<unsigned char>(symbol[0]);
  if (symbol.size() == 1) return c == '\n' || (c >= 0x20 && c < 0x7f);
  if (symbol.size() == 4) return false;
  if (symbol.size() == 2) return c > 0xc2 || static_cast<unsigned char>(symbol[1]) >= 0xa0;
  return symbol != "\ufeff" && symbol != "\ufffe" && symbol != "\uffff" && symbol != "\u2028" &&
         symbol != "\u2029" && !(c == 0xee && symbol.size() != 3);
}

bool has_indicator(std::string_view text) {
  constexpr std::string_view kFirst = "#,[]{}&*!|>'\"%@`";
  if (text.starts_with("---") || text.starts_with("...")) return true;
  if (kFirst.find(text[0]) != std::string_view::npos) return true;
  for (size_t i = 0; i < text.size(); i++) {
    const bool space_after =
        i + 1 == text.size() || std::string_view(" \t\n\r").find(text[i + 1]) != std::string::npos;
    const bool space_before =
        i == 0 || std::string_view(" \t\n\r").find(text[i - 1]) != std::string::npos;
    if (text[i] == ':' && space_after) return true;
    if (text[i] == '#' && space_before) return true;
    if (i == 0 && (text[i] == '?' || text[i] == '-') && space_after) return true;
  }
  return false;
}

Analysis analyze(std::string_view text) {
  Analysis out;
  if (text.empty()) return out;
  bool special = false, space_break = false, break_space = false;
  bool after_space = false, after_break = false;
  for (size_t at = 0; at < text.size();) {
    const size_t length = std::max<size_t>(utf8_length(text.substr(at, 4)), 1);
    const std::string_view symbol = text.substr(at, length);
    const bool space = symbol == " ", line_break = symbol == "\n";
    special |=
        (length == 1 && static_cast<unsigned char>(symbol[0]) >= 0x80) || !is_printable(symbol);
    out.multiline |= line_break;
    space_break |= line_break && after_space;
    break_space |= space && after_break;
    after_space = space;
    after_break = line_break;
    at += length;
  }
  const char first = text.front(), last = text.back();
  if (first == ' ' || first == '\n' || last == ' ' || last == '\n' || out.multiline)
    out.plain = false;
  if (last == ' ') out.block = false;
  if (break_space) out.plain = out.single_quoted = false;
  if (space_break || special) out.plain = out.single_quoted = out.block = false;
  if (has_indicator(text)) out.plain = false;
  return out;
}

class YamlWriter {
 public:
  std::string out;

  // A value after "key:", "-" or at the top. `column` is that of the key or dash.
  void value(const Json& json, size_t column, bool in_map);
  void map(const Json& json, size_t column, bool first_on_line);
  void list(const Json& json, size_t column, bool first_on_line);

 private:
  void scalar(const Json& json, size_t column, bool key);
  void string(const std::string& text, size_t column, bool key);
  void plain(std::string_view text, size_t indent, bool fold);
  void single_quoted(std::string_view text, size_t indent, bool fold);
  void double_quoted(std::string_view text, size_t indent, bool fold);
  void literal(std::string_view text, size_t indent);
  void new_line(size_t indent) {
    out += '\n';
    out.append(indent, ' ');
    column_ = indent;
  }
  void put(std::string_view text) {
    out += text;
    for (char c : text) column_ += (c & 0xc0) != 0x80;
  }
  size_t column_ = 0;
};

void YamlWriter::plain(std::string_view text, size_t indent, bool fold) {
  bool spaces = false;
  for (size_t i = 0; i < text.size(); i++) {
    const bool space = text[i] == ' ';
    const bool next_space = i + 1 < text.size() && text[i + 1] == ' ';
    if (fold && space && !spaces && column_ > kFoldAfter && !next_space) {
      new_line(indent);
    } else {
      put(text.substr(i, 1));
    }
    spaces = space;
  }
}

void YamlWriter::single_quoted(std::string_view text, size_t indent, bool fold) {
  put("'");
  bool spaces = false;
  for (size_t i = 0; i < text.size(); i++) {
    const bool space = text[i] == ' ';
    const bool inside = i > 0 && i + 1 < text.size();
    if (fold && space && !spaces && column_ > kFoldAfter && inside && text[i + 1] != ' ') {
      new_line(indent);
    } else {
      put(text[i] == '\'' ? "''" : text.substr(i, 1));
    }
    spaces = space;
  }
  put("'");
}

std::string escape(std::string_view symbol) {
  constexpr char kHex[] = "0123456789ABCDEF";
  constexpr std::string_view kNamed("\0\a\b\t\n\v\f\r\x1b\"\\", 11);
  constexpr std::string_view kLetters = "0abtnvfre\"\\";
  if (symbol.size() == 1) {
    if (const size_t at = kNamed.find(symbol[0]); at != std::string_view::npos)
      return std::string("\\") + kLetters[at];
  }
  uint32_t code = static_cast<unsigned char>(symbol[0]);
  if (symbol.size() > 1) {
    code &= 0x7fu >> symbol.size();
    for (char c : symbol.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  }
  if (code == 0x85) return "\\N";
  if (code == 0x2028) return "\\L";
  if (code == 0x2029) return "\\P";
  const int digits = code <= 0xff ? 2 : code <= 0xffff ? 4 : 8;
  std::string text = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) text += kHex[code >> shift & 15];
  return text;
}

void YamlWriter::double_quoted(std::string_view text, size_t indent, bool fold) {
  put("\"");
  bool spaces = false;
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::max<size_t>(utf8_length(text.substr(i, 4)), 1);
    const std::string_view symbol = text.substr(i, length);
    const bool space = symbol == " ";
    if (symbol == "\"" || symbol == "\\" || symbol == "\n" || !is_printable(symbol)) {
      put(escape(symbol));
    } else if (fold && space && !spaces && column_ > kFoldAfter && i > 0 && i + 1 < text.size()) {
      new_line(indent);
      if (text[i + 1] == ' ') put("\\");
    } else {
      put(symbol);
    }
    spaces = space;
    i += length;
  }
  put("\"");
}

void YamlWriter::literal(std::string_view text, size_t indent) {
  out += '|';
  if (text[0] == ' ' || text[0] == '\n') out += '2';
  if (text.back() != '\n') {
    out += '-';
  } else if (text.size() == 1 || text[text.size() - 2] == '\n') {
    out += '+';
  }
  if (text.back() == '\n') text.remove_suffix(1);  // ended by the next line's break
  for (bool more = true; more;) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    out += '\n';
    if (!line.empty()) out.append(indent, ' ').append(line);
    more = end != std::string_view::npos;
    if (more) text.remove_prefix(end + 1);
  }
}

void YamlWriter::string(const std::string& text, size_t column, bool key) {
  const Analysis can = analyze(text);
  const size_t indent = column + 2;
  const YamlKind kind = resolve_plain(text).kind;
  const bool is_text = (kind == YamlKind::kString || kind == YamlKind::kMerge) && !is_base60(text);
  if (text.find('\n') != std::string::npos) {
    return can.block && !key ? literal(text, indent) : double_quoted(text, indent, !key);
  }
  if (!is_text) return double_quoted(text, indent, !key);
  if (can.plain) return plain(text, indent, !key);
  if (can.single_quoted) return single_quoted(text, indent, !key);
  double_quoted(text, indent, !key);
}

void YamlWriter::scalar(const Json& json, size_t column, bool key) {
  switch (json.type()) {
    case Json::value_t::null:
      return put("null");
    case Json::value_t::boolean:
      return put(json.get<bool>() ? "true" : "false");
    case Json::value_t::string:
      return string(json.get_ref<const std::string&>(), column, key);
    case Json::value_t::number_float: {
      std::string text;
      append_double(text, json.get<double>());
      return put(text);
    }
    default:
      return put(json.dump());
  }
}

void YamlWriter::map(const Json& json, size_t column, bool first_on_line) {
  std::vector<const std::string*> keys;
  for (const auto& [key, unused] : json.items()) keys.push_back(&key);
  std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return key_less(*a, *b); });
  for (const std::string* key : keys) {
    if (!first_on_line) new_line(column);
    first_on_line = false;
    const Json& held = json.at(*key);
    if (key->size() > kSimpleKeyMax) {
      put("? ");
      string(*key, column, true);
      new_line(column);
      put(":");
    } else {
      string(*key, column, true);
      put(":");
    }
    value(held, column, true);
  }
}

void YamlWriter::list(const Json& json, size_t column, bool first_on_line) {
  for (const Json& element : json) {
    if (!first_on_line) new_line(column);
    first_on_line = false;
    put("-");
    value(element, column, false);
  }
}

void YamlWriter::value(const Json& json, size_t column, bool in_map) {
  const bool nested = json.is_structured() && !json.empty();
  if (!nested) {
    put(" ");
    if (json.is_object()) return put("{}");
    if (json.is_array()) return put("[]");
    return scalar(json, column, false);
  }
  if (in_map) {
    // Lists stand under their key's column, maps two further in.
    if (json.is_array()) return list(json, column, false);
    return map(json, column + 2, false);
  }
  put(" ");
  if (json.is_array()) return list(json, column + 2, true);
  map(json, column + 2, true);
}

// How deep lists and objects nest in a JSON text.
size_t nesting(std::string_view json) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); i++) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') i++;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return deepest;
}

}  // namespace

}  // namespace codec

std::string json_to_yaml(std::string_view json) {
  using codec::Json;
  // The writer recurses; JSON is YAML anyway.
  if (codec::nesting(json) > codec::kNestingMax) return std::string(json) + "\n";
  const Json document = Json::parse(json.begin(), json.end(), nullptr, false);
  if (document.is_discarded()) return std::string(json) + "\n";
  codec::YamlWriter writer;
  if (document.is_object() && !document.empty()) {
    writer.map(document, 0, true);
  } else if (document.is_array() && !document.empty()) {
    writer.list(document, 0, true);
  } else {
    // A lone value stands without the space that follows a key or dash.
    writer.value(document, 0, true);
    writer.out.erase(0, 1);
  }
  return writer.out + "\n";
}

}  // namespace orch::api
