#include "server/api/body.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "server/api/negotiate.h"

namespace orch::server {
namespace {

constexpr size_t kManagerMax = 128;
// Of a patched object, as much as an error text may show.
constexpr size_t kShownMax = 16 * 1024;

api::Error invalid_options(std::string_view kind, std::vector<api::Cause> causes) {
  return api::invalid("meta.k8s.io", kind, "", std::move(causes));
}

void refuse_dry_run(std::string_view shown, std::vector<api::Cause>& causes) {
  causes.push_back(
      {"FieldValueNotSupported",
       fmt::format("Unsupported value: []string{{{}}}: supported values: \"All\"", shown),
       "dryRun"});
}

void check_dry_run(const Call& call, std::vector<api::Cause>& causes, bool& dry_run) {
  std::string shown;
  bool wrong = false;
  const auto range = call.query.equal_range("dryRun");
  for (auto it = range.first; it != range.second; ++it) {
    if (it->second == "All") {
      dry_run = true;
    } else {
      wrong = true;
    }
    shown += fmt::format("{}{}", shown.empty() ? "" : ", ", api::go_quoted(it->second));
  }
  if (wrong) refuse_dry_run(shown, causes);
}

// What a body looks like, for messages about bodies that are no objects.
std::string summary(std::string_view body) {
  if (body.empty()) return "<empty>";
  if (body.front() == '{') {
    return body.size() > 30 ? std::string(body.substr(0, 30)) + " ..." : std::string(body);
  }
  return body.size() > 30 ? hex_encode(body.substr(0, 30)) + " ..." : hex_encode(body);
}

api::Error unrecognized(const api::TypeInfo& type, std::string_view why, std::string_view body) {
  return api::bad_request(
      fmt::format("the object provided is unrecognized (must be of type {}): {} ({})", type.kind,
                  why, summary(body)));
}

api::Error not_handled(const api::TypeInfo& type, std::string_view why) {
  return api::bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}",
                                      type.kind, type.version, type.kind, why));
}

// Why upstream's decoder does not make `type` of another kind; "" = it is that kind.
std::string why_not_converted(const api::TypeInfo& type, const api::GroupVersionKind& given) {
  if (api::find_kind(given.group, given.version, given.kind) == nullptr) {
    return fmt::format(
        "no kind \"{}\" is registered for version \"{}\" in scheme "
        "\"pkg/api/legacyscheme/scheme.go:30\"",
        given.kind, given.api_version());
  }
  if (given.kind == type.kind && given.group == type.group) return "";
  return fmt::format("converting ({}.{}) to ({}.{}): unknown conversion", given.version, given.kind,
                     internal_package(type), type.kind);
}

// Of a patched text: its kind must have stayed.
std::string wrong_kind(std::string_view json, const api::TypeInfo& type) {
  auto given = api::peek_kind(json);
  if (!given) return given.error().message;
  if (given->kind.empty()) {
    return fmt::format("Object 'Kind' is missing in '{}'", json.substr(0, kShownMax));
  }
  return why_not_converted(type, *given);
}

api::ApiResult<Unit> check_kind(const api::TypeInfo& type, const api::GroupVersionKind& sent) {
  api::GroupVersionKind given = sent;
  if (given.kind.empty()) given.kind = type.kind;
  if (given.version.empty() && (given.group.empty() || given.group == type.group)) {
    given.group = type.group;
    given.version = type.version;
  }
  if (given.group == type.group && given.version == type.version && given.kind == type.kind) {
    return Unit{};
  }
  // The one kind whose older version is taken for good, as the eviction subresource has it.
  if (type.kind == "Eviction" && given.kind == "Eviction" && given.group == type.group &&
      given.version == "v1beta1") {
    return Unit{};
  }
  const std::string why = why_not_converted(type, given);
  if (!why.empty()) {
    return Err(api::bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}",
                                            given.kind, given.version, type.kind, why)));
  }
  const api::GroupVersionKind own{std::string(type.group), std::string(type.version), ""};
  return Err(api::bad_request(
      fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                  given.api_version(), own.api_version())));
}

// A finding about YAML holds a line for each duplicate key; each is a warning of its own.
void add_finding(Call& call, std::string_view finding) {
  for (const std::string_view prefix :
       {"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n"}) {
    if (finding.starts_with(prefix)) finding.remove_prefix(prefix.size());
  }
  for (const std::string& line : split(finding, '\n')) {
    if (!trim(line).empty()) call.warnings.emplace_back(trim(line));
  }
}

api::ApiResult<std::unique_ptr<api::Object>> decode_protobuf_body(const Call& call,
                                                                  const api::TypeInfo& type) {
  auto unwrapped = api::unwrap_protobuf(call.body);
  if (!unwrapped) return Err(unrecognized(type, unwrapped.error().message, call.body));
  api::GroupVersionKind given;
  const size_t slash = unwrapped->api_version.find('/');
  if (slash == std::string::npos) {
    given.version = unwrapped->api_version;
  } else {
    given.group = unwrapped->api_version.substr(0, slash);
    given.version = unwrapped->api_version.substr(slash + 1);
  }
  given.kind = unwrapped->kind;
  ORCH_CHECK(check_kind(type, given));
  std::unique_ptr<api::Object> object(type.make_object());
  if (auto ok = api::decode_protobuf(unwrapped->raw, type, object.get()); !ok) {
    return Err(not_handled(type, ok.error().message));
  }
  return object;
}

// DeleteOptions are the same in every group; anything else was not meant as options.
api::ApiResult<Unit> check_is_delete_options(std::string_view kind) {
  if (kind.empty() || kind == "DeleteOptions") return Unit{};
  return Err(api::bad_request(
      fmt::format("{} cannot be handled as a DeleteOptions: decoded object cannot be converted to "
                  "DeleteOptions",
                  kind)));
}

void check_manager(const std::string& manager, api::FieldErrors& errors) {
  if (manager.size() > kManagerMax) {
    errors.too_long("fieldManager", static_cast<int64_t>(kManagerMax));
  }
  for (size_t i = 0; i < manager.size(); ++i) {
    const auto c = static_cast<unsigned char>(manager[i]);
    if (c >= 0x20 && c != 0x7F) continue;
    errors.invalid(
        "fieldManager", api::go_quoted(manager),
        fmt::format("should only contain printable characters (invalid character at position {})",
                    i));
  }
}

}  // namespace

std::string_view internal_package(const api::TypeInfo& type) {
  const std::string_view package = type.package.substr(0, type.package.find('/'));
  return package == "events" ? "core" : package;
}

std::string judge_findings(Call& call, FieldValidation validation,
                           const std::vector<std::string>& findings) {
  if (findings.empty() || validation == FieldValidation::kIgnore) return "";
  if (validation == FieldValidation::kStrict) {
    return "strict decoding error: " + join(findings, ", ");
  }
  for (const std::string& finding : findings) add_finding(call, finding);
  return "";
}

api::ApiResult<WriteOptions> write_options(const Call& call, std::string_view kind, bool apply) {
  WriteOptions out;
  api::FieldErrors errors;
  const std::string validation = call.param("fieldValidation");
  if (validation == "Strict") {
    out.field_validation = FieldValidation::kStrict;
  } else if (validation == "Ignore") {
    out.field_validation = FieldValidation::kIgnore;
  } else if (!validation.empty() && validation != "Warn") {
    errors.not_supported("fieldValidation", validation, {"", "Ignore", "Strict", "Warn"});
  }
  out.field_manager = call.param("fieldManager");
  check_manager(out.field_manager, errors);
  if (apply && out.field_manager.empty()) {
    errors.required("fieldManager", "is required for apply patch");
  }
  if (call.has_param("force")) {
    if (!apply) errors.forbidden("force", "may not be specified for non-apply patch");
    out.force = call.flag("force");
  }
  std::vector<api::Cause> causes = errors.take();
  check_dry_run(call, causes, out.dry_run);
  if (!causes.empty()) return Err(invalid_options(kind, std::move(causes)));
  if (out.field_manager.empty()) out.field_manager = default_field_manager(call);
  return out;
}

api::ApiResult<api::metav1::DeleteOptions> delete_options(const Call& call) {
  api::metav1::DeleteOptions out;
  const auto& type = api::metav1::DeleteOptions::type_info();
  if (!call.body.empty()) {
    ORCH_TRY(const api::MediaType media, negotiate_input(call.content_type));
    if (media == api::MediaType::kProtobuf) {
      auto unwrapped = api::unwrap_protobuf(call.body);
      if (!unwrapped) return Err(api::bad_request(unwrapped.error().message));
      ORCH_CHECK(check_is_delete_options(unwrapped->kind));
      if (auto ok = api::decode_protobuf(unwrapped->raw, type, &out); !ok) {
        return Err(api::bad_request(ok.error().message));
      }
    } else {
      ORCH_TRY(const std::string json, body_json(call, nullptr));
      if (const auto given = api::peek_kind(json)) ORCH_CHECK(check_is_delete_options(given->kind));
      if (auto ok = api::decode_json(json, type, &out); !ok) {
        return Err(api::bad_request(
            fmt::format("DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {}",
                        ok.error().message)));
      }
    }
  }
  // Query parameters stand in where the body says nothing, as client-go's old clients send them.
  api::FieldErrors errors;
  if (!out.gracePeriodSeconds && call.has_param("gracePeriodSeconds")) {
    ORCH_TRY(const int64_t seconds, int_param(call, "gracePeriodSeconds"));
    out.gracePeriodSeconds = seconds;
  }
  if (!out.propagationPolicy && call.has_param("propagationPolicy")) {
    out.propagationPolicy = call.param("propagationPolicy");
  }
  if (!out.orphanDependents && call.has_param("orphanDependents")) {
    out.orphanDependents = call.flag("orphanDependents");
  }
  if (out.propagationPolicy && out.orphanDependents) {
    errors.invalid("propagationPolicy", json_quote(*out.propagationPolicy),
                   "orphanDependents and deletionPropagation cannot be both set");
  }
  if (out.propagationPolicy) {
    const std::string& policy = *out.propagationPolicy;
    if (policy != "Foreground" && policy != "Background" && policy != "Orphan") {
      errors.not_supported("propagationPolicy", policy,
                           {"Foreground", "Background", "Orphan", "nil"});
    }
  }
  std::vector<api::Cause> causes = errors.take();
  bool dry_run = false, wrong = false;
  check_dry_run(call, causes, dry_run);
  std::string shown;
  for (const std::string& value : out.dryRun) {
    wrong = wrong || value != "All";
    shown += fmt::format("{}{}", shown.empty() ? "" : ", ", api::go_quoted(value));
  }
  if (wrong) refuse_dry_run(shown, causes);
  if (dry_run && out.dryRun.empty()) out.dryRun.push_back("All");
  if (!causes.empty()) return Err(invalid_options("DeleteOptions", std::move(causes)));
  return out;
}

api::ApiResult<int64_t> int_param(const Call& call, std::string_view name) {
  const std::string text = call.param(name);
  const std::string_view digits = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
  if (const auto value = parse_int(text)) return *value;
  const bool number =
      !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  return Err(api::bad_request(fmt::format("strconv.ParseInt: parsing {}: {}", api::go_quoted(text),
                                          number ? "value out of range" : "invalid syntax")));
}

api::ApiResult<std::string> body_json(const Call& call, std::vector<std::string>* findings) {
  const bool yaml = to_lower(call.content_type).find("yaml") != std::string::npos;
  if (!yaml) return call.body;
  auto json = api::yaml_to_json(call.body, findings);
  if (!json) return Err(api::bad_request("error converting YAML to JSON: " + json.error().message));
  return std::move(*json);
}

api::ApiResult<std::unique_ptr<api::Object>> decode_body(Call& call, const api::TypeInfo& type,
                                                         FieldValidation validation) {
  if (call.object) {
    if (&call.object->type() != &type) {
      return Err(api::bad_request(
          fmt::format("{} cannot be handled as a {}", call.object->type().kind, type.kind)));
    }
    return call.object->clone();
  }
  ORCH_TRY(const api::MediaType media, negotiate_input(call.content_type));
  if (media == api::MediaType::kProtobuf) return decode_protobuf_body(call, type);
  std::vector<std::string> findings;
  ORCH_TRY(const std::string json, body_json(call, &findings));
  auto given = api::peek_kind(json);
  if (!given) return Err(unrecognized(type, given.error().message, call.body));
  ORCH_CHECK(check_kind(type, *given));
  api::DecodeOptions options;
  options.strict_findings = &findings;
  auto object = api::decode_object(json, type, options);
  if (!object) {
    const std::string& why = object.error().message;
    // Upstream reads the kind first, and from the whole text.
    if (why.starts_with("invalid character ") || why == "unexpected end of JSON input") {
      return Err(
          unrecognized(type, "couldn't get version/kind; json parse error: " + why, call.body));
    }
    return Err(not_handled(type, why));
  }
  const std::string strict = judge_findings(call, validation, findings);
  if (!strict.empty()) return Err(not_handled(type, strict));
  return std::move(*object);
}

api::ApiResult<std::unique_ptr<api::Object>> patched_object(Call& call, api::PatchType patch_type,
                                                            std::string_view live,
                                                            const api::TypeInfo& type,
                                                            FieldValidation validation) {
  std::vector<std::string> findings;
  std::vector<std::string>* wanted = validation == FieldValidation::kIgnore ? nullptr : &findings;
  std::string json;
  if (patch_type == api::PatchType::kJson) {
    ORCH_TRY(json, api::json_patch(live, call.body, wanted));
  } else if (patch_type == api::PatchType::kMerge) {
    ORCH_TRY(json, api::merge_patch(live, call.body, wanted));
  } else {
    ORCH_TRY(json, api::strategic_merge_patch(live, call.body, type, wanted));
  }
  api::DecodeOptions options;
  options.strict_findings = wanted;
  auto object = api::decode_object(json, type, options);
  std::string problem = object ? "" : object.error().message;
  // A strategic patch is laid over the struct, which keeps its kind; the others make a new text.
  if (problem.empty() && patch_type != api::PatchType::kStrategic) problem = wrong_kind(json, type);
  if (problem.empty()) problem = judge_findings(call, validation, findings);
  if (problem.empty()) return std::move(*object);
  std::string shown =
      patch_type == api::PatchType::kStrategic ? api::go_shown_json(call.body) : std::move(json);
  if (shown.size() > kShownMax) shown = shown.substr(0, kShownMax) + "...";
  api::FieldErrors errors;
  errors.invalid("patch", api::go_quoted(shown), problem);
  return Err(api::invalid("", "", "", errors.take()));
}

}  // namespace orch::server
