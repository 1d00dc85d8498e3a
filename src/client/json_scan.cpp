#include "orch/client/json_scan.h"

#include <fmt/format.h>

namespace orch::client {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// A cursor over a text; every step checks the end.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // The next value's text, surrounding space left out.
  std::optional<std::string_view> value() {
    skip_space();
    const size_t start = at_;
    if (at_ >= text_.size()) return std::nullopt;
    const char first = text_[at_];
    if (first == '"') {
      if (!skip_string()) return std::nullopt;
    } else if (first == '{' || first == '[') {
      if (!skip_nested()) return std::nullopt;
    } else {
      while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ',' &&
             text_[at_] != '}' && text_[at_] != ']') {
        ++at_;
      }
      if (at_ == start) return std::nullopt;
    }
    return text_.substr(start, at_ - start);
  }

 private:
  bool skip_string() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    at_ = text_.size();
    return false;
  }
  bool skip_nested() {
    size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return false;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return true;
    }
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
};

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

std::optional<uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t value = 0;
  for (char c : text.substr(0, 4)) {
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

// Reads the \u escape at `text` (just behind "\u"); `used` = characters read.
uint32_t unicode_escape(std::string_view text, size_t& used) {
  constexpr uint32_t kReplacement = 0xFFFD;
  auto high = hex4(text);
  if (!high) {
    used = 0;
    return kReplacement;
  }
  used = 4;
  if (*high < 0xD800 || *high > 0xDFFF) return *high;
  if (*high > 0xDBFF || text.size() < 10 || text[4] != '\\' || text[5] != 'u') return kReplacement;
  auto low = hex4(text.substr(6));
  if (!low || *low < 0xDC00 || *low > 0xDFFF) return kReplacement;
  used = 10;
  return 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00);
}

}  // namespace

std::optional<std::string_view> json_member(std::string_view object, std::string_view key) {
  Scanner scan(object);
  if (!scan.take('{')) return std::nullopt;
  do {
    auto name = scan.value();
    if (!name || name->size() < 2 || name->front() != '"' || !scan.take(':')) return std::nullopt;
    auto value = scan.value();
    if (!value) return std::nullopt;
    if (name->substr(1, name->size() - 2) == key) return value;
  } while (scan.take(','));
  return std::nullopt;
}

bool json_elements(std::string_view array, const std::function<bool(std::string_view)>& visit) {
  Scanner scan(array);
  if (!scan.take('[')) return false;
  if (scan.take(']')) return true;
  do {
    auto value = scan.value();
    if (!value || !visit(*value)) return false;
  } while (scan.take(','));
  return scan.take(']');
}

std::string json_unquote(std::string_view value) {
  std::string out;
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return out;
  value = value.substr(1, value.size() - 2);
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '\\' || i + 1 >= value.size()) {
      out += value[i];
      continue;
    }
    switch (const char escape = value[++i]; escape) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        size_t used = 0;
        append_utf8(out, unicode_escape(value.substr(i + 1), used));
        i += used;
        break;
      }
      default:
        out += escape;
    }
  }
  return out;
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (char c : text) {
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
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
  return out;
}

std::string json_resource_version(std::string_view object) {
  auto metadata = json_member(object, "metadata");
  if (!metadata) return {};
  auto version = json_member(*metadata, "resourceVersion");
  return version ? json_unquote(*version) : std::string{};
}

}  // namespace orch::client
