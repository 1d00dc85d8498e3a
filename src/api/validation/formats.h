// Formats of texts and numbers that fields of many kinds hold; message texts as apimachinery's.
// The check_* functions return "" for what is right, like those of scheme.h; validate_* report all
// that is wrong. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/validation/object_meta.h"
#include "orch/api/error.h"
#include "orch/api/metav1.h"
#include "orch/api/value.h"

namespace orch::api {

bool is_ip(std::string_view text);
// Addresses that mean something to one host alone: unspecified, loopback, link-local. What is no
// address at all is reported as that.
void validate_non_special_ip(const std::string& ip, const std::string& path, FieldErrors& errors);
// A domain name of at least two labels; a trailing dot is fine.
void validate_domain_name(std::string_view name, const std::string& path, FieldErrors& errors);
void validate_conditions(const std::vector<metav1::Condition>& conditions, const std::string& path,
                         FieldErrors& errors);
bool is_ipv6(std::string_view text);
std::string check_ip(std::string_view text);
std::string check_cidr(std::string_view text);
// Whether all of `inner` is in `outer`, and less than all of it. Both must be valid.
bool is_strict_subnet(std::string_view inner, std::string_view outer);

std::string check_wildcard_subdomain(std::string_view name);  // "*.example.com"
std::string check_config_key(std::string_view key);           // of ConfigMaps and Secrets
std::string check_environment_name(std::string_view name);
std::string check_http_header_name(std::string_view name);
// A group and a version, or a version.
std::string check_group_version(std::string_view text);

void validate_port_number(int64_t port, const std::string& path, FieldErrors& errors);
void validate_port_name(std::string_view name, const std::string& path, FieldErrors& errors);
// Of a container, by number or name.
void validate_port_reference(const IntOrString& port, const std::string& path, FieldErrors& errors);
// "example.com/some/path".
void validate_domain_prefixed_path(std::string_view text, const std::string& path,
                                   FieldErrors& errors);
// All that is wrong with a label's key, or another qualified name; check_label_key() gives the
// first of it.
std::vector<std::string> label_key_problems(std::string_view key);
void validate_qualified_name(std::string_view name, const std::string& path, FieldErrors& errors);
// By a rule that gives a text, unless the value keeps to it.
void validate_by(NameRule rule, std::string_view value, const std::string& path,
                 FieldErrors& errors);
// Invalid without showing a value.
void invalid_whole(const std::string& path, std::string_view detail, FieldErrors& errors);
// A path within a volume: relative, without "..".
void validate_relative_path(std::string_view value, const std::string& path, FieldErrors& errors);
void validate_no_backsteps(std::string_view value, const std::string& path, FieldErrors& errors);

}  // namespace orch::api
