#include <fmt/format.h>

#include "server/api/encode.h"
#include "server/api/resource_traits.h"
#include "server/api/verbs/verbs.h"
#include "server/api/writer.h"

namespace orch::server {

api::ApiResult<Unit> match_url_on_update(const Call& call, const api::ResourceInfo& resource,
                                         api::Object& object) {
  ORCH_CHECK(match_url_on_create(call, resource, object));
  const std::string& name = object.metadata.name;
  if (name.empty()) {
    return Err(api::bad_request(fmt::format(
        "the name of the object ({} based on URL) was undeterminable: name must be provided",
        call.info.name)));
  }
  if (name == call.info.name) return Unit{};
  return Err(api::bad_request(
      fmt::format("the name of the object ({}) does not match the name on the URL ({})", name,
                  call.info.name)));
}

Answer verb_update(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(const WriteOptions options, write_options(call, "UpdateOptions"));
  ORCH_TRY(auto object, decode_body(call, *resource.type, options.field_validation));
  ORCH_CHECK(match_url_on_update(call, resource, *object));
  Writer writer(server, call, resource, options);
  Writer::Update update;
  update.namespace_ = object->metadata.namespace_;
  update.name = call.info.name;
  update.subresource = call.info.subresource;
  update.change = [&](const api::Object&, const Stored&) {
    return api::ApiResult<std::unique_ptr<api::Object>>(object->clone());
  };
  if (create_on_update(resource) && update.subresource.empty()) {
    update.create = [&] {
      auto fresh = object->clone();
      fresh->metadata.resourceVersion.clear();
      return api::ApiResult<std::unique_ptr<api::Object>>(std::move(fresh));
    };
  }
  ORCH_TRY(const Written written, writer.update(update));
  return answer_object(encoding, resource, written.object, written.created ? 201 : 200, response);
}

}  // namespace orch::server
