#include "api/validation/formats.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "orch/base/strings.h"

namespace orch::api {
namespace {

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alnum(char c) { return lower(c) || digit(c) || (c >= 'A' && c <= 'Z'); }
bool all_of(std::string_view text, std::string_view also) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return alnum(c) || also.find(c) != std::string_view::npos;
  });
}

struct Address {
  std::array<uint8_t, 16> bytes{};
  int bits = 32;
};
std::optional<Address> parse_address(std::string_view text) {
  Address out;
  const std::string copy(text);
  if (inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) return out;
  out.bits = 128;
  if (inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) == 1) return out;
  return std::nullopt;
}
struct Prefix {
  Address address;
  int length = 0;
};
std::optional<Prefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const auto digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3 ||
      !std::all_of(digits.begin(), digits.end(), digit)) {
    return std::nullopt;
  }
  const auto length = parse_int(digits);
  if (!length || *length > address->bits) return std::nullopt;
  return Prefix{*address, static_cast<int>(*length)};
}

}  // namespace

bool is_ip(std::string_view text) { return parse_address(text).has_value(); }
bool is_ipv6(std::string_view text) {
  const auto address = parse_address(text);
  return address && address->bits == 128;
}

std::string check_ip(std::string_view text) {
  return is_ip(text) ? "" : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}
std::string check_cidr(std::string_view text) {
  return parse_prefix(text) ? ""
                            : "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
}

bool is_strict_subnet(std::string_view inner_text, std::string_view outer_text) {
  const auto inner = parse_prefix(inner_text);
  const auto outer = parse_prefix(outer_text);
  if (!inner || !outer || inner->address.bits != outer->address.bits) return false;
  if (inner->length <= outer->length) return false;
  for (int bit = 0; bit < outer->length; ++bit) {
    const auto at = [bit](const Address& a) {
      return a.bytes[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1;
    };
    if (at(inner->address) != at(outer->address)) return false;
  }
  return true;
}

std::string check_wildcard_subdomain(std::string_view name) {
  if (name.starts_with("*.") && check_dns1123_subdomain(name.substr(2)).empty()) return "";
  return "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
         "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
         "alphanumeric character (e.g. '*.example.com', regex used for validation is "
         "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

std::string check_config_key(std::string_view key) {
  if (key.size() > 253) return "must be no more than 253 characters";
  if (!all_of(key, "-._")) {
    return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
           "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
           "'[-._a-zA-Z0-9]+')";
  }
  if (key == ".") return "must not be '.'";
  if (key == "..") return "must not be '..'";
  return key.starts_with("..") ? "must not start with '..'" : "";
}

std::string check_environment_name(std::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(),
                                     [](char c) { return c >= ' ' && c <= '~' && c != '='; });
  return printable && !name.empty()
             ? ""
             : "a valid environment variable name must consist only of printable ASCII characters "
               "other than '='";
}

std::string check_http_header_name(std::string_view name) {
  return all_of(name, "-")
             ? ""
             : "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
               "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
}

std::string check_group_version(std::string_view text) {
  return std::count(text.begin(), text.end(), '/') <= 1
             ? ""
             : fmt::format("unexpected GroupVersion string: {}", text);
}

void validate_port_number(int64_t port, const std::string& path, FieldErrors& errors) {
  if (port < 1 || port > 65535) {
    errors.invalid(path, std::to_string(port), "must be between 1 and 65535, inclusive");
  }
}

void validate_port_name(std::string_view name, const std::string& path, FieldErrors& errors) {
  const auto wrong = [&](std::string_view why) { errors.invalid(path, quoted(name), why); };
  if (name.size() > 15) wrong("must be no more than 15 characters");
  const bool legal = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return lower(c) || digit(c) || c == '-';
  });
  if (!legal) wrong("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (std::none_of(name.begin(), name.end(), lower)) {
    wrong("must contain at least one letter (a-z)");
  }
  if (name.find("--") != std::string_view::npos) wrong("must not contain consecutive hyphens");
  if (name.starts_with('-') || name.ends_with('-')) wrong("must not begin or end with a hyphen");
}

void validate_port_reference(const IntOrString& port, const std::string& path,
                             FieldErrors& errors) {
  if (port.is_string) return validate_port_name(port.string_value, path, errors);
  validate_port_number(port.int_value, path, errors);
}

void validate_domain_prefixed_path(std::string_view text, const std::string& path,
                                   FieldErrors& errors) {
  if (text.empty()) return errors.required(path);
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) {
    errors.invalid(path, quoted(text), "must be a domain-prefixed path (such as \"acme.io/foo\")");
    return;
  }
  validate_by(check_dns1123_subdomain, text.substr(0, slash), path, errors);
  if (!all_of(text.substr(slash + 1), "/-._~%!$&'()*+,;=:")) {
    errors.invalid(path, quoted(text.substr(slash + 1)),
                   "Invalid path (regex used for validation is "
                   "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
  }
}

void validate_qualified_name(std::string_view name, const std::string& path, FieldErrors& errors) {
  for (const auto& why : label_key_problems(name)) errors.invalid(path, quoted(name), why);
}

void validate_by(NameRule rule, std::string_view value, const std::string& path,
                 FieldErrors& errors) {
  if (const auto why = rule(value); !why.empty()) errors.invalid(path, quoted(value), why);
}

void invalid_whole(const std::string& path, std::string_view detail, FieldErrors& errors) {
  errors.invalid(path, detail, "");
}

void validate_no_backsteps(std::string_view value, const std::string& path, FieldErrors& errors) {
  if (fmt::format("/{}/", value).find("/../") != std::string::npos) {
    errors.invalid(path, quoted(value), "must not contain '..'");
  }
}

void validate_relative_path(std::string_view value, const std::string& path, FieldErrors& errors) {
  if (value.starts_with('/')) errors.invalid(path, quoted(value), "must be a relative path");
  validate_no_backsteps(value, path, errors);
}

}  // namespace orch::api
