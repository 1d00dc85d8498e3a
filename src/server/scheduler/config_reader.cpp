#include "server/scheduler/config_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::server::scheduler {
namespace {

std::string child(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + '.' + std::string(name);
}

}  // namespace

void ConfigReader::wrong_type(const At& at, std::string_view wanted) {
  errors_.type_invalid(at.path, at.value.dump(), fmt::format("must be {}", wanted));
}

void ConfigReader::object(const At& at, const Handlers& handlers) {
  if (at.value.is_null()) return;
  if (!at.value.is_object()) return wrong_type(at, "an object");
  for (auto& [name, value] : at.value.members()) {
    const std::string path = child(at.path, name);
    auto handler = std::find_if(handlers.begin(), handlers.end(),
                                [&](const auto& entry) { return entry.first == name; });
    if (handler == handlers.end()) {
      errors_.invalid(path, api::go_quoted(name), "unknown field");
    } else if (!value.is_null()) {
      handler->second({std::move(value), path});
    }
  }
}

void ConfigReader::array(const At& at, const Handler& item) {
  if (!at.value.is_array()) return wrong_type(at, "an array");
  size_t i = 0;
  for (auto& value : at.value.items()) {
    item({std::move(value), fmt::format("{}[{}]", at.path, i++)});
  }
}

std::string ConfigReader::text(const At& at) {
  if (at.value.is_string()) return at.value.text();
  wrong_type(at, "a string");
  return "";
}

bool ConfigReader::boolean(const At& at) {
  if (at.value.is_boolean()) return at.value.boolean();
  wrong_type(at, "true or false");
  return false;
}

std::optional<int64_t> ConfigReader::number(const At& at) {
  if (at.value.is_number()) {
    if (const auto whole = parse_int(at.value.dump())) return *whole;
  }
  wrong_type(at, "a whole number");
  return std::nullopt;
}

int64_t ConfigReader::integer(const At& at, int64_t min, int64_t max) {
  const auto value = number(at);
  if (!value) return min;
  if (*value >= min && *value <= max) return *value;
  errors_.invalid(at.path, std::to_string(*value),
                  fmt::format("not in valid range [{}-{}]", min, max));
  return min;
}

int64_t ConfigReader::at_least(const At& at, int64_t min, std::string_view otherwise) {
  // Beyond this, seconds do not fit into a clock.
  constexpr int64_t kMax = int64_t{1} << 40;
  const auto value = number(at);
  if (!value) return min;
  if (*value >= min && *value <= kMax) return *value;
  errors_.invalid(at.path, std::to_string(*value),
                  *value > kMax ? std::string_view("is too large") : otherwise);
  return min;
}

std::string ConfigReader::choice(const At& at, const std::vector<std::string>& allowed) {
  std::string value = text(at);
  if (!at.value.is_string()) return "";
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  errors_.not_supported(at.path, value, allowed);
  return "";
}

void ConfigReader::decode(const At& at, const api::TypeInfo& type, void* out) {
  std::vector<std::string> findings;
  api::DecodeOptions options;
  options.strict_findings = &findings;
  auto decoded = api::decode_json(at.value.dump(), type, out, options);
  if (!decoded) errors_.invalid(at.path, at.value.dump(), decoded.error().message);
  for (const auto& finding : findings) errors_.invalid(at.path, at.value.dump(), finding);
}

std::string ConfigReader::report() {
  std::string out;
  for (const auto& cause : errors_.take()) {
    if (!out.empty()) out += '\n';
    out += cause.field + ": " + cause.message;
  }
  return out;
}

}  // namespace orch::server::scheduler
