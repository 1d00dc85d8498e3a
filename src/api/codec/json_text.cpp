#include "api/codec/json_text.h"

#include <charconv>
#include <cmath>

namespace orch::api::codec {

namespace {

constexpr char kHex[] = "0123456789abcdef";

// Bytes that stand for themselves in a JSON string as Go writes it.
constexpr auto kPlain = [] {
  struct Table {
    bool plain[256] = {};
  } table;
  for (int c = 0x20; c < 0x80; c++) table.plain[c] = true;
  for (char c : {'"', '\\', '<', '>', '&'}) table.plain[static_cast<unsigned char>(c)] = false;
  return table;
}();

void append_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  out += "\\u00";
  out += kHex[c >> 4];
  out += kHex[c & 15];
}

}  // namespace

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned char {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto continues = [&](size_t i, unsigned char low = 0x80, unsigned char high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return continues(1) ? 2 : 0;
  if (first < 0xf0) {
    const unsigned char low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  const unsigned char low = first == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = first == 0xf4 ? 0x8f : 0xbf;
  return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (kPlain.plain[c]) {
      at++;
      continue;
    }
    if (c >= 0x80) {
      const size_t length = utf8_length(text.substr(at, 4));
      const std::string_view symbol = text.substr(at, length);
      // U+2028 and U+2029 end lines in JavaScript: Go escapes them.
      if (length != 0 && symbol != "\u2028" && symbol != "\u2029") {
        at += length;
        continue;
      }
      out.append(text, begin, at - begin);
      out += length == 0 ? "\\ufffd" : symbol == "\u2028" ? "\\u2028" : "\\u2029";
      at += length == 0 ? 1 : length;
    } else {
      out.append(text, begin, at - begin);
      append_escape(out, c);
      at++;
    }
    begin = at;
  }
  out.append(text, begin, at - begin);
  out += '"';
}

void append_int(std::string& out, int64_t value) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, static_cast<size_t>(end - buffer));
}

void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-6 || size >= 1e21);
  char buffer[400];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value,
                    scientific ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  // Go drops the zero of a two-digit negative exponent: 1e-07 is 1e-7.
  if (const size_t n = text.size();
      scientific && n >= 4 && text[n - 4] == 'e' && text[n - 3] == '-' && text[n - 2] == '0') {
    out.append(text.substr(0, n - 2));
    out += text[n - 1];
    return;
  }
  out.append(text);
}

}  // namespace orch::api::codec
