#include "orch/base/json_scan.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace orch {
namespace {

constexpr size_t npos = std::string_view::npos;

constexpr uint64_t kOnes = 0x0101010101010101;

// The highest bit of each byte of `word` that is `c`, and perhaps of bytes behind the first of
// them.
uint64_t bytes_like(uint64_t word, char c) {
  const uint64_t differs = word ^ (kOnes * static_cast<unsigned char>(c));
  return (differs - kOnes) & ~differs & (kOnes << 7);
}

// The first quote or backslash at or behind `at`; no less than text.size() without.
size_t quote_or_escape(std::string_view text, size_t at) {
  if constexpr (std::endian::native == std::endian::little) {
    for (; at + 8 <= text.size(); at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + at, 8);
      const uint64_t found = bytes_like(word, '"') | bytes_like(word, '\\');
      if (found != 0) return at + static_cast<size_t>(std::countr_zero(found)) / 8;
    }
  }
  while (at < text.size() && text[at] != '"' && text[at] != '\\') ++at;
  return at;
}

size_t string_end(std::string_view text, size_t at) {
  for (size_t i = at + 1;; i += 2) {
    i = quote_or_escape(text, i);
    if (i >= text.size()) return npos;
    if (text[i] == '"') return i + 1;
  }
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::optional<uint32_t> hex4(std::string_view text, size_t at) {
  if (at + 4 > text.size()) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) {
    const char c = text[i];
    value <<= 4;
    if (c >= '0' && c <= '9') {
      value |= static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value |= static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      value |= static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

}  // namespace

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

uint32_t json_unicode_escape(std::string_view text, size_t& used) {
  constexpr uint32_t kReplacement = 0xFFFD;
  const auto high = hex4(text, 0);
  used = high ? 4 : 0;
  if (!high) return kReplacement;
  if (*high < 0xD800 || *high > 0xDFFF) return *high;
  if (*high > 0xDBFF || text.substr(4, 2) != "\\u") return kReplacement;
  const auto low = hex4(text, 6);
  if (!low || *low < 0xDC00 || *low > 0xDFFF) return kReplacement;
  used = 10;
  return 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00);
}

size_t json_skip_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

size_t json_value_end(std::string_view text, size_t at) {
  if (at >= text.size()) return npos;
  const char first = text[at];
  if (first == '"') return string_end(text, at);
  if (first == '{' || first == '[') {
    int depth = 0;
    for (size_t i = at; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '"') {
        i = string_end(text, i);
        if (i == npos) return npos;
        --i;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (--depth == 0) return i + 1;
      }
    }
    return npos;
  }
  size_t i = at;
  while (i < text.size() && text[i] != ',' && text[i] != '}' && text[i] != ']' &&
         !is_space(text[i])) {
    ++i;
  }
  return i == at ? npos : i;
}

std::optional<std::string_view> json_member(std::string_view object, std::string_view key) {
  std::optional<std::string_view> found;
  json_members(object, [&](std::string_view k, std::string_view value) {
    if (k != key) return true;
    found = value;
    return false;
  });
  return found;
}

bool json_elements(std::string_view array, const std::function<bool(std::string_view)>& visit) {
  size_t at = json_skip_space(array, 0);
  if (at >= array.size() || array[at] != '[') return false;
  at = json_skip_space(array, at + 1);
  if (at < array.size() && array[at] == ']') return true;
  while (true) {
    const size_t end = json_value_end(array, at);
    if (end == npos || !visit(array.substr(at, end - at))) return false;
    at = json_skip_space(array, end);
    if (at < array.size() && array[at] == ']') return true;
    if (at >= array.size() || array[at] != ',') return false;
    at = json_skip_space(array, at + 1);
  }
}

std::optional<std::string_view> json_path(std::string_view object, std::string_view path) {
  while (true) {
    const size_t dot = path.find('.');
    const auto value = json_member(object, path.substr(0, dot));
    if (!value || dot == npos) return value;
    object = *value;
    path.remove_prefix(dot + 1);
  }
}

std::optional<std::string> json_string(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"') return std::nullopt;
  raw = raw.substr(1, raw.size() - 2);
  std::string out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    if (++i >= raw.size()) return std::nullopt;
    switch (raw[i]) {
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'u': {
        size_t used = 0;
        append_utf8(out, json_unicode_escape(raw.substr(i + 1), used));
        if (used == 0) return std::nullopt;
        i += used;
        break;
      }
      default:
        out += raw[i];
    }
  }
  return out;
}

std::optional<std::string> json_string_at(std::string_view object, std::string_view path) {
  const auto value = json_path(object, path);
  return value ? json_string(*value) : std::nullopt;
}

std::map<std::string, std::string> json_string_map(std::string_view object) {
  std::map<std::string, std::string> out;
  json_members(object, [&](std::string_view key, std::string_view value) {
    if (auto text = json_string(value)) {
      auto name = key.find('\\') == npos ? std::optional<std::string>(std::string(key))
                                         : json_string(std::string("\"") + std::string(key) + "\"");
      if (name) out[std::move(*name)] = std::move(*text);
    }
    return true;
  });
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t clean = 0;  // behind what was copied
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, clean, i - clean);
    clean = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 0xF];
    }
  }
  out.append(text, clean, text.size() - clean);
  out += '"';
}

std::string json_quote(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string json_pretty(std::string_view json) {
  std::string out;
  out.reserve(json.size() * 2);
  int depth = 0;
  const auto newline = [&] {
    out += '\n';
    out.append(static_cast<size_t>(depth) * 2, ' ');
  };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') {
      size_t end = string_end(json, i);
      if (end == npos) end = json.size();
      out.append(json.substr(i, end - i));
      i = end - 1;
    } else if (c == '{' || c == '[') {
      out += c;
      const size_t next = json_skip_space(json, i + 1);
      if (next < json.size() && (json[next] == '}' || json[next] == ']')) {
        out += json[next];
        i = next;
      } else {
        ++depth;
        newline();
      }
    } else if (c == '}' || c == ']') {
      --depth;
      newline();
      out += c;
    } else if (c == ',') {
      out += c;
      newline();
    } else if (c == ':') {
      out += ": ";
    } else if (!is_space(c)) {
      out += c;
    }
  }
  out += '\n';
  return out;
}

}  // namespace orch
