// Name, label and annotation rules; message texts as apimachinery's util/validation.
#include <fmt/format.h>

#include <algorithm>

#include "api/validation/formats.h"
#include "orch/api/scheme.h"

namespace orch::api {
namespace {

bool lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool alnum(char c) { return lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

bool is_label(std::string_view s) {
  return !s.empty() && lower_alnum(s.front()) && lower_alnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return lower_alnum(c) || c == '-'; });
}

// The name part of a qualified name, and label values.
bool is_qualified_part(std::string_view s) {
  return !s.empty() && alnum(s.front()) && alnum(s.back()) &&
         std::all_of(s.begin(), s.end(),
                     [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string too_long(size_t max) { return fmt::format("must be no more than {} characters", max); }

constexpr std::string_view kLabelText =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kSubdomainText =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kLabel1035Text =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kQualifiedText =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation "
    "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr std::string_view kLabelValueText =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

}  // namespace

std::string check_dns1123_label(std::string_view name) {
  if (name.size() > 63) return too_long(63);
  return is_label(name) ? "" : std::string(kLabelText);
}

std::string check_dns1123_subdomain(std::string_view name) {
  if (name.size() > 253) return too_long(253);
  for (size_t begin = 0;;) {
    const size_t dot = name.find('.', begin);
    if (!is_label(name.substr(begin, dot - begin))) return std::string(kSubdomainText);
    if (dot == std::string_view::npos) return "";
    begin = dot + 1;
  }
}

std::string check_dns1035_label(std::string_view name) {
  if (name.size() > 63) return too_long(63);
  return is_label(name) && !(name.front() >= '0' && name.front() <= '9')
             ? ""
             : std::string(kLabel1035Text);
}

std::vector<std::string> label_key_problems(std::string_view key) {
  std::vector<std::string> out;
  std::string_view name = key;
  if (const size_t slash = key.find('/'); slash != std::string_view::npos) {
    const std::string_view prefix = key.substr(0, slash);
    name = key.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      return {
          fmt::format("a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. "
                      "'example.com/MyName')",
                      kQualifiedText)};
    }
    if (prefix.empty()) {
      out.push_back("prefix part must be non-empty");
    } else if (auto why = check_dns1123_subdomain(prefix); !why.empty()) {
      out.push_back("prefix part " + why);
    }
  }
  if (name.empty()) out.push_back("name part must be non-empty");
  if (name.size() > 63) out.push_back("name part " + too_long(63));
  if (!is_qualified_part(name)) out.push_back(fmt::format("name part {}", kQualifiedText));
  return out;
}

std::string check_label_key(std::string_view key) {
  const auto problems = label_key_problems(key);
  return problems.empty() ? "" : problems.front();
}

std::string check_label_value(std::string_view value) {
  if (value.size() > 63) return too_long(63);
  return value.empty() || is_qualified_part(value) ? "" : std::string(kLabelValueText);
}

}  // namespace orch::api
