// The typed client: one line a call, over any Transport. Stateless beside its Transport; any
// thread.
//
//   Client client(transport);
//   ORCH_TRY(auto pod, client.get<corev1::Pod>("default", "web-0"));
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orch/api/codec.h"
#include "orch/api/patch.h"
#include "orch/api/scheme.h"
#include "orch/client/transport.h"

namespace orch::client {

struct ListOptions {
  std::string label_selector, field_selector;
  int64_t limit = 0;
  std::string continue_, resource_version, resource_version_match;
};

template <class T>
struct List {
  std::string resource_version, continue_;
  std::vector<std::shared_ptr<const T>> items;
};

struct DeleteOptions {
  std::string propagation_policy;     // "", Foreground, Background, Orphan
  int64_t grace_period_seconds = -1;  // -1 = the object's own
  std::string uid, resource_version;  // preconditions
};

// Untyped core, implemented once (client.cpp); the templates below only cast.
class RawClient {
 public:
  explicit RawClient(Transport& transport) : transport_(transport) {}
  api::ApiResult<std::unique_ptr<api::Object>> get(const api::ResourceInfo&, std::string_view ns,
                                                   std::string_view name) const;
  struct RawList {
    std::string resource_version, continue_;
    std::vector<api::ObjectPtr> items;
  };
  api::ApiResult<RawList> list(const api::ResourceInfo&, std::string_view ns,
                               const ListOptions&) const;
  // verb: create or update; subresource "" or e.g. "status".
  api::ApiResult<std::unique_ptr<api::Object>> write(const api::ResourceInfo&,
                                                     std::string_view verb, const api::Object&,
                                                     std::string_view subresource) const;
  api::ApiResult<std::unique_ptr<api::Object>> patch(const api::ResourceInfo&, std::string_view ns,
                                                     std::string_view name, api::PatchType,
                                                     std::string body, std::string_view subresource,
                                                     std::string_view field_manager) const;
  api::ApiResult<Unit> remove(const api::ResourceInfo&, std::string_view ns, std::string_view name,
                              const DeleteOptions&) const;
  // POST of a value to a subresource (binding, eviction, token): the answer's JSON.
  api::ApiResult<std::string> post_subresource(const api::ResourceInfo&, std::string_view ns,
                                               std::string_view name, std::string_view subresource,
                                               std::string body_json) const;
  Transport& transport() const { return transport_; }

 private:
  Transport& transport_;
};

class Client {
 public:
  explicit Client(Transport& transport) : raw_(transport) {}

  template <class T>
  api::ApiResult<T> get(std::string_view ns, std::string_view name) const {
    return typed<T>(raw_.get(api::resource_of<T>(), ns, name));
  }
  template <class T>
  api::ApiResult<List<T>> list(std::string_view ns = "", const ListOptions& options = {}) const {
    ORCH_TRY(auto raw, raw_.list(api::resource_of<T>(), ns, options));
    List<T> out{std::move(raw.resource_version), std::move(raw.continue_), {}};
    out.items.reserve(raw.items.size());
    for (auto& item : raw.items) out.items.push_back(std::static_pointer_cast<const T>(item));
    return out;
  }
  template <class T>
  api::ApiResult<T> create(const T& object) const {
    return typed<T>(raw_.write(api::resource_of<T>(), "create", object, ""));
  }
  template <class T>
  api::ApiResult<T> update(const T& object) const {
    return typed<T>(raw_.write(api::resource_of<T>(), "update", object, ""));
  }
  template <class T>
  api::ApiResult<T> update_status(const T& object) const {
    return typed<T>(raw_.write(api::resource_of<T>(), "update", object, "status"));
  }
  template <class T>
  api::ApiResult<T> patch(std::string_view ns, std::string_view name, api::PatchType type,
                          std::string body, std::string_view subresource = "",
                          std::string_view field_manager = "") const {
    return typed<T>(raw_.patch(api::resource_of<T>(), ns, name, type, std::move(body), subresource,
                               field_manager));
  }
  template <class T>
  api::ApiResult<Unit> remove(std::string_view ns, std::string_view name,
                              const DeleteOptions& options = {}) const {
    return raw_.remove(api::resource_of<T>(), ns, name, options);
  }
  const RawClient& raw() const { return raw_; }

 private:
  template <class T>
  static api::ApiResult<T> typed(api::ApiResult<std::unique_ptr<api::Object>> result) {
    if (!result) return Err(std::move(result).error());
    return std::move(static_cast<T&>(**result));
  }
  RawClient raw_;
};

}  // namespace orch::client
