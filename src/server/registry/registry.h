// The generic store of API objects over a KvStore: keys, revisions, pages, compare-and-swap,
// watches and selectors. Knows resources only through api::ResourceInfo. Any thread; writes block
// until durable. Errors are API errors (errors.cpp translates the store's).
//
// Keys: /registry/<group or "core">/<plural>/[<namespace>/]<name>.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/scheme.h"
#include "orch/api/selector.h"
#include "orch/base/env.h"
#include "orch/storage/kv_store.h"
#include "server/registry/claims.h"
#include "server/registry/stored.h"

namespace orch::server {

// Label and field selector of one request, matched on stored bytes where they tell, else on the
// decoded object.
class ObjectFilter {
 public:
  ObjectFilter() = default;
  // 400 on bad syntax or a field that the resource does not offer.
  static api::ApiResult<ObjectFilter> make(const api::ResourceInfo& resource,
                                           std::string_view label_selector,
                                           std::string_view field_selector);
  bool empty() const { return labels_.empty() && fields_.empty(); }
  bool matches(const Stored& object) const;
  // The value of metadata.name demanded by equality.
  std::optional<std::string> name() const { return fields_.exact("metadata.name"); }
  std::optional<std::string> namespace_() const { return fields_.exact("metadata.namespace"); }

 private:
  std::string field_of(const Stored& object, std::string_view field,
                       std::unique_ptr<api::Object>& decoded) const;
  const api::ResourceInfo* resource_ = nullptr;
  api::LabelSelector labels_;
  api::FieldSelector fields_;
};

struct ListParams {
  int64_t limit = 0;
  std::string continue_;
  std::string resource_version, resource_version_match;
  ObjectFilter filter;
};
struct Page {
  storage::Revision revision = 0;
  std::vector<Stored> items;
  std::string continue_;             // "" = the last page
  std::optional<int64_t> remaining;  // only without selectors
};
// A list that can no longer be continued consistently: 410 with a token to go on inconsistently.
struct ListError {
  api::Error error;
  std::string continue_;
  ListError(api::Error e, std::string c = "")
      : error(std::move(e)), continue_(std::move(c)) {}  // NOLINT
};

enum class WatchEventType : uint8_t { kAdded, kModified, kDeleted };
std::string_view to_string(WatchEventType type);

// Receives one watch. Called one at a time on the store's threads; must not block or call back.
class WatchReceiver {
 public:
  virtual ~WatchReceiver() = default;
  // False = full or gone; the watch ends and ended() follows.
  virtual bool event(WatchEventType type, const Stored& object) = 0;
  // All events up to this revision were delivered.
  virtual bool progress(storage::Revision through) = 0;
  virtual void ended(const std::optional<api::Error>& why) = 0;
};

class EventLeases;

class Registry {
 public:
  Registry(Env& env, storage::KvStore& store);
  ~Registry();
  Registry(const Registry&) = delete;

  static std::string prefix(const api::ResourceInfo& resource, std::string_view ns = "");
  static std::string key(const api::ResourceInfo& resource, std::string_view ns,
                         std::string_view name);
  // Below these the store may keep objects in memory only (leases, events).
  static std::vector<std::string> volatile_prefixes();

  api::ApiResult<Stored> get(const api::ResourceInfo& resource, std::string_view ns,
                             std::string_view name);
  // `minimum`: 504 if the store is not there yet.
  api::ApiResult<Unit> wait_for(storage::Revision minimum);
  Result<Page, ListError> list(const api::ResourceInfo& resource, std::string_view ns,
                               const ListParams& params);
  // Everything now, for internal use.
  api::ApiResult<Page> list_all(const api::ResourceInfo& resource, std::string_view ns = "");

  // `json` is the object's encode(). 409 AlreadyExists; 409 with claims->refused set.
  api::ApiResult<Stored> create(const api::ResourceInfo& resource, const api::Object& object,
                                std::string_view json, Claims* claims = nullptr);
  // The halves of create(), for those who do not wait for the store in between.
  struct Insertion {
    const api::ResourceInfo* resource;
    std::string name;
    storage::Bytes value;
    storage::TxnRequest txn;
  };
  Insertion insertion(const api::ResourceInfo& resource, const api::Object& object,
                      std::string_view json, const Claims* claims = nullptr);
  api::ApiResult<Stored> inserted(const Insertion& insertion,
                                  const storage::StoreResult<storage::TxnResponse>& answer);
  // nullopt = someone else wrote since `expected`, or has what is claimed: read again.
  api::ApiResult<std::optional<Stored>> replace(const api::ResourceInfo& resource,
                                                const api::Object& object, std::string_view json,
                                                storage::Revision expected,
                                                const Claims* claims = nullptr);
  // The deletion's revision; nullopt = someone else wrote since `expected`.
  api::ApiResult<std::optional<storage::Revision>> erase(const api::ResourceInfo& resource,
                                                         std::string_view ns, std::string_view name,
                                                         storage::Revision expected,
                                                         const Claims* claims = nullptr);

  // Changes after `after`. The synthetic initial state is the caller's business (list first).
  api::ApiResult<std::unique_ptr<storage::WatchHandle>> watch(
      const api::ResourceInfo& resource, std::string_view ns, storage::Revision after,
      ObjectFilter filter, std::shared_ptr<WatchReceiver> receiver);

  storage::Revision revision() const { return store_.revision(); }
  storage::KvStore& store() { return store_; }

  // 500 when the bytes do not decode. metadata.resourceVersion is set.
  static api::ApiResult<std::unique_ptr<api::Object>> decode(const api::ResourceInfo& resource,
                                                             const Stored& stored);
  // JSON as stored (resourceVersion left out).
  static std::string encode(const api::Object& object);

  template <class T>
  api::ApiResult<std::shared_ptr<const T>> get_typed(std::string_view ns, std::string_view name) {
    ORCH_TRY(auto stored, get(api::resource_of<T>(), ns, name));
    ORCH_TRY(auto object, decode(api::resource_of<T>(), stored));
    return std::shared_ptr<const T>(static_cast<const T*>(object.release()));
  }

 private:
  storage::LeaseId lease_of(const api::ResourceInfo& resource);

  Env& env_;
  storage::KvStore& store_;
  std::unique_ptr<EventLeases> event_leases_;
};

// storage::Error -> api::Error.
api::Error to_api_error(const storage::Error& error);
api::Error too_large_resource_version(storage::Revision asked, storage::Revision current);
// "" and "0" = 0. 400 on anything but digits.
api::ApiResult<storage::Revision> parse_resource_version(std::string_view text);

}  // namespace orch::server
