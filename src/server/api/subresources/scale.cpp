// autoscaling/v1 Scale of Deployments, ReplicaSets, StatefulSets and ReplicationControllers.
#include <fmt/format.h>

#include "orch/api/appsv1.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/selector.h"
#include "server/api/encode.h"
#include "server/api/resource_traits.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::autoscalingv1::Scale;

// Calls `fn` with the object's own type.
template <class Fn>
bool visit(const api::ResourceInfo& resource, api::Object& object, Fn&& fn) {
  if (is_resource(resource, "apps", "deployments")) {
    fn(static_cast<api::appsv1::Deployment&>(object));
  } else if (is_resource(resource, "apps", "replicasets")) {
    fn(static_cast<api::appsv1::ReplicaSet&>(object));
  } else if (is_resource(resource, "apps", "statefulsets")) {
    fn(static_cast<api::appsv1::StatefulSet&>(object));
  } else if (is_resource(resource, "", "replicationcontrollers")) {
    fn(static_cast<api::corev1::ReplicationController&>(object));
  } else {
    return false;
  }
  return true;
}

std::string selector_text(const api::Ptr<api::metav1::LabelSelector>& selector) {
  if (!selector) return "";
  auto parsed = api::LabelSelector::from(*selector);
  return parsed ? parsed->str() : "";
}
std::string selector_text(const std::map<std::string, std::string>& selector) {
  return api::LabelSelector::of(selector).str();
}

api::ApiResult<Scale> scale_of(const api::ResourceInfo& resource, api::Object& object) {
  Scale scale;
  const bool known = visit(resource, object, [&](const auto& owner) {
    scale.spec.replicas = owner.spec.replicas.value_or(0);
    scale.status.replicas = owner.status.replicas;
    scale.status.selector = selector_text(owner.spec.selector);
  });
  if (!known) return Err(api::internal_error("the resource has no scale"));
  const auto& meta = object.metadata;
  scale.metadata.name = meta.name;
  scale.metadata.namespace_ = meta.namespace_;
  scale.metadata.uid = meta.uid;
  scale.metadata.resourceVersion = meta.resourceVersion;
  scale.metadata.creationTimestamp = meta.creationTimestamp;
  return scale;
}

api::ApiResult<Scale> scale_of(const api::ResourceInfo& resource, const Stored& stored) {
  ORCH_TRY(auto object, Registry::decode(resource, stored));
  return scale_of(resource, *object);
}

api::ApiResult<Scale> wanted_scale(Call& call, const Stored& stored,
                                   const api::ResourceInfo& resource, FieldValidation validation) {
  std::unique_ptr<api::Object> object;
  if (call.info.verb == "patch") {
    ORCH_TRY(const api::PatchType type, patch_type(call.content_type));
    if (type == api::PatchType::kApply) {
      return Err(api::unsupported_media_type("apply patches of scale are not offered"));
    }
    ORCH_TRY(const Scale current, scale_of(resource, stored));
    ORCH_TRY(const std::string json,
             apply_patch(type, api::to_json(current), call.body, Scale::type_info()));
    ORCH_TRY(object, decode_patched(call, json, Scale::type_info(), validation));
  } else {
    ORCH_TRY(object, decode_body(call, Scale::type_info(), validation));
    ORCH_CHECK(match_url_on_update(call, resource, *object));
  }
  auto& scale = static_cast<Scale&>(*object);
  if (scale.spec.replicas < 0) {
    api::FieldErrors errors;
    errors.invalid("spec.replicas", std::to_string(scale.spec.replicas),
                   "must be greater than or equal to 0");
    return Err(api::invalid("autoscaling", "Scale", call.info.name, errors.take()));
  }
  return std::move(scale);
}

}  // namespace

Answer serve_scale(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  Stored stored;
  if (call.info.verb == "get") {
    ORCH_TRY(stored, server.registry().get(resource, call.info.namespace_, call.info.name));
  } else {
    const bool patch = call.info.verb == "patch";
    ORCH_TRY(const WriteOptions options,
             write_options(call, patch ? "PatchOptions" : "UpdateOptions"));
    Writer writer(server, call, resource, options);
    Writer::Update update;
    update.namespace_ = call.info.namespace_;
    update.name = call.info.name;
    update.subresource = "scale";
    update.change = [&](const api::Object& old,
                        const Stored& current) -> api::ApiResult<std::unique_ptr<api::Object>> {
      ORCH_TRY(const Scale wanted, wanted_scale(call, current, resource, options.field_validation));
      auto now = old.clone();
      visit(resource, *now, [&](auto& owner) { owner.spec.replicas = wanted.spec.replicas; });
      if (!wanted.metadata.resourceVersion.empty()) {
        now->metadata.resourceVersion = wanted.metadata.resourceVersion;
      }
      if (!wanted.metadata.uid.empty()) now->metadata.uid = wanted.metadata.uid;
      return now;
    };
    ORCH_TRY(Written written, writer.update(update));
    stored = std::move(written.object);
  }
  ORCH_TRY(const Scale scale, scale_of(resource, stored));
  answer_json(encoding, api::to_json(scale), &Scale::type_info(), 200, response);
  return Unit{};
}

}  // namespace orch::server
