#include "orch/api/semantic_version.h"

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::api {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Digits without a leading zero.
std::optional<int64_t> number(std::string_view text) {
  if (!is_number(text) || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return parse_int(text);
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

// Numbers before words, numbers by value, words by their letters.
std::strong_ordering compare(const std::string& a, const std::string& b) {
  if (is_number(a) != is_number(b)) {
    return is_number(a) ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (is_number(a) && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

}  // namespace

std::optional<SemanticVersion> SemanticVersion::parse(std::string_view text) {
  text = text.substr(0, text.find('+'));
  SemanticVersion out;
  if (const size_t dash = text.find('-'); dash != text.npos) {
    out.pre_release = split(text.substr(dash + 1), '.');
    if (out.pre_release.empty() ||
        !std::all_of(out.pre_release.begin(), out.pre_release.end(), is_identifier)) {
      return std::nullopt;
    }
    text = text.substr(0, dash);
  }
  const auto parts = split(text, '.');
  if (parts.size() != 3) return std::nullopt;
  int64_t* const fields[] = {&out.major, &out.minor, &out.patch};
  for (size_t i = 0; i < 3; ++i) {
    const auto value = number(parts[i]);
    if (!value) return std::nullopt;
    *fields[i] = *value;
  }
  return out;
}

std::strong_ordering SemanticVersion::operator<=>(const SemanticVersion& other) const {
  if (major != other.major) return major <=> other.major;
  if (minor != other.minor) return minor <=> other.minor;
  if (patch != other.patch) return patch <=> other.patch;
  // What is released comes after what leads to it.
  if (pre_release.empty() != other.pre_release.empty()) {
    return pre_release.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  for (size_t i = 0; i < std::min(pre_release.size(), other.pre_release.size()); ++i) {
    const auto order = compare(pre_release[i], other.pre_release[i]);
    if (order != 0) return order;
  }
  return pre_release.size() <=> other.pre_release.size();
}

}  // namespace orch::api
