// namespaces/finalize: the namespace controller takes its finalizer off spec.finalizers; with the
// last one the Namespace goes.
#include "orch/api/corev1.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {

Answer serve_finalize(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                      net::HttpResponse& response) {
  using api::corev1::Namespace;
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const WriteOptions options, write_options(call, "UpdateOptions"));
  ORCH_TRY(auto object, decode_body(call, *resource.type, options.field_validation));
  ORCH_CHECK(match_url_on_update(call, resource, *object));
  const auto& wanted = static_cast<const Namespace&>(*object);
  Writer writer(server, call, resource, options);
  Writer::Update update;
  update.name = call.info.name;
  update.subresource = "finalize";
  update.internal = true;
  update.change = [&](const api::Object& old,
                      const Stored&) -> api::ApiResult<std::unique_ptr<api::Object>> {
    auto now = old.clone();
    auto& ns = static_cast<Namespace&>(*now);
    ns.spec.finalizers = wanted.spec.finalizers;
    if (!wanted.metadata.resourceVersion.empty()) {
      ns.metadata.resourceVersion = wanted.metadata.resourceVersion;
    }
    if (!wanted.metadata.uid.empty()) ns.metadata.uid = wanted.metadata.uid;
    return now;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, 200, response);
}

}  // namespace orch::server
