// Writer::remove: graceful deletion, finalizers, propagation policies (apiserver's generic store
// and rest.BeforeDelete).
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/api/resource_traits.h"
#include "server/api/writer.h"
#include "server/registry/service_allocator.h"

namespace orch::server {
namespace {

constexpr std::string_view kOrphan = "orphan";
constexpr std::string_view kForeground = "foregroundDeletion";
constexpr int kAttempts = 64;

using api::metav1::DeleteOptions;

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// The garbage collector's finalizers as the options ask for them.
std::vector<std::string> collector_finalizers(const api::ResourceInfo& resource,
                                              const std::vector<std::string>& present,
                                              const DeleteOptions& options) {
  bool orphan = false, foreground = false;
  if (options.orphanDependents) {
    orphan = *options.orphanDependents;
  } else if (options.propagationPolicy) {
    orphan = *options.propagationPolicy == "Orphan";
    foreground = *options.propagationPolicy == "Foreground";
  } else {
    orphan = has(present, kOrphan);
    foreground = !orphan && has(present, kForeground);
    if (!orphan && !foreground) orphan = orphans_by_default(resource);
  }
  if (!garbage_collected(resource)) orphan = foreground = false;
  std::vector<std::string> out;
  for (const std::string& name : present) {
    if (name == kOrphan ? orphan : name == kForeground ? foreground : true) out.push_back(name);
  }
  if (orphan && !has(out, kOrphan)) out.emplace_back(kOrphan);
  if (foreground && !has(out, kForeground)) out.emplace_back(kForeground);
  return out;
}

// Pods only: how long the kubelet has. nullopt = the resource knows no grace.
std::optional<int64_t> pod_grace(const api::ResourceInfo& resource, const api::Object& object,
                                 const DeleteOptions& options) {
  if (!is_resource(resource, "", "pods")) return std::nullopt;
  const auto& pod = static_cast<const api::corev1::Pod&>(object);
  int64_t period =
      options.gracePeriodSeconds.value_or(pod.spec.terminationGracePeriodSeconds.value_or(30));
  if (period < 0) period = 1;
  const bool ended = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  return pod.spec.nodeName.empty() || ended ? 0 : period;
}

api::ApiResult<Unit> check_preconditions(const api::ResourceInfo& resource,
                                         const api::Object& object, const DeleteOptions& options) {
  if (!options.preconditions) return Unit{};
  const auto& meta = object.metadata;
  const auto& wanted = *options.preconditions;
  // Upstream names the kind where others name the resource.
  const api::GroupResource shown{std::string(resource.group), std::string(resource.kind)};
  if (wanted.uid && *wanted.uid != meta.uid) {
    return Err(api::conflict(
        shown, meta.name,
        fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The "
                    "object might have been deleted and then recreated",
                    *wanted.uid, meta.uid)));
  }
  if (wanted.resourceVersion && *wanted.resourceVersion != meta.resourceVersion) {
    return Err(api::conflict(
        shown, meta.name,
        fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                    "ResourceVersion in record ({}). The object might have been modified",
                    *wanted.resourceVersion, meta.resourceVersion)));
  }
  return Unit{};
}

enum class Grace : uint8_t { kNone, kSet, kPending };

// rest.BeforeDelete: what deletion means for an object now; changes its metadata for kSet.
Grace before_delete(const api::ResourceInfo& resource, api::Object& object,
                    const DeleteOptions& options, WallTime now, int64_t& period) {
  auto& meta = object.metadata;
  if (meta.deletionTimestamp) {
    if (!meta.deletionGracePeriodSeconds) return Grace::kNone;
    const int64_t current = *meta.deletionGracePeriodSeconds;
    if (!options.gracePeriodSeconds) return Grace::kPending;
    period = std::max<int64_t>(*options.gracePeriodSeconds, 0);
    if (*options.gracePeriodSeconds < 0) period = 1;
    if (period >= current) return Grace::kPending;
    meta.deletionTimestamp->unix_seconds += period - current;
    meta.deletionGracePeriodSeconds = period;
    return Grace::kSet;
  }
  const auto grace = pod_grace(resource, object, options);
  if (!grace) return Grace::kNone;
  period = *grace;
  meta.deletionTimestamp = api::Time(now + Seconds{period});
  meta.deletionGracePeriodSeconds = period;
  if (meta.generation > 0) ++meta.generation;
  return Grace::kSet;
}

bool immortal(const api::ResourceInfo& resource, std::string_view name) {
  return is_resource(resource, "", "namespaces") &&
         (name == "default" || name == "kube-system" || name == "kube-public");
}

}  // namespace

api::ApiResult<Deleted> Writer::remove(std::string_view ns, std::string_view name,
                                       const DeleteOptions& options) {
  if (immortal(resource_, name)) {
    return Err(
        api::forbidden(resource_.group_resource(), name, "this namespace may not be deleted"));
  }
  options_.dry_run = options_.dry_run || !options.dryRun.empty();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ORCH_TRY(const Stored stored, server_.registry().get(resource_, ns, name));
    ORCH_TRY(auto deleted, try_remove(stored, options));
    if (deleted) return std::move(*deleted);
  }
  return Err(api::conflict(resource_.group_resource(), name, "the object has been modified"));
}

api::ApiResult<std::optional<Deleted>> Writer::erase(const Stored& stored,
                                                     const api::Object& object) {
  const auto& meta = object.metadata;
  Deleted deleted{stored, true, meta.uid};
  if (options_.dry_run) return std::optional<Deleted>(std::move(deleted));
  // A Service gives back what it has in the store, whatever the last request made of it.
  std::unique_ptr<api::Object> kept;
  Claims claims;
  if (is_resource(resource_, "", "services")) {
    ORCH_TRY(kept, Registry::decode(resource_, stored));
    claims = server_.services().claims_of(static_cast<const api::corev1::Service&>(*kept));
  }
  ORCH_TRY(auto revision, server_.registry().erase(resource_, meta.namespace_, meta.name,
                                                   stored.revision(), &claims));
  if (!revision) return std::optional<Deleted>();
  if (kept) server_.services().release(static_cast<const api::corev1::Service&>(*kept));
  deleted.object = Stored(Stored::pack(Registry::encode(object)), *revision);
  return std::optional<Deleted>(std::move(deleted));
}

api::ApiResult<std::optional<Deleted>> Writer::mark(const Stored& stored,
                                                    const api::Object& object) {
  Deleted deleted{stored, false, object.metadata.uid};
  if (Registry::encode(object) == stored.raw()) return std::optional<Deleted>(std::move(deleted));
  if (options_.dry_run) {
    deleted.object = Stored(Stored::pack(Registry::encode(object)), stored.revision());
    return std::optional<Deleted>(std::move(deleted));
  }
  ORCH_TRY(auto written, server_.registry().replace(resource_, object, Registry::encode(object),
                                                    stored.revision()));
  if (!written) return std::optional<Deleted>();
  deleted.object = std::move(*written);
  return std::optional<Deleted>(std::move(deleted));
}

api::ApiResult<std::optional<Deleted>> Writer::try_remove(const Stored& stored,
                                                          const DeleteOptions& options) {
  const WallTime now = server_.env().clock.now();
  ORCH_TRY(auto object, Registry::decode(resource_, stored));
  ORCH_CHECK(check_preconditions(resource_, *object, options));
  auto& meta = object->metadata;
  AdmissionRequest request = admission_request(Operation::kDelete, meta.namespace_, meta.name, "");
  request.old_object = object.get();
  if (AdmissionChain* chain = server_.hooks().admission) {
    ORCH_CHECK(chain->admit(request));
    ORCH_CHECK(chain->validate(request));
  }
  if (is_resource(resource_, "", "namespaces")) {
    auto& ns = static_cast<api::corev1::Namespace&>(*object);
    if (!meta.deletionTimestamp) {
      meta.deletionTimestamp = api::Time(now);
      ns.status.phase = "Terminating";
      meta.finalizers = collector_finalizers(resource_, meta.finalizers, options);
      if (ns.spec.finalizers.empty() && meta.finalizers.empty()) return erase(stored, *object);
      return mark(stored, *object);
    }
    if (!ns.spec.finalizers.empty() || !meta.finalizers.empty()) {
      return Err(api::conflict(
          resource_.group_resource(), meta.name,
          "The system is ensuring all content is removed from this namespace.  Upon completion, "
          "this namespace will automatically be purged by the system."));
    }
    return erase(stored, *object);
  }
  int64_t period = 0;
  const Grace grace = before_delete(resource_, *object, options, now, period);
  if (grace == Grace::kPending) {
    // Deletion has begun: neither its grace nor its finalizers change any more.
    return std::optional<Deleted>(Deleted{stored, false, meta.uid, true});
  }
  meta.finalizers = collector_finalizers(resource_, meta.finalizers, options);
  if (grace == Grace::kNone && !meta.finalizers.empty()) {
    if (!meta.deletionTimestamp) {
      meta.deletionTimestamp = api::Time(now);
      if (meta.generation > 0) ++meta.generation;
    }
    meta.deletionGracePeriodSeconds = 0;
  }
  if (!meta.finalizers.empty() || (grace == Grace::kSet && period > 0)) {
    return mark(stored, *object);
  }
  return erase(stored, *object);
}

}  // namespace orch::server
