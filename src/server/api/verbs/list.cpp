#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"

namespace orch::server {
namespace {

// 410 with the token to go on with in metadata.continue, which api::Error has no place for.
void answer_expired(const Encoding& encoding, const ListError& error, net::HttpResponse& response) {
  std::string json = api::status_json(error.error);
  const std::string empty = "\"metadata\":{}";
  const size_t at = json.find(empty);
  if (at != std::string::npos) {
    json.replace(at, empty.size(),
                 "\"metadata\":{\"continue\":" + json_quote(error.continue_) + "}");
  }
  answer_json(encoding, std::move(json), &api::metav1::Status::type_info(), error.error.code,
              response);
}

}  // namespace

Answer verb_list(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                 net::HttpResponse& response) {
  ORCH_TRY(Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const ListParams params, list_params(call, resource, false));
  auto page = server.registry().list(resource, call.info.namespace_, params);
  if (!page) {
    if (page.error().continue_.empty()) return Err(std::move(page.error().error));
    encoding.form.transform = Transform::kNone;
    answer_expired(encoding, page.error(), response);
    return Unit{};
  }
  return answer_list(encoding, resource, std::move(*page), response);
}

}  // namespace orch::server
