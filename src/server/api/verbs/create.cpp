#include <fmt/format.h>

#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {

api::ApiResult<Unit> match_url_on_create(const Call& call, const api::ResourceInfo& resource,
                                         api::Object& object) {
  auto& meta = object.metadata;
  const std::string expected = resource.namespaced ? call.info.namespace_ : std::string();
  if (meta.namespace_.empty() || expected.empty()) meta.namespace_ = expected;
  if (meta.namespace_ == expected) return Unit{};
  return Err(api::bad_request(
      "the namespace of the provided object does not match the namespace sent on the request"));
}

Answer verb_create(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const WriteOptions options, write_options(call, "CreateOptions"));
  if (resource.namespaced && call.info.namespace_.empty()) {
    return Err(api::bad_request("an empty namespace may not be set during creation"));
  }
  ORCH_TRY(auto object, decode_body(call, *resource.type, options.field_validation));
  ORCH_CHECK(match_url_on_create(call, resource, *object));
  Writer writer(server, call, resource, options);
  ORCH_TRY(const Stored stored, writer.create(std::move(object)));
  return answer_object(encoding, resource, stored, 201, response);
}

}  // namespace orch::server
