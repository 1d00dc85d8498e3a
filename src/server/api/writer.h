// The write path shared by all verbs: defaulting, admission, preparation, validation, field
// ownership, optimistic concurrency, deletion. One Writer a request; not shared between threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orch/api/metav1.h"  // generated
#include "orch/api/scheme.h"
#include "server/api/api_server.h"
#include "server/api/body.h"
#include "server/api/call.h"

namespace orch::api::corev1 {
struct Service;
}

namespace orch::server {

struct Written {
  Stored object;
  bool created = false;
  bool deleted = false;  // the update took the last finalizer off
};
struct Deleted {
  Stored object;      // the last state
  bool gone = false;  // removed now; else deletion is under way
  std::string uid;
  bool pending = false;  // it was already, and nothing was changed
};

class Writer {
 public:
  Writer(ApiServer& server, Call& call, const api::ResourceInfo& resource, WriteOptions options)
      : server_(server), call_(call), resource_(resource), options_(std::move(options)) {}

  // Stores a new object; its metadata.namespace must be set already.
  api::ApiResult<Stored> create(std::unique_ptr<api::Object> object);

  // The same up to the store, for an object that has a name and claims nothing of the store.
  api::ApiResult<Registry::Insertion> prepare(api::Object& object);

  // Makes the new object from the stored one; called again after a lost race.
  using Change = std::function<api::ApiResult<std::unique_ptr<api::Object>>(const api::Object& old,
                                                                            const Stored& stored)>;
  struct Update {
    std::string namespace_, name;
    std::string subresource;
    Change change;
    // Makes the object when there is none; empty = 404.
    std::function<api::ApiResult<std::unique_ptr<api::Object>>()> create;
    bool ownership_done = false;  // managedFields are already right (apply)
    bool internal = false;        // by a subresource: no admission, no validation of the spec
    const api::Object* payload = nullptr;  // for admission
  };
  api::ApiResult<Written> update(const Update& update);

  api::ApiResult<Deleted> remove(std::string_view ns, std::string_view name,
                                 const api::metav1::DeleteOptions& options);

  // Runs both admission steps for an operation without an object (connect, binding ...).
  api::ApiResult<Unit> admit(Operation operation, std::string_view ns, std::string_view name,
                             std::string_view subresource, const api::Object* payload);
  const WriteOptions& options() const { return options_; }

 private:
  api::ApiResult<Unit> check_namespace(const api::Object& object);
  api::ApiResult<Stored> create_once(api::Object& object);
  // Defaults, mutating admission, preparation, validation.
  api::ApiResult<AdmissionRequest> make(api::Object& object);
  // Validating admission; then the object's text with its managedFields.
  api::ApiResult<std::string> admitted(api::Object& object, const AdmissionRequest& request);
  // The last steps: what is allocated for a Service, validating admission, the store.
  api::ApiResult<Stored> create_service(api::corev1::Service& service,
                                        const AdmissionRequest& request);
  api::ApiResult<Stored> store_new(api::Object& object, const AdmissionRequest& request,
                                   Claims* claims);
  api::ApiResult<std::optional<Written>> try_update(const Update& update, const Stored& stored);
  api::ApiResult<Unit> check_update(const Update& update, const Stored& stored,
                                    const api::Object& old, api::Object& now);
  api::ApiResult<Unit> validate_update(const Update& update, const api::Object& old,
                                       api::Object& now);
  bool unchanged(const Update& update, const Stored& stored, const api::Object& old,
                 api::Object& now, std::string_view text) const;
  // `text` (the object, encoded) with its managedFields brought up to date.
  api::ApiResult<std::string> own_fields(std::string_view before, std::string text,
                                         api::Object& now, std::string_view subresource);
  api::ApiResult<std::optional<Deleted>> try_remove(const Stored& stored,
                                                    const api::metav1::DeleteOptions& options);
  api::ApiResult<std::optional<Deleted>> erase(const Stored& stored, const api::Object& object);
  api::ApiResult<std::optional<Deleted>> mark(const Stored& stored, const api::Object& object);
  AdmissionRequest admission_request(Operation operation, std::string_view ns,
                                     std::string_view name, std::string_view subresource);

  ApiServer& server_;
  Call& call_;
  const api::ResourceInfo& resource_;
  WriteOptions options_;
};

}  // namespace orch::server
