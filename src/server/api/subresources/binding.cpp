// pods/binding: the scheduler's word on where a Pod runs.
#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::corev1::Binding;
using api::corev1::Pod;

void set_scheduled(Pod& pod, WallTime now) {
  for (auto& condition : pod.status.conditions) {
    if (condition.type != "PodScheduled") continue;
    if (condition.status != "True") condition.lastTransitionTime = api::Time(now);
    condition.status = "True";
    condition.reason.clear();
    condition.message.clear();
    return;
  }
  api::corev1::PodCondition condition;
  condition.type = "PodScheduled";
  condition.status = "True";
  condition.lastTransitionTime = api::Time(now);
  pod.status.conditions.push_back(std::move(condition));
}

api::ApiResult<Unit> check(const Binding& binding) {
  api::FieldErrors errors;
  const std::string& kind = binding.target.kind;
  if (!kind.empty() && kind != "Node") {
    errors.not_supported("target.kind", kind, {"Node", "<empty>"});
  }
  if (binding.target.name.empty()) errors.required("target.name");
  if (errors.empty()) return Unit{};
  // A bare error upstream, no Invalid.
  const auto causes = errors.take();
  std::string text;
  for (const auto& c : causes) {
    text += (text.empty() ? "" : ", ") + c.field + ": " + c.message;
  }
  return Err(api::plain_error(causes.size() > 1 ? "[" + text + "]" : text));
}

std::string refusal(const Pod& pod) {
  const std::string& name = pod.metadata.name;
  if (pod.metadata.deletionTimestamp) {
    return fmt::format("pod {} is being deleted, cannot be assigned to a host", name);
  }
  if (!pod.spec.nodeName.empty()) {
    return fmt::format("pod {} is already assigned to node \"{}\"", name, pod.spec.nodeName);
  }
  if (!pod.spec.schedulingGates.empty()) {
    return fmt::format("pod {} has non-empty .spec.schedulingGates", name);
  }
  return "";
}

Answer bind_pod(ApiServer& server, Call& call, const std::string& pod_name, const Binding& binding,
                const WriteOptions& options, net::HttpResponse& response) {
  ORCH_CHECK(check(binding));
  const auto& pods = api::resource_of<Pod>();
  Writer writer(server, call, pods, options);
  ORCH_CHECK(writer.admit(Operation::kCreate, call.info.namespace_, pod_name, "binding", &binding));
  Writer::Update update;
  update.namespace_ = call.info.namespace_;
  update.name = pod_name;
  update.subresource = "binding";
  update.internal = true;
  update.ownership_done = true;  // a binding owns no fields, as upstream's
  update.change = [&](const api::Object& old,
                      const Stored&) -> api::ApiResult<std::unique_ptr<api::Object>> {
    auto now = old.clone();
    auto& pod = static_cast<Pod&>(*now);
    const std::string why = refusal(pod);
    if (!why.empty()) return Err(api::conflict({"", "pods/binding"}, pod_name, why));
    if (!binding.metadata.uid.empty()) pod.metadata.uid = binding.metadata.uid;
    if (!binding.metadata.resourceVersion.empty()) {
      pod.metadata.resourceVersion = binding.metadata.resourceVersion;
    }
    pod.spec.nodeName = binding.target.name;
    for (const auto& [key, value] : binding.metadata.annotations) {
      pod.metadata.annotations[key] = value;
    }
    set_scheduled(pod, server.env().clock.now());
    return now;
  };
  ORCH_CHECK(writer.update(update));
  answer_success(call, 201, response);
  return Unit{};
}

api::ApiResult<std::unique_ptr<api::Object>> decode(Call& call, WriteOptions& options) {
  ORCH_TRY(options, write_options(call, "CreateOptions"));
  ORCH_TRY(auto object, decode_body(call, Binding::type_info(), options.field_validation));
  auto& meta = object->metadata;
  if (!meta.namespace_.empty() && meta.namespace_ != call.info.namespace_) {
    return Err(api::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request"));
  }
  if (!meta.name.empty() && !call.info.name.empty() && meta.name != call.info.name) {
    return Err(api::bad_request("name in URL does not match name in Binding object"));
  }
  return object;
}

}  // namespace

Answer serve_binding(ApiServer& server, Call& call, const api::ResourceInfo&,
                     net::HttpResponse& response) {
  WriteOptions options;
  ORCH_TRY(auto object, decode(call, options));
  return bind_pod(server, call, call.info.name, static_cast<const Binding&>(*object), options,
                  response);
}

Answer create_binding(ApiServer& server, Call& call, const api::ResourceInfo&,
                      net::HttpResponse& response) {
  WriteOptions options;
  ORCH_TRY(auto object, decode(call, options));
  const std::string name = object->metadata.name;
  if (name.empty()) return Err(api::bad_request("name must be provided"));
  return bind_pod(server, call, name, static_cast<const Binding&>(*object), options, response);
}

}  // namespace orch::server
