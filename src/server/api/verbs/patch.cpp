#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {

using ObjectResult = api::ApiResult<std::unique_ptr<api::Object>>;

namespace {

// What the body must say of itself; 400 otherwise.
api::ApiResult<Unit> check_applied(const api::TypeInfo& type, std::string_view applied) {
  auto kind = api::peek_kind(applied);
  if (!kind) return Err(api::bad_request("error decoding YAML: " + kind.error().message));
  if (kind->kind.empty()) {
    return Err(api::bad_request(
        fmt::format("error decoding YAML: Object 'Kind' is missing in '{}'", applied)));
  }
  if (kind->kind != type.kind || kind->group != type.group || kind->version != type.version) {
    return Err(api::bad_request(fmt::format("invalid object type: {}/{}, Kind={}", kind->group,
                                            kind->version, kind->kind)));
  }
  return Unit{};
}

Answer apply(ApiServer& server, Call& call, const api::ResourceInfo& resource,
             const Encoding& encoding, const WriteOptions& options, net::HttpResponse& response) {
  ORCH_TRY(const std::string applied, applied_json(call, *resource.type, options.field_validation));
  const auto merged = [&](std::string_view live) {
    return apply_object(server, call, resource, options, applied, live);
  };
  Writer writer(server, call, resource, options);
  Writer::Update update;
  update.namespace_ = call.info.namespace_;
  update.name = call.info.name;
  update.subresource = call.info.subresource;
  update.ownership_done = true;
  update.change = [&](const api::Object&, const Stored& stored) { return merged(stored.json()); };
  if (update.subresource.empty()) {
    update.create = [&]() -> ObjectResult {
      const std::string uid = json_string_at(applied, "metadata.uid").value_or("");
      if (!uid.empty()) {
        return Err(api::conflict(
            resource.group_resource(), call.info.name,
            fmt::format("uid mismatch: the provided object specified uid {}, and no existing "
                        "object was found",
                        uid)));
      }
      return merged("");
    };
  }
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, written.created ? 201 : 200, response);
}

}  // namespace

api::ApiResult<std::string> applied_json(Call& call, const api::TypeInfo& type,
                                         FieldValidation validation) {
  std::string applied;
  if (call.object) {
    applied = api::to_json(*call.object);
  } else {
    // The content type says YAML, of which JSON is a subset; JSON is taken without the detour.
    std::vector<std::string> findings;
    auto json = api::yaml_to_json(call.body, &findings);
    if (!json) return Err(api::bad_request("error decoding YAML: " + json.error().message));
    if (validation != FieldValidation::kIgnore) api::json_duplicates(*json, findings);
    if (validation == FieldValidation::kStrict && !findings.empty()) {
      return Err(api::bad_request("error strict decoding YAML: " + join(findings, ", ")));
    }
    judge_findings(call, validation, findings);
    applied = std::move(*json);
  }
  ORCH_CHECK(check_applied(type, applied));
  return applied;
}

api::ApiResult<api::PatchType> patch_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type == "application/json-patch+json") return api::PatchType::kJson;
  if (type == "application/merge-patch+json") return api::PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return api::PatchType::kStrategic;
  if (type == "application/apply-patch+yaml") return api::PatchType::kApply;
  // Upstream's router turns these away before its patch handler could list what it takes.
  return Err(api::generic_server_response(415, "415: Unsupported Media Type"));
}

ObjectResult apply_object(ApiServer& server, const Call& call, const api::ResourceInfo& resource,
                          const WriteOptions& options, std::string_view applied,
                          std::string_view live) {
  api::ApplyRequest request;
  request.live = live;
  request.applied = applied;
  request.manager = options.field_manager;
  request.subresource = call.info.subresource;
  request.force = options.force;
  request.now = server.env().clock.now();
  ORCH_TRY(const std::string json, api::server_side_apply(request, *resource.type));
  auto object = api::decode_object(json, *resource.type);
  if (!object) {
    return Err(api::plain_error("failed to create typed patch object: " + object.error().message));
  }
  ORCH_CHECK(match_url_on_update(call, resource, **object));
  return std::move(*object);
}

Answer verb_patch(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response) {
  ORCH_TRY(const api::PatchType type, patch_type(call.content_type));
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  const bool applies = type == api::PatchType::kApply;
  ORCH_TRY(const WriteOptions options, write_options(call, "PatchOptions", applies));
  if (applies) return apply(server, call, resource, encoding, options, response);
  Writer writer(server, call, resource, options);
  Writer::Update update;
  update.namespace_ = call.info.namespace_;
  update.name = call.info.name;
  update.subresource = call.info.subresource;
  update.change = [&](const api::Object&, const Stored& stored) -> ObjectResult {
    call.warnings.clear();
    ORCH_TRY(auto object,
             patched_object(call, type, stored.json(), *resource.type, options.field_validation));
    ORCH_CHECK(match_url_on_update(call, resource, *object));
    return object;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, 200, response);
}

}  // namespace orch::server
