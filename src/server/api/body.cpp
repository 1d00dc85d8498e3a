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

api::Error invalid_options(std::string_view kind, api::FieldErrors errors) {
  return api::invalid("meta.k8s.io", kind, "", errors.take());
}

void check_dry_run(const Call& call, api::FieldErrors& errors, bool& dry_run) {
  const auto range = call.query.equal_range("dryRun");
  for (auto it = range.first; it != range.second; ++it) {
    if (it->second == "All") {
      dry_run = true;
    } else {
      errors.not_supported("dryRun", it->second, {"All"});
    }
  }
}

// What a body looks like, for messages about bodies that are no objects.
std::string summary(std::string_view body) {
  if (body.empty()) return "<empty>";
  if (body.front() == '{') {
    return body.size() > 30 ? json_quote(std::string(body.substr(0, 30))) + " ..."
                            : json_quote(body);
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

api::ApiResult<Unit> check_kind(const api::TypeInfo& type, const api::GroupVersionKind& given) {
  const api::GroupVersionKind own{std::string(type.group), std::string(type.version),
                                  std::string(type.kind)};
  const std::string api_version = given.api_version();
  if (!given.kind.empty() && given.kind != own.kind) {
    return Err(api::bad_request(fmt::format(
        "{} in version \"{}\" cannot be handled as a {}: converting ({}.{}) to ({}.{}): unknown "
        "conversion",
        given.kind, given.version.empty() ? own.version : given.version, own.kind, given.version,
        given.kind, own.version, own.kind)));
  }
  if (!api_version.empty() && api_version != own.api_version()) {
    return Err(api::bad_request(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                    api_version, own.api_version())));
  }
  return Unit{};
}

// Findings become an error text ("" = go on) or warnings.
std::string judge(Call& call, FieldValidation validation,
                  const std::vector<std::string>& findings) {
  if (findings.empty() || validation == FieldValidation::kIgnore) return "";
  if (validation == FieldValidation::kStrict) {
    return "strict decoding error: " + join(findings, ", ");
  }
  call.warnings.insert(call.warnings.end(), findings.begin(), findings.end());
  return "";
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

}  // namespace

api::ApiResult<WriteOptions> write_options(const Call& call, std::string_view kind, bool apply) {
  WriteOptions out;
  api::FieldErrors errors;
  check_dry_run(call, errors, out.dry_run);
  const std::string validation = call.param("fieldValidation");
  if (validation == "Strict") {
    out.field_validation = FieldValidation::kStrict;
  } else if (validation == "Ignore") {
    out.field_validation = FieldValidation::kIgnore;
  } else if (!validation.empty() && validation != "Warn") {
    errors.not_supported("fieldValidation", validation, {"Ignore", "Strict", "Warn"});
  }
  out.field_manager = call.param("fieldManager");
  if (out.field_manager.size() > kManagerMax) {
    errors.too_long("fieldManager", static_cast<int64_t>(kManagerMax));
  }
  for (const char c : out.field_manager) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      errors.invalid("fieldManager", json_quote(out.field_manager),
                     "should only contain printable characters");
      break;
    }
  }
  if (apply && out.field_manager.empty()) {
    errors.required("fieldManager", "is required for apply patch");
  }
  if (call.has_param("force")) {
    if (!apply) errors.forbidden("force", "may not be specified for non-apply patch");
    out.force = call.flag("force");
  }
  if (!errors.empty()) return Err(invalid_options(kind, std::move(errors)));
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
      if (auto ok = api::decode_protobuf(unwrapped->raw, type, &out); !ok) {
        return Err(api::bad_request(ok.error().message));
      }
    } else {
      ORCH_TRY(const std::string json, body_json(call, nullptr));
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
    const auto seconds = parse_int(call.param("gracePeriodSeconds"));
    if (!seconds) return Err(api::bad_request("gracePeriodSeconds: not a number"));
    out.gracePeriodSeconds = *seconds;
  }
  if (!out.propagationPolicy && call.has_param("propagationPolicy")) {
    out.propagationPolicy = call.param("propagationPolicy");
  }
  if (!out.orphanDependents && call.has_param("orphanDependents")) {
    out.orphanDependents = call.flag("orphanDependents");
  }
  bool dry_run = false;
  check_dry_run(call, errors, dry_run);
  for (const std::string& value : out.dryRun) {
    if (value != "All") errors.not_supported("dryRun", value, {"All"});
  }
  if (dry_run && out.dryRun.empty()) out.dryRun.push_back("All");
  if (out.propagationPolicy && out.orphanDependents) {
    errors.invalid("propagationPolicy", json_quote(*out.propagationPolicy),
                   "orphanDependents and deletionPropagation cannot be both set");
  }
  if (out.propagationPolicy) {
    const std::string& policy = *out.propagationPolicy;
    if (policy != "Foreground" && policy != "Background" && policy != "Orphan") {
      errors.not_supported("propagationPolicy", policy, {"Background", "Foreground", "Orphan"});
    }
  }
  if (!errors.empty()) return Err(invalid_options("DeleteOptions", std::move(errors)));
  return out;
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
  if (!object) return Err(not_handled(type, object.error().message));
  const std::string strict = judge(call, validation, findings);
  if (!strict.empty()) return Err(not_handled(type, strict));
  return std::move(*object);
}

api::ApiResult<std::unique_ptr<api::Object>> decode_patched(Call& call, std::string_view json,
                                                            const api::TypeInfo& type,
                                                            FieldValidation validation) {
  std::vector<std::string> findings;
  api::DecodeOptions options;
  options.strict_findings = &findings;
  auto object = api::decode_object(json, type, options);
  std::string problem = object ? judge(call, validation, findings) : object.error().message;
  if (problem.empty()) return std::move(*object);
  api::FieldErrors errors;
  const std::string shown = call.body.size() > 1000 ? call.body.substr(0, 1000) + "..." : call.body;
  errors.invalid("patch", json_quote(shown), problem);
  return Err(api::invalid("", "", "", errors.take()));
}

}  // namespace orch::server
