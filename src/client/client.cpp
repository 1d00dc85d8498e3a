#include "orch/client/client.h"

#include <fmt/format.h>

#include "orch/base/json_scan.h"

namespace orch::client {
namespace {

Request request_for(const api::ResourceInfo& resource, std::string_view verb, std::string_view ns,
                    std::string_view name, std::string_view subresource) {
  Request request;
  request.verb = verb;
  request.group = resource.group;
  request.version = resource.version;
  request.resource = resource.plural;
  if (resource.namespaced) request.namespace_ = ns;
  request.name = name;
  request.subresource = subresource;
  return request;
}

api::Error bad_answer(const api::ResourceInfo& resource, std::string_view why) {
  return api::internal_error(
      fmt::format("the server's answer for {} cannot be read: {}", resource.plural, why));
}

api::ApiResult<std::unique_ptr<api::Object>> decode(const api::ResourceInfo& resource,
                                                    const std::string& body) {
  auto object = api::decode_object(body, *resource.type);
  if (!object) return Err(bad_answer(resource, object.error().message));
  return std::move(object).value();
}

std::string_view content_type_of(api::PatchType type) {
  switch (type) {
    case api::PatchType::kJson:
      return "application/json-patch+json";
    case api::PatchType::kMerge:
      return "application/merge-patch+json";
    case api::PatchType::kStrategic:
      return "application/strategic-merge-patch+json";
    case api::PatchType::kApply:
      return "application/apply-patch+yaml";
  }
  return "application/json";
}

std::string delete_options_json(const DeleteOptions& options) {
  std::string out = R"({"kind":"DeleteOptions","apiVersion":"v1")";
  if (options.grace_period_seconds >= 0) {
    out += fmt::format(R"(,"gracePeriodSeconds":{})", options.grace_period_seconds);
  }
  if (!options.uid.empty() || !options.resource_version.empty()) {
    std::string inner;
    if (!options.uid.empty()) inner += "\"uid\":" + json_quote(options.uid);
    if (!options.resource_version.empty()) {
      if (!inner.empty()) inner += ',';
      inner += "\"resourceVersion\":" + json_quote(options.resource_version);
    }
    out += ",\"preconditions\":{" + inner + "}";
  }
  if (!options.propagation_policy.empty()) {
    out += ",\"propagationPolicy\":" + json_quote(options.propagation_policy);
  }
  return out + "}";
}

}  // namespace

api::ApiResult<std::unique_ptr<api::Object>> RawClient::get(const api::ResourceInfo& resource,
                                                            std::string_view ns,
                                                            std::string_view name) const {
  ORCH_TRY(auto response, transport_.call(request_for(resource, "get", ns, name, "")));
  return decode(resource, response.body);
}

api::ApiResult<RawClient::RawList> RawClient::list(const api::ResourceInfo& resource,
                                                   std::string_view ns,
                                                   const ListOptions& options) const {
  Request request = request_for(resource, "list", ns, "", "");
  auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) request.query.emplace_back(key, value);
  };
  add("labelSelector", options.label_selector);
  add("fieldSelector", options.field_selector);
  if (options.limit > 0) request.query.emplace_back("limit", std::to_string(options.limit));
  add("continue", options.continue_);
  add("resourceVersion", options.resource_version);
  add("resourceVersionMatch", options.resource_version_match);
  ORCH_TRY(auto response, transport_.call(request));

  RawList out;
  if (auto metadata = json_member(response.body, "metadata")) {
    if (auto v = json_member(*metadata, "resourceVersion"))
      out.resource_version = json_string(*v).value_or("");
    if (auto c = json_member(*metadata, "continue")) out.continue_ = json_string(*c).value_or("");
  }
  auto items = json_member(response.body, "items");
  if (!items) return Err(bad_answer(resource, "no items"));
  if (*items == "null") return out;
  std::string why;
  const bool whole = json_elements(*items, [&](std::string_view text) {
    auto object = api::decode_object(text, *resource.type);
    if (!object) {
      why = object.error().message;
      return false;
    }
    out.items.push_back(std::move(object).value());
    return true;
  });
  if (!whole) return Err(bad_answer(resource, why.empty() ? "items is no array" : why));
  return out;
}

api::ApiResult<std::unique_ptr<api::Object>> RawClient::write(const api::ResourceInfo& resource,
                                                              std::string_view verb,
                                                              const api::Object& object,
                                                              std::string_view subresource) const {
  const bool named = verb != "create" || !subresource.empty();
  Request request = request_for(resource, verb, object.metadata.namespace_,
                                named ? std::string_view(object.metadata.name) : "", subresource);
  // A copy: the other side may keep the pointer.
  request.object = object.clone();
  ORCH_TRY(auto response, transport_.call(request));
  return decode(resource, response.body);
}

api::ApiResult<std::unique_ptr<api::Object>> RawClient::patch(
    const api::ResourceInfo& resource, std::string_view ns, std::string_view name,
    api::PatchType type, std::string body, std::string_view subresource,
    std::string_view field_manager) const {
  Request request = request_for(resource, "patch", ns, name, subresource);
  if (!field_manager.empty()) request.query.emplace_back("fieldManager", field_manager);
  // Who applies from a controller owns what it applies.
  if (type == api::PatchType::kApply) request.query.emplace_back("force", "true");
  request.content_type = content_type_of(type);
  request.body = std::move(body);
  ORCH_TRY(auto response, transport_.call(request));
  return decode(resource, response.body);
}

api::ApiResult<Unit> RawClient::remove(const api::ResourceInfo& resource, std::string_view ns,
                                       std::string_view name, const DeleteOptions& options) const {
  Request request = request_for(resource, "delete", ns, name, "");
  request.body = delete_options_json(options);
  ORCH_CHECK(transport_.call(request));
  return Unit{};
}

api::ApiResult<std::string> RawClient::post_subresource(const api::ResourceInfo& resource,
                                                        std::string_view ns, std::string_view name,
                                                        std::string_view subresource,
                                                        std::string body_json) const {
  Request request = request_for(resource, "create", ns, name, subresource);
  request.body = std::move(body_json);
  ORCH_TRY(auto response, transport_.call(request));
  return std::move(response.body);
}

}  // namespace orch::client
