#include <fmt/format.h>

#include "server/api/encode.h"
#include "server/api/resource_traits.h"
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

namespace {

using Resume = net::HttpResponse::Resume;

// One create; what it refers to lives as long as the request.
struct Creation {
  ApiServer& server;
  Call& call;
  const api::ResourceInfo& resource;
  Encoding encoding;
  WriteOptions options;

  Answer answer(const api::ApiResult<Stored>& stored, net::HttpResponse& response) const {
    if (!stored) return Err(stored.error());
    return answer_object(encoding, resource, *stored, 201, response);
  }
  Writer writer() const { return {server, call, resource, options}; }
  // It is one transaction, whatever the store holds.
  bool single(const api::Object& object) const {
    return !object.metadata.name.empty() && !options.dry_run &&
           !is_resource(resource, "", "services") && server.registry().store().answers_later();
  }
};

// No thread waits for the disk.
Answer create_parked(const Creation& creation, api::Object& object, net::HttpResponse& response) {
  ORCH_TRY(auto made, creation.writer().prepare(object));
  const auto insertion = std::make_shared<Registry::Insertion>(std::move(made));
  response.park([creation, insertion](Resume resume) {
    using Stores = storage::StoreResult<storage::TxnResponse>;
    creation.server.registry().store().txn_async(
        std::move(insertion->txn),
        [creation, insertion, resume](Stores done) {
          resume(
              [creation, insertion, done = std::move(done)](const net::HttpRequest&,
                                                            net::HttpResponse& later) {
                const auto stored = creation.server.registry().inserted(*insertion, done);
                creation.server.conclude(creation.call, creation.answer(stored, later), later);
              },
              Resume::On::kComputing);
        },
        resume.alone);
  });
  return Unit{};
}

// On a thread that may wait for the disk.
void create_elsewhere(const Creation& creation, std::shared_ptr<api::Object> object,
                      net::HttpResponse& response) {
  response.park([creation, object = std::move(object)](const Resume& resume) {
    resume([creation, object](const net::HttpRequest&, net::HttpResponse& later) {
      const auto stored = creation.writer().create(object->clone());
      creation.server.conclude(creation.call, creation.answer(stored, later), later);
    });
  });
}

}  // namespace

Answer verb_create(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(Encoding encoding, encoding_of(call, server.env().clock.now()));
  ORCH_TRY(WriteOptions options, write_options(call, "CreateOptions"));
  if (resource.namespaced && call.info.namespace_.empty()) {
    return Err(api::bad_request("an empty namespace may not be set during creation"));
  }
  ORCH_TRY(auto object, decode_body(call, *resource.type, options.field_validation));
  ORCH_CHECK(match_url_on_create(call, resource, *object));
  const Creation creation{server, call, resource, std::move(encoding), std::move(options)};
  if (call.may_park) {
    if (creation.single(*object)) return create_parked(creation, *object, response);
    create_elsewhere(creation, std::move(object), response);
    return Unit{};
  }
  return creation.answer(creation.writer().create(std::move(object)), response);
}

}  // namespace orch::server
