// Warning headers (RFC 7234, 5.5), with upstream's limits: repeated texts once, and when all of
// them are over 4,096 characters, each is cut to 256.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/encode.h"

namespace orch::server {
namespace {

constexpr size_t kTotalMax = 4096;
constexpr size_t kItemMax = 256;

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string_view cut(std::string_view text) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (seen++ == kItemMax) return text.substr(0, i);
  }
  return text;
}

std::string header_of(std::string_view text) {
  std::string out = "299 - \"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

void add_warnings(const Call& call, net::HttpResponse& response) {
  std::vector<std::string_view> texts;
  size_t total = 0;
  for (const std::string& text : call.warnings) {
    if (text.empty() || std::find(texts.begin(), texts.end(), text) != texts.end()) continue;
    texts.push_back(text);
    total += characters(text);
  }
  const bool cutting = total > kTotalMax;
  size_t written = 0;
  for (const std::string_view text : texts) {
    if (cutting && written >= kTotalMax) break;
    const std::string_view shown = cutting ? cut(text) : text;
    written += characters(shown);
    response.headers.emplace("Warning", header_of(shown));
  }
}

}  // namespace orch::server
