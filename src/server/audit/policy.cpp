#include "server/audit/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "orch/api/codec.h"
#include "orch/api/error.h"
#include "orch/api/json_value.h"
#include "orch/api/scheme.h"
#include "server/api/call.h"

namespace orch::server {
namespace {

using api::FieldErrors;
using api::JsonValue;
using Names = std::vector<std::string>;

constexpr std::string_view kLevels[] = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::string_view kStages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete",
                                        "Panic"};

// Reads one document; what is of the wrong type is an error like what is of a wrong value.
class Reader {
 public:
  FieldErrors errors;

  bool object(const JsonValue& value, const std::string& path,
              std::initializer_list<std::string_view> fields) {
    if (!value.is_object()) {
      errors.type_invalid(path, shown(value), "must be an object");
      return false;
    }
    for (const auto& [key, item] : value.members()) {
      if (std::find(fields.begin(), fields.end(), key) != fields.end()) continue;
      errors.forbidden(path.empty() ? key : path + "." + key, "unknown field");
    }
    return true;
  }
  std::string text(const JsonValue& value, const std::string& path) {
    if (value.is_null()) return "";
    if (!value.is_string()) errors.type_invalid(path, shown(value), "must be a string");
    return value.is_string() ? value.text() : "";
  }
  std::optional<bool> boolean(const JsonValue& value, const std::string& path) {
    if (value.is_null()) return std::nullopt;
    if (!value.is_boolean()) {
      errors.type_invalid(path, shown(value), "must be true or false");
      return std::nullopt;
    }
    return value.boolean();
  }
  std::vector<JsonValue> list(const JsonValue& value, const std::string& path) {
    if (value.is_null()) return {};
    if (!value.is_array()) errors.type_invalid(path, shown(value), "must be a list");
    return value.is_array() ? value.items() : std::vector<JsonValue>();
  }
  Names texts(const JsonValue& value, const std::string& path) {
    Names out;
    for (const auto& item : list(value, path)) {
      out.push_back(text(item, fmt::format("{}[{}]", path, out.size())));
    }
    return out;
  }

 private:
  static std::string shown(const JsonValue& value) { return value.dump().substr(0, 80); }
};

std::vector<AuditStage> read_stages(Reader& reader, const JsonValue& value,
                                    const std::string& path) {
  std::vector<AuditStage> out;
  const Names names = reader.texts(value, path);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto* found = std::find(std::begin(kStages), std::end(kStages), names[i]);
    if (found == std::end(kStages)) {
      reader.errors.not_supported(fmt::format("{}[{}]", path, i), names[i],
                                  Names(std::begin(kStages), std::end(kStages)));
      continue;
    }
    out.push_back(static_cast<AuditStage>(found - std::begin(kStages)));
  }
  return out;
}

void check_paths(Reader& reader, const Names& paths, const std::string& path) {
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", path, i);
    const std::string& url = paths[i];
    if (url == "*") continue;
    if (!url.starts_with('/')) {
      reader.errors.invalid(at, api::go_quoted(url),
                            "non-resource URL rules must begin with a '/' character");
    } else if (url.substr(0, url.size() - 1).find('*') != std::string::npos) {
      reader.errors.invalid(at, api::go_quoted(url),
                            "non-resource URL wildcards '*' must be the final character of the "
                            "rule");
    }
  }
}

AuditResources read_resources(Reader& reader, const JsonValue& value, const std::string& path) {
  AuditResources out;
  if (!reader.object(value, path, {"group", "resources", "resourceNames"})) return out;
  out.group = reader.text(value.get("group"), path + ".group");
  out.resources = reader.texts(value.get("resources"), path + ".resources");
  out.names = reader.texts(value.get("resourceNames"), path + ".resourceNames");
  if (!out.group.empty()) {
    if (const auto why = api::check_dns1123_subdomain(out.group); !why.empty()) {
      reader.errors.invalid(path + ".group", api::go_quoted(out.group), why);
    }
  }
  if (!out.names.empty() && out.resources.empty()) {
    reader.errors.invalid(path + ".resourceNames", value.get("resourceNames").dump(),
                          "using resourceNames requires at least one resource");
  }
  return out;
}

AuditRule read_rule(Reader& reader, const JsonValue& value, const std::string& path) {
  AuditRule rule;
  if (!reader.object(value, path,
                     {"level", "users", "userGroups", "verbs", "resources", "namespaces",
                      "nonResourceURLs", "omitStages", "omitManagedFields"})) {
    return rule;
  }
  const std::string level = reader.text(value.get("level"), path + ".level");
  const auto* found = std::find(std::begin(kLevels), std::end(kLevels), level);
  if (level.empty()) {
    reader.errors.required(path + ".level");
  } else if (found == std::end(kLevels)) {
    reader.errors.not_supported(path + ".level", level,
                                Names(std::begin(kLevels), std::end(kLevels)));
  } else {
    rule.level = static_cast<AuditLevel>(found - std::begin(kLevels));
  }
  rule.users = reader.texts(value.get("users"), path + ".users");
  rule.groups = reader.texts(value.get("userGroups"), path + ".userGroups");
  rule.verbs = reader.texts(value.get("verbs"), path + ".verbs");
  rule.namespaces = reader.texts(value.get("namespaces"), path + ".namespaces");
  rule.paths = reader.texts(value.get("nonResourceURLs"), path + ".nonResourceURLs");
  check_paths(reader, rule.paths, path + ".nonResourceURLs");
  for (const auto& item : reader.list(value.get("resources"), path + ".resources")) {
    rule.resources.push_back(
        read_resources(reader, item, fmt::format("{}.resources[{}]", path, rule.resources.size())));
  }
  if (!rule.paths.empty() && (!rule.resources.empty() || !rule.namespaces.empty())) {
    reader.errors.invalid(path + ".nonResourceURLs", value.get("nonResourceURLs").dump(),
                          "rules cannot apply to both regular resources and non-resource URLs");
  }
  rule.omit_stages = read_stages(reader, value.get("omitStages"), path + ".omitStages");
  rule.omit_managed_fields =
      reader.boolean(value.get("omitManagedFields"), path + ".omitManagedFields");
  return rule;
}

bool has(const Names& names, std::string_view value) {
  return std::find(names.begin(), names.end(), value) != names.end();
}

bool fits(const AuditResources& wanted, const RequestInfo& info) {
  if (wanted.group != info.group) return false;
  if (wanted.resources.empty()) return true;
  if (!wanted.names.empty() && !has(wanted.names, info.name)) return false;
  const std::string combined =
      info.subresource.empty() ? info.resource : info.resource + "/" + info.subresource;
  return std::any_of(wanted.resources.begin(), wanted.resources.end(), [&](const auto& resource) {
    if (resource == "*" || resource == combined) return true;
    if (!info.subresource.empty() && resource == "*/" + info.subresource) return true;
    return resource == info.resource + "/*";
  });
}

bool fits(const AuditRule& rule, const RequestInfo& info, const UserInfo& user) {
  if (!rule.users.empty() && !has(rule.users, user.name)) return false;
  if (!rule.groups.empty() && std::none_of(user.groups.begin(), user.groups.end(),
                                           [&](auto& g) { return has(rule.groups, g); })) {
    return false;
  }
  if (!rule.verbs.empty() && !has(rule.verbs, "*") && !has(rule.verbs, info.verb)) return false;
  if (!rule.namespaces.empty() || !rule.resources.empty()) {
    if (!info.is_resource) return false;
    if (!rule.namespaces.empty() && !has(rule.namespaces, info.namespace_)) return false;
    return rule.resources.empty() ||
           std::any_of(rule.resources.begin(), rule.resources.end(),
                       [&](const auto& resources) { return fits(resources, info); });
  }
  if (rule.paths.empty()) return true;
  if (info.is_resource) return false;
  return std::any_of(rule.paths.begin(), rule.paths.end(), [&](const auto& path) {
    if (path == "*" || path == info.path) return true;
    return path.ends_with('*') &&
           info.path.starts_with(std::string_view(path).substr(0, path.size() - 1));
  });
}

}  // namespace

std::string_view to_text(AuditLevel level) { return kLevels[static_cast<size_t>(level)]; }
std::string_view to_text(AuditStage stage) { return kStages[static_cast<size_t>(stage)]; }

Result<AuditPolicy, std::string> AuditPolicy::parse(std::string_view text) {
  const auto json = api::yaml_to_json(text);
  if (!json) return Err(json.error().message);
  ORCH_TRY(const JsonValue document, JsonValue::parse(*json));
  Reader reader;
  AuditPolicy out;
  if (reader.object(
          document, "",
          {"apiVersion", "kind", "metadata", "omitStages", "omitManagedFields", "rules"})) {
    const std::string version = reader.text(document.get("apiVersion"), "apiVersion");
    const std::string kind = reader.text(document.get("kind"), "kind");
    if (version != "audit.k8s.io/v1") {
      reader.errors.not_supported("apiVersion", version, {"audit.k8s.io/v1"});
    }
    if (kind != "Policy") reader.errors.not_supported("kind", kind, {"Policy"});
    out.omit_stages_ = read_stages(reader, document.get("omitStages"), "omitStages");
    out.omit_managed_fields_ =
        reader.boolean(document.get("omitManagedFields"), "omitManagedFields").value_or(false);
    for (const auto& item : reader.list(document.get("rules"), "rules")) {
      out.rules_.push_back(read_rule(reader, item, fmt::format("rules[{}]", out.rules_.size())));
    }
    if (out.rules_.empty())
      reader.errors.required("rules", "a policy without rules audits nothing");
  }
  if (reader.errors.empty()) return out;
  std::string why;
  for (const auto& cause : reader.errors.take()) {
    why +=
        (why.empty() ? "" : "; ") + cause.field + (cause.field.empty() ? "" : ": ") + cause.message;
  }
  return Err(why);
}

AuditDecision AuditPolicy::decide(const RequestInfo& info, const UserInfo& user) const {
  AuditDecision out;
  for (const auto& rule : rules_) {
    if (!fits(rule, info, user)) continue;
    out.level = rule.level;
    out.omit_managed_fields = rule.omit_managed_fields.value_or(omit_managed_fields_);
    for (const auto* stages : {&omit_stages_, &rule.omit_stages}) {
      for (const AuditStage stage : *stages) {
        out.omitted_stages |= static_cast<uint8_t>(1 << static_cast<int>(stage));
      }
    }
    return out;
  }
  return out;
}

}  // namespace orch::server
