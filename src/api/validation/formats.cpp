#include "api/validation/formats.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

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

void validate_non_special_ip(const std::string& ip, const std::string& path, FieldErrors& errors) {
  const auto address = parse_address(ip);
  const auto wrong = [&](std::string_view why) { errors.invalid(path, quoted(ip), why); };
  if (!address) return wrong("must be a valid IP address");
  const auto& b = address->bytes;
  const bool six = address->bits == 128;
  const auto zeros = [&](size_t to) {
    return std::all_of(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(to),
                       [](uint8_t byte) { return byte == 0; });
  };
  if (zeros(six ? 16 : 4)) wrong(fmt::format("may not be unspecified ({})", ip));
  if (six ? zeros(15) && b[15] == 1 : b[0] == 127) {
    wrong("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  }
  if (six ? b[0] == 0xfe && (b[1] & 0xc0) == 0x80 : b[0] == 169 && b[1] == 254) {
    wrong("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  }
  if (six ? b[0] == 0xff && (b[1] & 0x0f) == 2 : b[0] == 224 && b[1] == 0 && b[2] == 0) {
    wrong("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}

void validate_domain_name(std::string_view name, const std::string& path, FieldErrors& errors) {
  if (name.empty()) return errors.required(path);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (const auto why = check_dns1123_subdomain(name); !why.empty()) {
    return errors.invalid(path, quoted(name), why);
  }
  if (name.find('.') == std::string_view::npos) {
    return errors.invalid(path, quoted(name),
                          "should be a domain with at least two segments separated by dots");
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    validate_by(check_dns1123_label, name.substr(begin, end - begin), path, errors);
    begin = end + 1;
  }
}

void validate_conditions(const std::vector<metav1::Condition>& conditions, const std::string& path,
                         FieldErrors& errors) {
  constexpr int64_t kReasonMax = 1024, kMessageMax = 32 * 1024;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const auto& c = conditions[i];
    const std::string at = indexed(path, i);
    if (!seen.insert(c.type).second) errors.duplicate(at + ".type", quoted(c.type));
    validate_qualified_name(c.type, at + ".type", errors);
    if (c.status != "True" && c.status != "False" && c.status != "Unknown") {
      errors.not_supported(at + ".status", c.status, {"False", "True", "Unknown"});
    }
    if (c.observedGeneration < 0) {
      errors.invalid(at + ".observedGeneration", std::to_string(c.observedGeneration),
                     "must be greater than or equal to zero");
    }
    if (!c.lastTransitionTime) errors.required(at + ".lastTransitionTime", "must be set");
    const std::string& reason = c.reason;
    const auto letter = [](char x) { return alnum(x) && !digit(x); };
    if (reason.empty()) {
      errors.required(at + ".reason", "must be set");
    } else if (!letter(reason.front()) || !all_of(reason, "_,:") || reason.back() == ',' ||
               reason.back() == ':') {
      errors.invalid(at + ".reason", quoted(reason),
                     "a condition reason must start with alphabetic character, optionally followed "
                     "by a string of alphanumeric characters or '_,:', and must end with an "
                     "alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  "
                     "or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
                     "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
    }
    if (static_cast<int64_t>(reason.size()) > kReasonMax) {
      errors.too_long(at + ".reason", kReasonMax);
    }
    if (static_cast<int64_t>(c.message.size()) > kMessageMax) {
      errors.too_long(at + ".message", kMessageMax);
    }
  }
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
