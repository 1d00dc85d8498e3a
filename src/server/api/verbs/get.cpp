#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"

namespace orch::server {

Answer verb_get(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const auto minimum, parse_resource_version(call.param("resourceVersion")));
  ORCH_CHECK(server.registry().wait_for(minimum));
  ORCH_TRY(const Stored stored,
           server.registry().get(resource, call.info.namespace_, call.info.name));
  return answer_object(encoding, resource, stored, 200, response);
}

}  // namespace orch::server
