// autoscaling/v1 Scale of Deployments, ReplicaSets, StatefulSets and ReplicationControllers.
#include <fmt/format.h>

#include "orch/api/appsv1.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/selector.h"
#include "orch/base/json_scan.h"
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

// How a Scale is shown, as if it were a resource.
api::ResourceInfo shown_scale() {
  api::ResourceInfo info;
  info.group = "autoscaling";
  info.version = "v1";
  info.kind = "Scale";
  info.type = &Scale::type_info();
  info.columns = {{"Name", "string", "name", "Name must be unique within a namespace.", 0},
                  {"Desired", "integer", "", "The number of replicas wanted.", 0},
                  {"Available", "integer", "", "The number of replicas there are.", 0},
                  {"Age", "string", "", "Time since the object was created.", 0}};
  info.row = [](const api::Object& object, WallTime now) {
    const auto& scale = static_cast<const Scale&>(object);
    return std::vector<api::Cell>{{scale.metadata.name, false},
                                  {std::to_string(scale.spec.replicas), true},
                                  {std::to_string(scale.status.replicas), true},
                                  {table_age(scale.metadata.creationTimestamp, now), false}};
  };
  return info;
}

// One write of a scale: what the body wants, and the owner with it.
class ScaleWrite {
 public:
  using ObjectResult = api::ApiResult<std::unique_ptr<api::Object>>;
  ScaleWrite(ApiServer& server, Call& call, const api::ResourceInfo& resource)
      : server_(server), call_(call), resource_(resource) {}

  api::ApiResult<Stored> run() {
    const bool patch = call_.info.verb == "patch";
    if (patch) {
      ORCH_TRY(type_, patch_type(call_.content_type));
      applies_ = type_ == api::PatchType::kApply;
    }
    ORCH_TRY(options_, write_options(call_, patch ? "PatchOptions" : "UpdateOptions", applies_));
    if (applies_) {
      ORCH_TRY(applied_, applied_json(call_, Scale::type_info(), options_.field_validation));
    }
    Writer writer(server_, call_, resource_, options_);
    Writer::Update update;
    update.namespace_ = call_.info.namespace_;
    update.name = call_.info.name;
    update.subresource = "scale";
    update.ownership_done = applies_;
    update.change = [&](const api::Object& old, const Stored& stored) {
      return change(old, stored);
    };
    ORCH_TRY(Written written, writer.update(update));
    return std::move(written.object);
  }

 private:
  ObjectResult change(const api::Object& old, const Stored& stored) {
    ORCH_TRY(const Scale scale, wanted(stored));
    if (applies_) {
      return apply_object(server_, call_, resource_, options_, owner_json(scale), stored.json());
    }
    auto now = old.clone();
    visit(resource_, *now, [&](auto& owner) { owner.spec.replicas = scale.spec.replicas; });
    if (!scale.metadata.resourceVersion.empty()) {
      now->metadata.resourceVersion = scale.metadata.resourceVersion;
    }
    if (!scale.metadata.uid.empty()) now->metadata.uid = scale.metadata.uid;
    return now;
  }

  api::ApiResult<Scale> wanted(const Stored& stored) {
    std::unique_ptr<api::Object> object;
    if (applies_) {
      auto decoded = api::decode_object(applied_, Scale::type_info());
      if (!decoded) return Err(api::plain_error(decoded.error().message));
      object = std::move(*decoded);
    } else if (call_.info.verb == "patch") {
      ORCH_TRY(const Scale current, scale_of(resource_, stored));
      ORCH_TRY(object, patched_object(call_, type_, api::to_json(current), Scale::type_info(),
                                      options_.field_validation));
    } else {
      ORCH_TRY(object, decode_body(call_, Scale::type_info(), options_.field_validation));
    }
    ORCH_CHECK(match_url_on_update(call_, resource_, *object));
    auto& scale = static_cast<Scale&>(*object);
    if (scale.spec.replicas < 0) {
      api::FieldErrors errors;
      errors.invalid("spec.replicas", std::to_string(scale.spec.replicas),
                     "must be greater than or equal to 0");
      return Err(api::invalid("autoscaling", "Scale", call_.info.name, errors.take()));
    }
    return std::move(scale);
  }

  // Ownership is kept at the owner, of the one field that the scale stands for.
  std::string owner_json(const Scale& scale) const {
    std::string out =
        fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{"name":{})",
                    resource_.api_version(), resource_.kind, json_quote(call_.info.name));
    if (!scale.metadata.uid.empty()) out += ",\"uid\":" + json_quote(scale.metadata.uid);
    if (!scale.metadata.resourceVersion.empty()) {
      out += ",\"resourceVersion\":" + json_quote(scale.metadata.resourceVersion);
    }
    return out + fmt::format(R"(}},"spec":{{"replicas":{}}}}})", scale.spec.replicas);
  }

  ApiServer& server_;
  Call& call_;
  const api::ResourceInfo& resource_;
  WriteOptions options_;
  api::PatchType type_{};
  bool applies_ = false;
  std::string applied_;
};

}  // namespace

Answer serve_scale(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  Stored stored;
  if (call.info.verb == "get") {
    ORCH_TRY(stored, server.registry().get(resource, call.info.namespace_, call.info.name));
  } else {
    ORCH_TRY(stored, ScaleWrite(server, call, resource).run());
  }
  ORCH_TRY(const Scale scale, scale_of(resource, stored));
  const Stored shown(Stored::pack(Registry::encode(scale)), stored.revision());
  return answer_object(encoding, shown_scale(), shown, 200, response);
}

}  // namespace orch::server
