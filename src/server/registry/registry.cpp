#include "server/registry/registry.h"

#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "orch/base/log.h"
#include "server/registry/continue_token.h"
#include "server/registry/event_leases.h"
#include "server/registry/storage_form.h"

namespace orch::server {

using storage::Compare;
using storage::Op;
using storage::Revision;

namespace {

// What is to be done if nobody wrote the key since `expected` (0 = it is not there).
storage::TxnRequest guarded(const std::string& key, Revision expected, Op op,
                            const Claims* claims) {
  storage::TxnRequest txn;
  const auto unchanged = [&](const std::string& of, Revision revision) {
    txn.compares.push_back({of, "", Compare::Target::kMod, Compare::Op::kEqual, revision, ""});
  };
  unchanged(key, expected);
  txn.success.push_back(std::move(op));
  if (claims == nullptr || (claims->take.empty() && claims->drop.empty())) return txn;
  const auto owner = std::make_shared<const std::string>(key);
  for (const std::string& claim : claims->take) {
    unchanged(claim, 0);
    txn.success.push_back(Op::put(claim, owner));
  }
  for (const std::string& claim : claims->drop) txn.success.push_back(Op::erase(claim));
  return txn;
}

}  // namespace

Registry::Registry(Env& env, storage::KvStore& store)
    : env_(env), store_(store), event_leases_(std::make_unique<EventLeases>(env.clock, store)) {}
Registry::~Registry() = default;

std::string Registry::prefix(const api::ResourceInfo& asked, std::string_view ns) {
  const api::ResourceInfo& resource = kept_as(asked);
  std::string out = "/registry/";
  out += resource.group.empty() ? std::string_view("core") : resource.group;
  out += '/';
  out += resource.plural;
  out += '/';
  if (resource.namespaced && !ns.empty()) {
    out += ns;
    out += '/';
  }
  return out;
}

std::string Registry::key(const api::ResourceInfo& resource, std::string_view ns,
                          std::string_view name) {
  return prefix(resource, ns) + std::string(name);
}

std::vector<std::string> Registry::volatile_prefixes() {
  return {"/registry/coordination.k8s.io/leases/", "/registry/core/events/"};
}

storage::LeaseId Registry::lease_of(const api::ResourceInfo& resource) {
  const bool event = kept_as(resource).group.empty() && resource.plural == "events";
  return event ? event_leases_->current() : 0;
}

api::ApiResult<std::unique_ptr<api::Object>> Registry::decode(const api::ResourceInfo& resource,
                                                              const Stored& stored) {
  auto object = api::decode_object(stored.raw(), *resource.type);
  if (!object) {
    return Err(api::internal_error(
        fmt::format("stored {} does not decode: {}", resource.kind, object.error().message)));
  }
  (*object)->metadata.resourceVersion = stored.resource_version();
  return std::move(*object);
}

std::string Registry::encode(const api::Object& object) {
  std::string text = api::to_json(object);
  if (object.metadata.resourceVersion.empty()) return text;
  // Cut out: a copy of the object would cost more than all the rest.
  const std::string_view metadata = json_member(text, "metadata").value_or("{}");
  size_t begin = 0, end = 0;
  json_members(metadata, [&](std::string_view key, std::string_view value) {
    if (key != "resourceVersion") return true;
    begin = static_cast<size_t>(key.data() - text.data()) - 1;
    end = static_cast<size_t>(value.data() - text.data()) + value.size();
    return false;
  });
  if (text[end] == ',') {
    ++end;
  } else if (text[begin - 1] == ',') {
    --begin;
  }
  text.erase(begin, end - begin);
  return text;
}

api::ApiResult<Stored> Registry::get(const api::ResourceInfo& resource, std::string_view ns,
                                     std::string_view name) {
  storage::RangeRequest request;
  request.key = key(resource, ns, name);
  auto answer = store_.range(request);
  if (!answer) return Err(to_api_error(answer.error()));
  if (answer->kvs.empty()) return Err(api::not_found(resource.group_resource(), name));
  Stored stored(answer->kvs.front().value, answer->kvs.front().mod_revision);
  if (!stored.well_formed()) {
    return Err(api::internal_error(
        fmt::format("the stored value of {} is {}; `etcdctl del` removes it", request.key,
                    stored.value()->starts_with("k8s:enc:")
                        ? "encrypted with a key that this server does not have"
                        : "damaged, or was not written by an API server of this kind")));
  }
  return from_store(resource, std::move(stored));
}

api::ApiResult<Unit> Registry::wait_for(Revision minimum) {
  if (minimum <= store_.revision()) return Unit{};
  // A store that others write to, too, may have it and not have told yet.
  storage::RangeRequest newest;
  newest.key = "/registry/health";
  auto answer = store_.range(newest);
  if (!answer) return Err(to_api_error(answer.error()));
  if (minimum > answer->revision) {
    return Err(too_large_resource_version(minimum, answer->revision));
  }
  return Unit{};
}

Registry::Insertion Registry::insertion(const api::ResourceInfo& resource,
                                        const api::Object& object, std::string_view json,
                                        const Claims* claims) {
  Insertion made{&resource, object.metadata.name, for_store(resource, object, json), {}};
  const std::string k = key(resource, object.metadata.namespace_, object.metadata.name);
  made.txn = guarded(k, 0, Op::put(k, made.value, lease_of(resource)), claims);
  if (claims == nullptr || claims->take.empty()) return made;
  storage::RangeRequest itself;
  itself.key = k;
  itself.count_only = true;
  made.txn.failure.push_back(Op::get(std::move(itself)));
  return made;
}

api::ApiResult<Stored> Registry::inserted(
    const Insertion& insertion, const storage::StoreResult<storage::TxnResponse>& answer) {
  if (!answer) return Err(to_api_error(answer.error()));
  if (!answer->succeeded) {
    return Err(api::already_exists(insertion.resource->group_resource(), insertion.name));
  }
  return from_store(*insertion.resource, Stored(insertion.value, answer->revision));
}

api::ApiResult<Stored> Registry::create(const api::ResourceInfo& resource,
                                        const api::Object& object, std::string_view json,
                                        Claims* claims) {
  const Insertion made = insertion(resource, object, json, claims);
  const auto answer = store_.txn(made.txn);
  if (answer && !answer->succeeded && !made.txn.failure.empty()) {
    claims->refused = answer->results.front().range.count == 0;
  }
  return inserted(made, answer);
}

api::ApiResult<std::optional<Stored>> Registry::replace(const api::ResourceInfo& resource,
                                                        const api::Object& object,
                                                        std::string_view json, Revision expected,
                                                        const Claims* claims) {
  const std::string k = key(resource, object.metadata.namespace_, object.metadata.name);
  storage::Bytes value = for_store(resource, object, json);
  auto answer = store_.txn(guarded(k, expected, Op::put(k, value, lease_of(resource)), claims));
  if (!answer) return Err(to_api_error(answer.error()));
  if (!answer->succeeded) return std::optional<Stored>();
  return std::optional<Stored>(from_store(resource, Stored(std::move(value), answer->revision)));
}

api::ApiResult<std::optional<Revision>> Registry::erase(const api::ResourceInfo& resource,
                                                        std::string_view ns, std::string_view name,
                                                        Revision expected, const Claims* claims) {
  const std::string k = key(resource, ns, name);
  auto answer = store_.txn(guarded(k, expected, Op::erase(k), claims));
  if (!answer) return Err(to_api_error(answer.error()));
  if (!answer->succeeded) return std::optional<Revision>();
  return std::optional<Revision>(answer->revision);
}

api::ApiResult<Page> Registry::list_all(const api::ResourceInfo& resource, std::string_view ns) {
  auto page = list(resource, ns, {});
  if (!page) return Err(std::move(page.error().error));
  return std::move(*page);
}

}  // namespace orch::server
