// pods/ephemeralcontainers: adds containers to a running Pod (kubectl debug). Takes
// spec.ephemeralContainers of the body and nothing else.
#include <fmt/format.h>

#include <set>

#include "orch/api/corev1.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::corev1::EphemeralContainer;
using api::corev1::Pod;

void check(const Pod& now, const Pod& old, api::FieldErrors& errors) {
  constexpr const char* kField = "spec.ephemeralContainers";
  std::set<std::string> names;
  for (const auto& c : now.spec.containers) names.insert(c.name);
  for (const auto& c : now.spec.initContainers) names.insert(c.name);
  const auto find = [](const Pod& pod, const std::string& name) -> const EphemeralContainer* {
    for (const auto& c : pod.spec.ephemeralContainers) {
      if (c.name == name) return &c;
    }
    return nullptr;
  };
  for (const auto& before : old.spec.ephemeralContainers) {
    const auto* after = find(now, before.name);
    if (after == nullptr) {
      errors.forbidden(
          kField,
          fmt::format("existing ephemeral containers \"{}\" may not be removed\n", before.name));
    } else if (!api::equal(*after, before)) {
      errors.forbidden(
          kField,
          fmt::format("existing ephemeral containers \"{}\" may not be changed\n", before.name));
    }
  }
  for (size_t i = 0; i < now.spec.ephemeralContainers.size(); ++i) {
    const auto& container = now.spec.ephemeralContainers[i];
    const std::string path = fmt::format("{}[{}]", kField, i);
    if (container.name.empty()) {
      errors.required(path + ".name");
    } else if (const auto why = api::check_dns1123_label(container.name); !why.empty()) {
      errors.invalid(path + ".name", "\"" + container.name + "\"", why);
    } else if (!names.insert(container.name).second) {
      errors.duplicate(path + ".name", "\"" + container.name + "\"");
    }
    if (container.image.empty()) errors.required(path + ".image");
    if (!container.ports.empty()) {
      errors.forbidden(path + ".ports", "cannot be set for an Ephemeral Container");
    }
    if (container.livenessProbe || container.readinessProbe || container.startupProbe) {
      errors.forbidden(path, "probes cannot be set for an Ephemeral Container");
    }
  }
}

}  // namespace

Answer serve_ephemeral_containers(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                                  net::HttpResponse& response) {
  if (call.info.verb == "get") return verb_get(server, call, resource, response);
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  const bool patch = call.info.verb == "patch";
  api::PatchType type{};
  if (patch) {
    ORCH_TRY(type, patch_type(call.content_type));
  }
  const bool applies = patch && type == api::PatchType::kApply;
  ORCH_TRY(const WriteOptions options,
           write_options(call, patch ? "PatchOptions" : "UpdateOptions", applies));
  std::string applied;
  if (applies) {
    ORCH_TRY(applied, applied_json(call, *resource.type, options.field_validation));
  }
  Writer writer(server, call, resource, options);
  Writer::Update update;
  update.namespace_ = call.info.namespace_;
  update.name = call.info.name;
  update.subresource = "ephemeralcontainers";
  update.internal = true;
  update.ownership_done = applies;
  update.change = [&](const api::Object& old,
                      const Stored& stored) -> api::ApiResult<std::unique_ptr<api::Object>> {
    std::unique_ptr<api::Object> body;
    if (applies) {
      ORCH_TRY(body, apply_object(server, call, resource, options, applied, stored.json()));
    } else if (patch) {
      ORCH_TRY(body,
               patched_object(call, type, stored.json(), *resource.type, options.field_validation));
    } else {
      ORCH_TRY(body, decode_body(call, *resource.type, options.field_validation));
    }
    ORCH_CHECK(match_url_on_update(call, resource, *body));
    api::set_defaults(resource, *body);
    auto now = old.clone();
    auto& pod = static_cast<Pod&>(*now);
    pod.spec.ephemeralContainers = static_cast<Pod&>(*body).spec.ephemeralContainers;
    if (applies) pod.metadata.managedFields = body->metadata.managedFields;
    if (!body->metadata.resourceVersion.empty()) {
      pod.metadata.resourceVersion = body->metadata.resourceVersion;
    }
    api::FieldErrors errors;
    check(pod, static_cast<const Pod&>(old), errors);
    if (!errors.empty()) return Err(api::invalid("", "Pod", call.info.name, errors.take()));
    return now;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, 200, response);
}

}  // namespace orch::server
