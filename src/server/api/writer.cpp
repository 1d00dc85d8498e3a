#include "server/api/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/patch.h"
#include "orch/api/storage_version.h"
#include "orch/base/json_scan.h"
#include "server/api/pod_warnings.h"
#include "server/api/resource_traits.h"
#include "server/api/subresources/certificate_approval.h"
#include "server/api/subresources/pod_resize.h"
#include "server/registry/service_allocator.h"

namespace orch::server {
namespace {

constexpr int kNameAttempts = 8;
// Generous: each lost race means that another write succeeded.
constexpr int kUpdateAttempts = 64;
constexpr int kNameBaseMax = 63 - 5;
constexpr const char* kModified =
    "the object has been modified; please apply your changes to the latest version and try again";

api::Error namespace_terminating(const api::ResourceInfo& resource, const api::Object& object) {
  const std::string& ns = object.metadata.namespace_;
  api::Error error = api::forbidden(
      resource.group_resource(), object.metadata.name,
      fmt::format("unable to create new content in namespace {} because it is being terminated",
                  ns));
  error.causes.push_back({"NamespaceTerminating",
                          fmt::format("namespace {} is being terminated", ns),
                          "metadata.namespace"});
  return error;
}

// The resourceVersion an update names, 0 for none; what is no number is answered in Go's words.
api::ApiResult<uint64_t> version_of(const std::string& text) {
  uint64_t version = 0;
  if (text.empty()) return version;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size()) return version;
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  return Err(api::plain_error(fmt::format("strconv.ParseUint: parsing {}: {}", api::go_quoted(text),
                                          digits ? "value out of range" : "invalid syntax")));
}

api::corev1::Service* as_service(const api::ResourceInfo& resource, api::Object* object) {
  if (!is_resource(resource, "", "services")) return nullptr;
  return static_cast<api::corev1::Service*>(object);
}

bool only_managed_times_differ(const api::metav1::ObjectMeta& a, const api::metav1::ObjectMeta& b) {
  if (a.managedFields.size() != b.managedFields.size()) return false;
  for (size_t i = 0; i < a.managedFields.size(); ++i) {
    auto left = a.managedFields[i];
    auto right = b.managedFields[i];
    left.time.reset();
    right.time.reset();
    if (!api::equal(left, right)) return false;
  }
  return true;
}

}  // namespace

AdmissionRequest Writer::admission_request(Operation operation, std::string_view ns,
                                           std::string_view name, std::string_view subresource) {
  AdmissionRequest request;
  request.operation = operation;
  request.resource = &resource_;
  request.subresource = subresource;
  request.namespace_ = ns;
  request.name = name;
  request.user = &call_.user;
  request.dry_run = options_.dry_run;
  request.warnings = &call_.warnings;
  request.audit_annotations = &call_.audit_annotations;
  return request;
}

api::ApiResult<Unit> Writer::admit(Operation operation, std::string_view ns, std::string_view name,
                                   std::string_view subresource, const api::Object* payload) {
  AdmissionChain* chain = server_.hooks().admission;
  if (chain == nullptr) return Unit{};
  AdmissionRequest request = admission_request(operation, ns, name, subresource);
  request.payload = payload;
  ORCH_CHECK(chain->admit(request));
  return chain->validate(request);
}

api::ApiResult<Unit> Writer::check_namespace(const api::Object& object) {
  if (!resource_.namespaced) return Unit{};
  auto ns = server_.registry().get(api::resource_of<api::corev1::Namespace>(), "",
                                   object.metadata.namespace_);
  if (!ns) return Err(std::move(ns).error());
  const std::string_view raw = ns->raw();
  if (raw.find("deletionTimestamp") == raw.npos && raw.find("Terminating") == raw.npos) {
    return Unit{};
  }
  if (json_path(ns->raw(), "metadata.deletionTimestamp") ||
      ns->string_at("status.phase") == "Terminating") {
    return Err(namespace_terminating(resource_, object));
  }
  return Unit{};
}

api::ApiResult<std::string> Writer::own_fields(std::string_view before, std::string text,
                                               api::Object& now, std::string_view subresource) {
  ORCH_TRY(std::string tracked, api::track_update(before, text, options_.field_manager, subresource,
                                                  server_.env().clock.now(), *resource_.type));
  const auto entries = json_path(tracked, "metadata.managedFields");
  // What the codec would write otherwise than it stands there takes the way through the object, so
  // that equal objects have equal texts.
  constexpr std::string_view kOdd = "<>&\xe2";
  const bool plain = !entries || std::none_of(kOdd.begin(), kOdd.end(), [&](char c) {
    return entries->find(c) != entries->npos;
  });
  if (plain && api::storage_version(resource_) == nullptr) return tracked;
  now.metadata.managedFields.clear();
  if (!entries) return Registry::encode(now);
  api::metav1::ObjectMeta meta;
  const std::string wrapped = "{\"managedFields\":" + std::string(*entries) + "}";
  if (auto ok = api::decode_json(wrapped, api::metav1::ObjectMeta::type_info(), &meta); !ok) {
    return Err(api::internal_error("managedFields: " + ok.error().message));
  }
  now.metadata.managedFields = std::move(meta.managedFields);
  return Registry::encode(now);
}

api::ApiResult<Stored> Writer::create(std::unique_ptr<api::Object> object) {
  ORCH_CHECK(check_namespace(*object));
  if (!object->metadata.name.empty() || object->metadata.generateName.empty()) {
    return create_once(*object);
  }
  std::string base = object->metadata.generateName;
  if (base.size() > kNameBaseMax) base.resize(kNameBaseMax);
  for (int attempt = 0;; ++attempt) {
    auto copy = object->clone();
    copy->metadata.name = base + random_name_suffix(server_.env().random);
    auto stored = create_once(*copy);
    if (stored || !stored.error().is("AlreadyExists")) return stored;
    if (attempt + 1 == kNameAttempts) {
      return Err(api::generate_name_conflict(resource_.group_resource(), copy->metadata.name));
    }
  }
}

api::ApiResult<Registry::Insertion> Writer::prepare(api::Object& object) {
  ORCH_CHECK(check_namespace(object));
  ORCH_TRY(const AdmissionRequest request, make(object));
  ORCH_TRY(const std::string text, admitted(object, request));
  return server_.registry().insertion(resource_, object, text);
}

api::ApiResult<Stored> Writer::create_once(api::Object& object) {
  ORCH_TRY(const AdmissionRequest request, make(object));
  if (auto* service = as_service(resource_, &object)) return create_service(*service, request);
  return store_new(object, request, nullptr);
}

api::ApiResult<AdmissionRequest> Writer::make(api::Object& object) {
  const WallTime now = server_.env().clock.now();
  auto& meta = object.metadata;
  if (!meta.resourceVersion.empty()) {
    return Err(api::bad_request("resourceVersion should not be set on objects to be created"));
  }
  meta.selfLink.clear();
  meta.deletionTimestamp.reset();
  meta.deletionGracePeriodSeconds.reset();
  api::set_defaults(resource_, object);
  AdmissionRequest request =
      admission_request(Operation::kCreate, meta.namespace_, meta.name, call_.info.subresource);
  request.object = &object;
  AdmissionChain* chain = server_.hooks().admission;
  if (chain != nullptr) ORCH_CHECK(chain->admit(request));
  meta.uid = random_uuid(server_.env().random);
  meta.creationTimestamp = api::Time(now);
  meta.generation = 0;
  if (resource_.prepare != nullptr) resource_.prepare(object, nullptr, {now});
  auto causes = api::validate(resource_, object, nullptr);
  if (!causes.empty()) {
    return Err(api::invalid(resource_.group, resource_.kind, meta.name, std::move(causes)));
  }
  if (is_certificate_request(resource_)) {
    ORCH_CHECK(admit_certificate_request(object, call_.user));
  }
  if (resource_.warnings != nullptr) resource_.warnings(object, nullptr, call_.warnings);
  pod_warnings(resource_, object, nullptr, call_.warnings);
  return request;
}

api::ApiResult<std::string> Writer::admitted(api::Object& object, const AdmissionRequest& request) {
  if (AdmissionChain* chain = server_.hooks().admission) ORCH_CHECK(chain->validate(request));
  return own_fields("", Registry::encode(object), object, "");
}

api::ApiResult<Stored> Writer::create_service(api::corev1::Service& service,
                                              const AdmissionRequest& request) {
  const api::corev1::Service wanted = service;
  for (int attempt = 1;; ++attempt) {
    ORCH_TRY(auto ticket, server_.services().allocate(service, nullptr));
    auto stored = store_new(service, request, &ticket.claims());
    if (stored && !options_.dry_run) ticket.commit();
    if (stored || !ticket.claims().refused) return stored;
    // Another server was first with one of the values. The next attempt sees that.
    if (attempt == kUpdateAttempts) {
      return Err(api::internal_error("failed to allocate a serviceIP: others take each one first"));
    }
    service = wanted;
  }
}

api::ApiResult<Stored> Writer::store_new(api::Object& object, const AdmissionRequest& request,
                                         Claims* claims) {
  ORCH_TRY(const std::string text, admitted(object, request));
  if (options_.dry_run) {
    const auto& meta = object.metadata;
    if (server_.registry().get(resource_, meta.namespace_, meta.name)) {
      return Err(api::already_exists(resource_.group_resource(), meta.name));
    }
    return Stored(Stored::pack(text), 0);
  }
  return server_.registry().create(resource_, object, text, claims);
}

api::ApiResult<Written> Writer::update(const Update& update) {
  for (int attempt = 0; attempt < kUpdateAttempts; ++attempt) {
    auto stored = server_.registry().get(resource_, update.namespace_, update.name);
    if (!stored) {
      if (!stored.error().is("NotFound") || !update.create) return Err(stored.error());
      ORCH_TRY(auto object, update.create());
      auto made = create(std::move(object));
      if (made) return Written{std::move(*made), true, false};
      if (!made.error().is("AlreadyExists")) return Err(made.error());
      continue;
    }
    ORCH_TRY(auto written, try_update(update, *stored));
    if (written) return std::move(*written);
  }
  return Err(api::conflict(resource_.group_resource(), update.name, kModified));
}

api::ApiResult<Unit> Writer::check_update(const Update& update, const Stored& stored,
                                          const api::Object& old, api::Object& now) {
  auto& meta = now.metadata;
  const auto gr = resource_.group_resource();
  if (!meta.uid.empty() && meta.uid != old.metadata.uid) {
    return Err(api::conflict(
        gr, update.name,
        fmt::format("StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, "
                    "AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in "
                    "object meta: {}",
                    Registry::key(resource_, update.namespace_, update.name), meta.uid,
                    old.metadata.uid)));
  }
  ORCH_TRY(const uint64_t version, version_of(meta.resourceVersion));
  if (version == 0) {
    if (!unconditional_update(resource_) && update.subresource.empty()) {
      api::FieldErrors errors;
      errors.invalid("metadata.resourceVersion", "0x0", "must be specified for an update");
      return Err(api::invalid(resource_.group, resource_.kind, update.name, errors.take()));
    }
  } else if (version != static_cast<uint64_t>(stored.revision())) {
    return Err(api::conflict(gr, update.name, kModified));
  }
  meta.uid = old.metadata.uid;
  meta.selfLink.clear();
  // What the server set is kept without a word, whatever was sent.
  if (old.metadata.creationTimestamp) meta.creationTimestamp = old.metadata.creationTimestamp;
  if (old.metadata.deletionTimestamp) meta.deletionTimestamp = old.metadata.deletionTimestamp;
  if (!meta.deletionGracePeriodSeconds) {
    meta.deletionGracePeriodSeconds = old.metadata.deletionGracePeriodSeconds;
  }
  meta.generation = old.metadata.generation;
  return Unit{};
}

api::ApiResult<Unit> Writer::validate_update(const Update& update, const api::Object& old,
                                             api::Object& now) {
  const bool status = update.subresource == "status";
  std::vector<api::Cause> causes;
  if (status) {
    api::FieldErrors errors;
    if (resource_.validate_status != nullptr) resource_.validate_status(now, old, errors);
    causes = errors.take();
  } else if (!update.internal) {
    causes = api::validate(resource_, now, &old);
  }
  if (!causes.empty()) {
    return Err(api::invalid(resource_.group, resource_.kind, update.name, std::move(causes)));
  }
  if (status || update.internal) return Unit{};
  if (resource_.warnings != nullptr) resource_.warnings(now, &old, call_.warnings);
  pod_warnings(resource_, now, &old, call_.warnings);
  return Unit{};
}

bool Writer::unchanged(const Update& update, const Stored& stored, const api::Object& old,
                       api::Object& now, std::string_view text) const {
  if (update.ownership_done) {
    if (!only_managed_times_differ(now.metadata, old.metadata)) return false;
    auto fields = std::move(now.metadata.managedFields);
    now.metadata.managedFields = old.metadata.managedFields;
    if (Registry::encode(now) == stored.raw()) return true;
    now.metadata.managedFields = std::move(fields);
    return false;
  }
  return text == stored.raw();
}

api::ApiResult<std::optional<Written>> Writer::try_update(const Update& update,
                                                          const Stored& stored) {
  const WallTime time = server_.env().clock.now();
  ORCH_TRY(auto old, Registry::decode(resource_, stored));
  ORCH_TRY(auto now, update.change(*old, stored));
  ORCH_CHECK(check_update(update, stored, *old, *now));
  api::set_defaults(resource_, *now);
  // Entries that the client changed count (kubectl's move from client-side to server-side apply),
  // [{}] forgets all; a client that knows nothing of them, or writes a subresource, leaves them.
  auto& fields = now->metadata.managedFields;
  const bool keeps = fields.empty() || !update.subresource.empty() || update.internal;
  if (!update.ownership_done && keeps) fields = old->metadata.managedFields;
  AdmissionRequest request =
      admission_request(Operation::kUpdate, update.namespace_, update.name, update.subresource);
  request.object = now.get();
  request.old_object = old.get();
  request.payload = update.payload;
  AdmissionChain* chain = update.internal ? nullptr : server_.hooks().admission;
  if (chain != nullptr) ORCH_CHECK(chain->admit(request));
  const bool decides = decides_certificate(resource_, update.subresource);
  const bool resizes = resizes_pod(resource_, update.subresource);
  if (decides) {
    ORCH_CHECK(admit_certificate_decision(server_, call_.user, update.subresource, *old, *now));
  } else if (resizes) {
    ORCH_CHECK(admit_pod_resize(resource_, *old, *now));
  } else if (update.subresource == "status") {
    if (resource_.prepare_status != nullptr) resource_.prepare_status(*now, *old);
  } else if (!update.internal) {
    if (resource_.prepare != nullptr) resource_.prepare(*now, old.get(), {time});
  }
  auto* service = update.subresource == "status" ? nullptr : as_service(resource_, now.get());
  const auto* old_service = static_cast<const api::corev1::Service*>(old.get());
  if (service != nullptr) ServiceAllocator::carry_over(*service, *old_service);
  if (!decides && !resizes) ORCH_CHECK(validate_update(update, *old, *now));
  ServiceAllocator::Ticket ticket;
  if (service != nullptr) {
    ORCH_TRY(ticket, server_.services().allocate(*service, old_service));
  }
  if (chain != nullptr) ORCH_CHECK(chain->validate(request));

  const auto& meta = now->metadata;
  const bool leaving = old->metadata.deletionTimestamp && meta.finalizers.empty() &&
                       old->metadata.deletionGracePeriodSeconds.value_or(0) == 0;
  bool remove_now = leaving;
  if (is_resource(resource_, "", "namespaces")) {
    const auto& ns = static_cast<const api::corev1::Namespace&>(*now);
    remove_now = leaving && ns.spec.finalizers.empty();
  }
  if (remove_now && !options_.dry_run) {
    ORCH_TRY(auto gone, erase(stored, *now));
    if (!gone) return std::optional<Written>();
    return std::optional<Written>(Written{std::move(gone->object), false, true});
  }
  std::string text = Registry::encode(*now);
  if (unchanged(update, stored, *old, *now, text)) return std::optional<Written>(Written{stored});
  if (!update.ownership_done) {
    ORCH_TRY(text, own_fields(stored.raw(), std::move(text), *now, update.subresource));
  }
  if (options_.dry_run) {
    return std::optional<Written>(Written{Stored(Stored::pack(text), stored.revision())});
  }
  ORCH_TRY(auto written,
           server_.registry().replace(resource_, *now, text, stored.revision(), &ticket.claims()));
  if (!written) return std::optional<Written>();
  ticket.commit();
  return std::optional<Written>(Written{std::move(*written)});
}

}  // namespace orch::server
