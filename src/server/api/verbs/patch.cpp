#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using ObjectResult = api::ApiResult<std::unique_ptr<api::Object>>;

api::ApiResult<Unit> check_applied(const Call& call, const api::ResourceInfo& resource,
                                   std::string_view applied) {
  auto kind = api::peek_kind(applied);
  if (!kind) return Err(api::bad_request("error decoding YAML: " + kind.error().message));
  if (kind->kind != resource.kind || kind->api_version() != resource.api_version()) {
    return Err(api::bad_request(
        fmt::format("invalid object type: {}, Kind={}; expected {}, Kind={}", kind->api_version(),
                    kind->kind, resource.api_version(), resource.kind)));
  }
  const auto meta = json_member(applied, "metadata").value_or("{}");
  if (json_member(meta, "managedFields")) {
    return Err(api::bad_request("metadata.managedFields must be nil"));
  }
  const auto name = json_member(meta, "name");
  if (name && json_string(*name) != call.info.name) {
    return Err(api::bad_request(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})",
                    json_string(*name).value_or(""), call.info.name)));
  }
  const auto ns = json_member(meta, "namespace");
  if (ns && resource.namespaced && json_string(*ns) != call.info.namespace_) {
    return Err(api::bad_request(fmt::format(
        "the namespace of the object ({}) does not match the namespace on the request ({})",
        json_string(*ns).value_or(""), call.info.namespace_)));
  }
  return Unit{};
}

// What stands in the URL may be left out of the applied configuration.
void complete(const Call& call, const api::ResourceInfo& resource, api::Object& object) {
  if (object.metadata.name.empty()) object.metadata.name = call.info.name;
  if (resource.namespaced && object.metadata.namespace_.empty()) {
    object.metadata.namespace_ = call.info.namespace_;
  }
}

Answer apply(ApiServer& server, Call& call, const api::ResourceInfo& resource,
             const Encoding& encoding, const WriteOptions& options, net::HttpResponse& response) {
  std::vector<std::string> findings;
  std::string applied = call.body;
  if (call.object) {
    applied = api::to_json(*call.object);
  } else {
    // The content type says YAML, of which JSON is a subset; JSON is taken without the detour.
    auto probe = api::peek_kind(call.body);
    if (!probe) {
      auto json = api::yaml_to_json(call.body, &findings);
      if (!json) return Err(api::bad_request("error decoding YAML: " + json.error().message));
      applied = std::move(*json);
    }
  }
  ORCH_CHECK(check_applied(call, resource, applied));
  // Unknown and duplicate fields are found in the applied text itself.
  ORCH_TRY(auto checked, decode_patched(call, applied, *resource.type, options.field_validation));
  const auto merged = [&](std::string_view live) -> ObjectResult {
    api::ApplyRequest request;
    request.live = live;
    request.applied = applied;
    request.manager = options.field_manager;
    request.subresource = call.info.subresource;
    request.force = options.force;
    request.now = server.env().clock.now();
    ORCH_TRY(const std::string json, api::server_side_apply(request, *resource.type));
    ORCH_TRY(auto object, decode_patched(call, json, *resource.type, FieldValidation::kIgnore));
    complete(call, resource, *object);
    return object;
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
      if (!checked->metadata.uid.empty()) {
        return Err(api::conflict(
            resource.group_resource(), call.info.name,
            fmt::format("uid mismatch: the provided object specified uid {}, and no existing "
                        "object was found",
                        checked->metadata.uid)));
      }
      return merged("");
    };
  }
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, written.created ? 201 : 200, response);
}

}  // namespace

api::ApiResult<api::PatchType> patch_type(std::string_view content_type) {
  const std::string type = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  if (type == "application/json-patch+json") return api::PatchType::kJson;
  if (type == "application/merge-patch+json") return api::PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return api::PatchType::kStrategic;
  if (type == "application/apply-patch+yaml") return api::PatchType::kApply;
  return Err(api::unsupported_media_type(
      "the body of the request was in an unknown format - accepted media types include: "
      "application/json-patch+json, application/merge-patch+json, "
      "application/apply-patch+yaml, application/strategic-merge-patch+json"));
}

api::ApiResult<std::string> apply_patch(api::PatchType type, std::string_view json,
                                        std::string_view patch, const api::TypeInfo& info) {
  switch (type) {
    case api::PatchType::kJson:
      return api::json_patch(json, patch);
    case api::PatchType::kMerge:
      return api::merge_patch(json, patch);
    default:
      return api::strategic_merge_patch(json, patch, info);
  }
}

Answer verb_patch(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const api::PatchType type, patch_type(call.content_type));
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
    ORCH_TRY(const std::string json, apply_patch(type, stored.json(), call.body, *resource.type));
    ORCH_TRY(auto object, decode_patched(call, json, *resource.type, options.field_validation));
    ORCH_CHECK(match_url_on_update(call, resource, *object));
    return object;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, 200, response);
}

}  // namespace orch::server
