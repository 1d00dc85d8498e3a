#include "server/api/encode.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {

Answer verb_deletecollection(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                             net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const auto options, delete_options(call));
  if (options.preconditions && options.preconditions->uid) {
    return Err(api::bad_request("a UID precondition cannot be used on a collection"));
  }
  ORCH_TRY(const ListParams params, list_params(call, resource, false));
  warn_of_orphans(call, resource, options);
  auto page = server.registry().list(resource, call.info.namespace_, params);
  if (!page) return Err(std::move(page.error().error));
  for (const Stored& item : page->items) {
    Writer writer(server, call, resource, {});
    const std::string ns = item.string_at("metadata.namespace").value_or("");
    auto deleted = writer.remove(ns, item.string_at("metadata.name").value_or(""), options);
    // Someone else deleting at the same time is as good.
    if (!deleted && !deleted.error().is("NotFound")) return Err(deleted.error());
  }
  return answer_list(encoding, resource, std::move(*page), response);
}

}  // namespace orch::server
