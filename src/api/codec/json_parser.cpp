#include "api/codec/json_parser.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "api/codec/json_text.h"
#include "orch/base/json_scan.h"

namespace orch::api::codec {

namespace {

// Bytes of a string that need no look: no quote, no backslash, no control character, ASCII.
constexpr auto kPlain = [] {
  struct Table {
    bool plain[256] = {};
  } table;
  for (int c = 0x20; c < 0x80; c++) table.plain[c] = c != '"' && c != '\\';
  return table;
}();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As Go quotes a character of unknown encoding: each byte is the code point of its number.
std::string shown(char of) {
  const auto c = static_cast<unsigned char>(of);
  constexpr char kHex[] = "0123456789abcdef";
  switch (of) {
    case '\'':
      return "'\\''";
    case '\\':
      return "'\\\\'";
    case '\a':
      return "'\\a'";
    case '\b':
      return "'\\b'";
    case '\f':
      return "'\\f'";
    case '\n':
      return "'\\n'";
    case '\r':
      return "'\\r'";
    case '\t':
      return "'\\t'";
    case '\v':
      return "'\\v'";
    default:
      break;
  }
  std::string out = "'";
  if (c < 0x20 || c == 0x7f) {
    ((out += "\\x") += kHex[c >> 4]) += kHex[c & 15];
  } else if ((c >= 0x80 && c <= 0xa0) || c == 0xad) {
    ((out += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
  } else {
    append_utf8(out, c);
  }
  return out += '\'';
}

}  // namespace

bool JsonTokens::fail(std::string_view context) {
  if (at_ >= text_.size()) {
    error_ = "unexpected end of JSON input";
  } else {
    error_ = "invalid character " + shown(text_[at_]) + ' ' + std::string(context);
  }
  return false;
}

void JsonTokens::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
    at_++;
  }
}

bool JsonTokens::read_word(std::string_view word) {
  for (size_t i = 0; i < word.size(); i++, at_++) {
    if (peek() != word[i] || at_ == text_.size()) {
      return fail("in literal " + std::string(word) + " (expecting " + shown(word[i]) + ")");
    }
  }
  return true;
}

bool JsonTokens::read_string(std::string_view& out) {
  const size_t begin = ++at_;
  for (;;) {
    while (at_ < text_.size() && kPlain.plain[static_cast<unsigned char>(text_[at_])]) at_++;
    if (at_ == text_.size()) return fail("");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c == '\\') return read_escaped(out, begin);
    const size_t length = c < 0x80 ? 0 : utf8_length(text_.substr(at_, 4));
    if (length == 0) return fail("in string literal");
    at_ += length;
  }
  out = text_.substr(begin, at_ - begin);
  at_++;
  return true;
}

// The first escape is at hand; what came before it is plain.
bool JsonTokens::read_escaped(std::string_view& out, size_t begin) {
  unescaped_.assign(text_, begin, at_ - begin);
  for (;;) {
    const size_t plain = at_;
    while (at_ < text_.size() && kPlain.plain[static_cast<unsigned char>(text_[at_])]) at_++;
    unescaped_.append(text_, plain, at_ - plain);
    if (at_ == text_.size()) return fail("");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c == '\\') {
      at_++;
      if (!read_escape()) return false;
      continue;
    }
    const size_t length = c < 0x80 ? 0 : utf8_length(text_.substr(at_, 4));
    if (length == 0) return fail("in string literal");
    unescaped_.append(text_, at_, length);
    at_ += length;
  }
  at_++;
  out = unescaped_;
  return true;
}

bool JsonTokens::read_escape() {
  constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
  const size_t which = at_ < text_.size() ? kNames.find(text_[at_]) : kNames.npos;
  if (which != kNames.npos) {
    unescaped_ += kMeant[which];
    at_++;
    return true;
  }
  if (peek() != 'u') return fail("in string escape code");
  at_++;
  uint32_t unit = 0, second = 0;
  if (!read_code_unit(unit)) return false;
  if (unit >= 0xd800 && unit <= 0xdfff) {
    if (unit >= 0xdc00 || peek() != '\\') return fail("in string literal");
    at_++;
    if (peek() != 'u') return fail("in string literal");
    at_++;
    if (!read_code_unit(second)) return false;
    if (second < 0xdc00 || second > 0xdfff) return fail("in string literal");
    unit = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
  }
  append_utf8(unescaped_, unit);
  return true;
}

bool JsonTokens::read_code_unit(uint32_t& unit) {
  for (int i = 0; i < 4; i++, at_++) {
    const char c = peek();
    const bool low = c >= 'a' && c <= 'f', high = c >= 'A' && c <= 'F';
    if (!is_digit(c) && !low && !high) return fail("in \\u hexadecimal character escape");
    unit = unit * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return true;
}

bool JsonTokens::skip_digits(std::string_view context) {
  if (!is_digit(peek())) return fail(context);
  while (is_digit(peek())) at_++;
  return true;
}

bool JsonTokens::read_number(std::string_view& text, std::optional<int64_t>& integer) {
  const size_t begin = at_;
  bool whole = true;
  if (peek() == '-') at_++;
  if (peek() == '0') {
    at_++;
  } else if (!skip_digits("in numeric literal")) {
    return false;
  }
  if (peek() == '.') {
    whole = false;
    at_++;
    if (!skip_digits("after decimal point in numeric literal")) return false;
  }
  bool exponent = false;
  if (peek() == 'e' || peek() == 'E') {
    whole = false;
    exponent = true;
    at_++;
    if (peek() == '+' || peek() == '-') at_++;
    if (!skip_digits("in exponent of numeric literal")) return false;
  }
  text = text_.substr(begin, at_ - begin);
  if (whole) {
    int64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) {
      integer = value;
      if (text == "-0") text = "0";
      return true;
    }
  }
  // Only these can be beyond a double, which nothing could represent.
  if (!exponent && text.size() < 300) return true;
  return !too_large(text);
}

bool JsonTokens::too_large(std::string_view number) {
  number_ = number;
  if (std::isfinite(std::strtod(number_.c_str(), nullptr))) return false;
  error_ = "json: cannot unmarshal number " + number_ + " into Go value of type float64";
  return true;
}

namespace {

struct Nothing {
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number(std::string_view, const int64_t*) { return true; }
  bool string(std::string_view) { return true; }
  bool begin(bool) { return true; }
  bool key(std::string_view) { return true; }
  bool end() { return true; }
};

}  // namespace

std::string json_syntax_error(std::string_view text) {
  Nothing nothing;
  JsonParser<Nothing> parser(text, nothing);
  return parser.parse() ? "" : parser.error();
}

bool is_json(std::string_view text) { return json_syntax_error(text).empty(); }

}  // namespace orch::api::codec
