// pods/ephemeralcontainers: adds containers to a running Pod (kubectl debug). Takes
// spec.ephemeralContainers of the body and nothing else.
#include "orch/api/pod_update.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {

using api::corev1::Pod;

namespace {

// What runs in a Pod later is admitted as what runs in it from the start.
AdmissionRequest admission_request(Call& call, const api::ResourceInfo& resource,
                                   const WriteOptions& options, api::Object& now,
                                   const api::Object& old) {
  AdmissionRequest request;
  request.operation = Operation::kUpdate;
  request.resource = &resource;
  request.subresource = "ephemeralcontainers";
  request.namespace_ = call.info.namespace_;
  request.name = call.info.name;
  request.user = &call.user;
  request.object = &now;
  request.old_object = &old;
  request.dry_run = options.dry_run;
  request.warnings = &call.warnings;
  request.audit_annotations = &call.audit_annotations;
  return request;
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
    AdmissionChain* chain = server.hooks().admission;
    const AdmissionRequest admission = admission_request(call, resource, options, pod, old);
    if (chain != nullptr) {
      AdmissionRequest mutating = admission;
      ORCH_CHECK(chain->admit(mutating));
    }
    api::FieldErrors errors;
    api::validate_ephemeral_update(pod, static_cast<const Pod&>(old), errors);
    if (!errors.empty()) return Err(api::invalid("", "Pod", call.info.name, errors.take()));
    if (chain != nullptr) ORCH_CHECK(chain->validate(admission));
    return now;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, 200, response);
}

}  // namespace orch::server
