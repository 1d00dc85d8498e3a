#include "orch/base/json_scan.h"
#include "server/api/encode.h"
#include "server/api/resource_traits.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

std::string success_status(const api::ResourceInfo& resource, std::string_view name,
                           std::string_view uid) {
  std::string out = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success",)";
  out += "\"details\":{\"name\":" + json_quote(name);
  if (!resource.group.empty()) out += ",\"group\":" + json_quote(resource.group);
  out += ",\"kind\":" + json_quote(resource.plural) + ",\"uid\":" + json_quote(uid) + "}}";
  return out;
}

}  // namespace

void warn_of_orphans(Call& call, const api::ResourceInfo& resource,
                     const api::metav1::DeleteOptions& options) {
  if (options.propagationPolicy || options.orphanDependents) return;
  if (!is_resource(resource, "batch", "jobs")) return;
  call.warnings.emplace_back(
      "child pods are preserved by default when jobs are deleted; set "
      "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress "
      "this warning");
}

Answer verb_delete(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const auto options, delete_options(call));
  warn_of_orphans(call, resource, options);
  Writer writer(server, call, resource, {});
  ORCH_TRY(const Deleted deleted, writer.remove(call.info.namespace_, call.info.name, options));
  if ((deleted.gone || deleted.pending) && !returns_deleted(resource)) {
    encoding.form.transform = Transform::kNone;
    answer_json(encoding, success_status(resource, call.info.name, deleted.uid),
                &api::metav1::Status::type_info(), 200, response);
    return Unit{};
  }
  const bool accepted = !deleted.gone && options.orphanDependents && !*options.orphanDependents;
  return answer_object(encoding, resource, deleted.object, accepted ? 202 : 200, response);
}

}  // namespace orch::server
