#include "agent/pod/image_name.h"

#include <algorithm>

namespace orch::agent {
namespace {

constexpr size_t kMaxPath = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMinDigestDigits = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }

bool all(std::string_view text, bool (*matches)(char)) {
  return std::all_of(text.begin(), text.end(), matches);
}

// Lower-case letters and digits, in runs parted by '.', '_', "__" or any number of '-'.
bool is_path_component(std::string_view text) {
  size_t at = 0;
  while (true) {
    const size_t run = at;
    while (at < text.size() && (is_lower(text[at]) || is_digit(text[at]))) ++at;
    if (at == run) return false;
    if (at == text.size()) return true;
    const size_t separator = at;
    while (at < text.size() && text[at] == text[separator]) ++at;
    const size_t length = at - separator;
    switch (text[separator]) {
      case '.':
        if (length > 1) return false;
        break;
      case '_':
        if (length > 2) return false;
        break;
      case '-':
        break;
      default:
        return false;
    }
  }
}

bool is_path(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (!is_path_component(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_domain(std::string_view domain) {
  if (!domain.empty() && domain.front() == '[') {  // an IPv6 address
    const size_t end = domain.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view port = domain.substr(end + 1);
    return port.empty() || (port.size() > 1 && port[0] == ':' && all(port.substr(1), is_digit));
  }
  const size_t colon = domain.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view port = domain.substr(colon + 1);
    if (port.empty() || !all(port, is_digit)) return false;
    domain = domain.substr(0, colon);
  }
  while (true) {
    const size_t dot = domain.find('.');
    const std::string_view label = domain.substr(0, dot);
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!all(label, [](char c) { return is_alnum(c) || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    domain.remove_prefix(dot + 1);
  }
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTag && (is_alnum(tag[0]) || tag[0] == '_') &&
         all(tag, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_digest(std::string_view digest) {
  const size_t colon = digest.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  if (!all(digest.substr(0, colon),
           [](char c) { return is_alnum(c) || c == '+' || c == '.' || c == '_' || c == '-'; })) {
    return false;
  }
  const std::string_view hex = digest.substr(colon + 1);
  return hex.size() >= kMinDigestDigits && all(hex, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

// The first component is a registry's name if it looks like one: a dot, a port, an upper-case
// letter or "localhost".
bool names_registry(std::string_view component) {
  return component == "localhost" || component.find_first_of(".:") != std::string_view::npos ||
         std::any_of(component.begin(), component.end(), is_upper);
}

}  // namespace

std::string image_name_error(std::string_view name) {
  const std::string invalid = "invalid reference format";
  if (const size_t at = name.find('@'); at != std::string_view::npos) {
    if (!is_digest(name.substr(at + 1))) return invalid;
    name = name.substr(0, at);
  }
  const size_t slash = name.find('/');
  if (slash != std::string_view::npos && names_registry(name.substr(0, slash))) {
    if (!is_domain(name.substr(0, slash))) return invalid;
    name.remove_prefix(slash + 1);
  }
  if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
    if (!is_tag(name.substr(colon + 1))) return invalid;
    name = name.substr(0, colon);
  }
  if (std::any_of(name.begin(), name.end(), is_upper)) {
    return invalid + ": repository name (" + std::string(name) + ") must be lowercase";
  }
  if (name.size() > kMaxPath || !is_path(name)) return invalid;
  return "";
}

}  // namespace orch::agent
