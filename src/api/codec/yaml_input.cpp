#include "api/codec/yaml_input.h"

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::api::codec {

namespace {

constexpr size_t kTokensMax = 100'000;
constexpr int64_t kNestingMax = 1'000;
constexpr size_t kPieceMax = 2'048;

// "key: |", "- key: >-": nothing in flow style can stand before the scalar, nor a quote that goes
// on.
bool ends_in_block_header(std::string_view line) {
  line = trim(line);
  while (!line.empty() && std::string_view("+-0123456789").find(line.back()) != line.npos) {
    line.remove_suffix(1);
  }
  if (line.empty() || (line.back() != '|' && line.back() != '>')) return false;
  line.remove_suffix(1);
  return line.ends_with(": ") && line.find_first_of("[{\"'") == line.npos;
}

}  // namespace

std::string check_yaml_characters(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first >= 0x20 && first < 0x7F) {
      ++i;
      continue;
    }
    const size_t width = first < 0x80           ? 1
                         : (first >> 5) == 0x06 ? 2
                         : (first >> 4) == 0x0E ? 3
                         : (first >> 3) == 0x1E ? 4
                                                : 0;
    if (width == 0) return "invalid leading UTF-8 octet";
    if (width > text.size() - i) return "incomplete UTF-8 octet sequence";
    uint32_t value = width == 1 ? first : first & (0x7Fu >> width);
    for (size_t k = 1; k < width; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return "invalid trailing UTF-8 octet";
      value = value << 6 | (next & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kLeast[width]) return "invalid length of a UTF-8 sequence";
    if ((value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) {
      return "invalid Unicode character";
    }
    const bool mark = value == 0xFEFF && i == 0;  // of the byte order
    const bool printable = value == '\t' || value == '\n' || value == '\r' || value == 0x85 ||
                           (value >= 0xA0 && value <= 0xFFFD && value != 0xFEFF) || mark ||
                           value >= 0x10000;
    if (!printable) return "control characters are not allowed";
    i += width;
  }
  return "";
}

YamlInput::YamlInput(std::string_view text) : rest_(text) {}

void YamlInput::parsed(bool in_flow) {
  tokens_ = 0;
  nesting_ = 0;
  // An event after the header was read: no flow collection waits for its end. The scalar's own
  // event comes when its text is over.
  block_ = block_header_ && !in_flow;
}

void YamlInput::next_line() {
  size_t length = std::min({rest_.find('\n'), rest_.size() - 1, kPieceMax - 1}) + 1;
  // The parser puts back what it reads to tell the encoding.
  if (eback() == nullptr) length = std::max<size_t>(length, std::min<size_t>(rest_.size(), 4));
  const std::string_view line = rest_.substr(0, length);
  rest_.remove_prefix(length);
  auto* begin = const_cast<char*>(line.data());  // never written to
  setg(begin, begin, begin + length);
  block_header_ = ends_in_block_header(line);
  if (block_) return;
  for (const char c : line) {
    if (std::string_view("[]{},:?!&*\"'").find(c) == std::string_view::npos) continue;
    tokens_++;
    if (c == '[' || c == '{') nesting_++;
    if (c == ']' || c == '}') nesting_--;
  }
  if (tokens_ <= kTokensMax) return;
  if (nesting_ > kNestingMax) throw TooMuchYaml("exceeded max depth");
  throw TooMuchYaml("document has too many values in flow style in one place");
}

// No more than a line at once, so that the parser has made its events of all before it.
std::streamsize YamlInput::xsgetn(char* to, std::streamsize max) {
  if (underflow() == traits_type::eof()) return 0;
  const std::streamsize n = std::min<std::streamsize>(max, egptr() - gptr());
  std::copy_n(gptr(), n, to);
  gbump(static_cast<int>(n));
  return n;
}

YamlInput::int_type YamlInput::underflow() {
  if (gptr() < egptr()) return traits_type::to_int_type(*gptr());
  if (rest_.empty()) return traits_type::eof();
  next_line();
  return traits_type::to_int_type(*gptr());
}

}  // namespace orch::api::codec
