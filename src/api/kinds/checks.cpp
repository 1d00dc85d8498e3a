#include "api/kinds/checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace orch::api {

void check_one_of(std::string_view value, const std::string& path,
                  std::initializer_list<std::string_view> supported, FieldErrors& errors) {
  if (listed(supported, value)) return;
  errors.not_supported(path, value, std::vector<std::string>(supported.begin(), supported.end()));
}

void check_required(std::string_view value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) errors.required(path);
}

void check_unchanged(bool same, const std::string& path, std::string_view shown,
                     FieldErrors& errors) {
  if (!same) errors.invalid(path, shown, kImmutable);
}

void check_fully_qualified(std::string_view name, const std::string& path, FieldErrors& errors) {
  if (name.empty()) return errors.required(path);
  if (const auto why = check_dns1123_subdomain(name); !why.empty()) {
    errors.invalid(path, quoted(name), why);
  } else if (std::count(name.begin(), name.end(), '.') < 2) {
    errors.invalid(path, quoted(name),
                   "should be a domain with at least three segments separated by dots");
  }
}

std::string go_strings(std::string_view type, const std::vector<std::string>& values) {
  std::string out = fmt::format("[]{}{{", type);
  for (size_t i = 0; i < values.size(); ++i) {
    out += (i == 0 ? "" : ", ") + go_quoted(values[i]);
  }
  return out + "}";
}

std::string go_bytes(std::string_view bytes) {
  std::string out = "[]byte{";
  for (size_t i = 0; i < bytes.size(); ++i) {
    out += fmt::format("{}0x{:x}", i == 0 ? "" : ", ", static_cast<unsigned char>(bytes[i]));
  }
  return out + "}";
}

Cell boolean(bool value) {
  // Numbers are written bare, which is what a boolean needs too.
  return {value ? "true" : "false", true};
}

}  // namespace orch::api
