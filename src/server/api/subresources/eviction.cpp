// pods/eviction: a deletion that asks the PodDisruptionBudgets first (429 when they say no).
#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/api/policyv1.h"
#include "orch/api/selector.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::corev1::Pod;
using api::policyv1::Eviction;
using api::policyv1::PodDisruptionBudget;

constexpr size_t kDisruptedPodsMax = 2000;
constexpr int32_t kRetrySeconds = 10;
constexpr int kTries = 20;  // against writers of the same pod

bool ready(const Pod& pod) {
  for (const auto& condition : pod.status.conditions) {
    if (condition.type == "Ready") return condition.status == "True";
  }
  return false;
}

// Pods whose end disrupts nothing.
bool free_to_go(const Pod& pod) {
  const std::string& phase = pod.status.phase;
  return phase == "Succeeded" || phase == "Failed" || phase == "Pending" ||
         pod.metadata.deletionTimestamp.has_value();
}

api::Error refused(std::string_view message, std::string cause) {
  api::Error error = api::too_many_requests(message, 0);
  error.causes.push_back({"DisruptionBudget", std::move(cause), ""});
  return error;
}

constexpr const char* kViolates =
    "Cannot evict pod as it would violate the pod's disruption budget.";

api::Error still_processed(const std::string& budget) {
  api::Error error = refused(
      kViolates,
      fmt::format("The disruption budget {} is still being processed by the server.", budget));
  error.retry_after_seconds = kRetrySeconds;
  return error;
}

api::ApiResult<std::vector<PodDisruptionBudget>> budgets_of(ApiServer& server, const Pod& pod) {
  std::vector<PodDisruptionBudget> out;
  const auto* info = api::find_resource("policy", "v1", "poddisruptionbudgets");
  if (info == nullptr) return out;
  ORCH_TRY(const Page page, server.registry().list_all(*info, pod.metadata.namespace_));
  for (const Stored& item : page.items) {
    ORCH_TRY(auto object, Registry::decode(*info, item));
    auto& budget = static_cast<PodDisruptionBudget&>(*object);
    if (!budget.spec.selector) continue;
    auto selector = api::LabelSelector::from(*budget.spec.selector);
    if (selector && selector->matches(pod.metadata.labels)) out.push_back(std::move(budget));
  }
  return out;
}

// Takes one disruption off the budget, or says why not.
api::ApiResult<Unit> spend(PodDisruptionBudget& budget, const Pod& pod, WallTime now) {
  const std::string& name = budget.metadata.name;
  auto& status = budget.status;
  if (status.observedGeneration < budget.metadata.generation) {
    return Err(still_processed(name));
  }
  if (status.disruptionsAllowed < 0) {
    return Err(api::forbidden({"policy", "poddisruptionbudget"}, name,
                              "pdb disruptions allowed is negative"));
  }
  if (status.disruptedPods.size() > kDisruptedPodsMax) {
    return Err(api::forbidden({"policy", "poddisruptionbudget"}, name,
                              "DisruptedPods map too big - too many evictions not confirmed by PDB "
                              "controller"));
  }
  if (status.disruptionsAllowed == 0) {
    std::string cause =
        fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", name,
                    status.desiredHealthy, status.currentHealthy);
    for (const auto& condition : status.conditions) {
      if (condition.type == "DisruptionAllowed" && condition.reason == "SyncFailed") {
        cause = fmt::format(
            "The disruption budget {} does not allow evicting pods currently "
            "because it failed sync: {}",
            name, condition.message);
      }
    }
    return Err(refused(kViolates, std::move(cause)));
  }
  if (--status.disruptionsAllowed == 0) {
    for (auto& condition : status.conditions) {
      if (condition.type != "DisruptionAllowed" || condition.status == "False") continue;
      condition.status = "False";
      condition.reason = "InsufficientPods";
      condition.lastTransitionTime = api::Time(now);
    }
  }
  status.disruptedPods[pod.metadata.name] = api::Time(now);
  return Unit{};
}

// Whether the answer holds only for the pod as it was seen: one that becomes ready meanwhile is
// guarded by its budget again.
api::ApiResult<bool> ask_budget(ApiServer& server, Call& call, const Pod& pod, bool dry_run) {
  if (free_to_go(pod)) return pod.status.phase == "Pending" && !pod.metadata.deletionTimestamp;
  ORCH_TRY(auto budgets, budgets_of(server, pod));
  if (budgets.empty()) return false;
  if (budgets.size() > 1) {
    return Err(api::plain_error(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
        "support."));
  }
  const PodDisruptionBudget& first = budgets.front();
  // Unhealthy Pods may go while enough others are healthy, or always, as the budget says.
  const std::string policy = first.spec.unhealthyPodEvictionPolicy.value_or("");
  if (!ready(pod)) {
    const auto& status = first.status;
    if (policy == "AlwaysAllow") return true;
    if (status.currentHealthy >= status.desiredHealthy && status.desiredHealthy > 0) return true;
  }
  WriteOptions options;
  options.dry_run = dry_run;
  options.field_manager = "kube-apiserver";
  Writer writer(server, call, api::resource_of<PodDisruptionBudget>(), options);
  Writer::Update update;
  update.namespace_ = pod.metadata.namespace_;
  update.name = first.metadata.name;
  update.subresource = "status";
  update.internal = true;
  update.change = [&](const api::Object& old,
                      const Stored&) -> api::ApiResult<std::unique_ptr<api::Object>> {
    auto now = old.clone();
    ORCH_CHECK(spend(static_cast<PodDisruptionBudget&>(*now), pod, server.env().clock.now()));
    return now;
  };
  auto spent = writer.update(update);
  if (!spent && spent.error().is("Conflict")) {
    return Err(still_processed(first.metadata.name));
  }
  ORCH_CHECK(spent);
  return false;
}

// The pod says why it ends. With `as_seen` only if it is still what the budget was asked about.
api::ApiResult<std::string> mark(ApiServer& server, Writer& writer, const Pod& pod, bool as_seen) {
  Writer::Update update;
  update.namespace_ = pod.metadata.namespace_;
  update.name = pod.metadata.name;
  update.subresource = "status";
  update.internal = true;
  update.change = [&](const api::Object& old,
                      const Stored&) -> api::ApiResult<std::unique_ptr<api::Object>> {
    if (old.metadata.uid != pod.metadata.uid ||
        (as_seen && old.metadata.resourceVersion != pod.metadata.resourceVersion)) {
      return Err(api::conflict({"", "pods"}, pod.metadata.name, "the pod changed meanwhile"));
    }
    auto now = old.clone();
    auto& conditions = static_cast<Pod&>(*now).status.conditions;
    std::erase_if(conditions, [](const auto& c) { return c.type == "DisruptionTarget"; });
    auto& condition = conditions.emplace_back();
    condition.type = "DisruptionTarget";
    condition.status = "True";
    condition.reason = "EvictionByEvictionAPI";
    condition.message = "Eviction API: evicting";
    condition.lastTransitionTime = api::Time(server.env().clock.now());
    return now;
  };
  ORCH_TRY(const Written written, writer.update(update));
  return std::to_string(written.object.revision());
}

api::ApiResult<Unit> evict_once(ApiServer& server, Call& call, Writer& writer,
                                const api::ResourceInfo& resource,
                                api::metav1::DeleteOptions options) {
  ORCH_TRY(const Stored stored,
           server.registry().get(resource, call.info.namespace_, call.info.name));
  ORCH_TRY(auto decoded, Registry::decode(resource, stored));
  const auto& pod = static_cast<const Pod&>(*decoded);
  const auto& wanted = options.preconditions;
  if (wanted && wanted->uid && *wanted->uid != pod.metadata.uid) {
    return Err(api::conflict(
        resource.group_resource(), call.info.name,
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                    *wanted->uid, pod.metadata.uid)));
  }
  const bool revision_wanted = wanted && wanted->resourceVersion;
  if (revision_wanted && *wanted->resourceVersion != pod.metadata.resourceVersion) {
    return Err(api::conflict(
        resource.group_resource(), call.info.name,
        fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in "
                    "object meta: {}",
                    *wanted->resourceVersion, pod.metadata.resourceVersion)));
  }
  const bool dry_run = !options.dryRun.empty();
  ORCH_TRY(bool as_seen, ask_budget(server, call, pod, dry_run));
  as_seen = as_seen || revision_wanted;
  ORCH_TRY(auto revision, mark(server, writer, pod, as_seen));
  if (as_seen) {
    // A dry run wrote nothing: the pod is still what it was.
    if (dry_run) revision = pod.metadata.resourceVersion;
    options.preconditions.ensure().resourceVersion = std::move(revision);
  }
  ORCH_CHECK(writer.remove(call.info.namespace_, call.info.name, options));
  return Unit{};
}

}  // namespace

Answer serve_eviction(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                      net::HttpResponse& response) {
  ORCH_TRY(WriteOptions options, write_options(call, "CreateOptions"));
  ORCH_TRY(auto object, decode_body(call, Eviction::type_info(), options.field_validation));
  const auto& eviction = static_cast<const Eviction&>(*object);
  if (!eviction.metadata.name.empty() && eviction.metadata.name != call.info.name) {
    return Err(api::bad_request("name in URL does not match name in Eviction object"));
  }
  api::metav1::DeleteOptions delete_options;
  if (eviction.deleteOptions) delete_options = *eviction.deleteOptions;
  // Dry run may be asked for in the query or in the body.
  options.dry_run = options.dry_run || !delete_options.dryRun.empty();
  if (options.dry_run && delete_options.dryRun.empty()) delete_options.dryRun.push_back("All");
  const bool asked_for_revision =
      delete_options.preconditions && delete_options.preconditions->resourceVersion;
  Writer writer(server, call, resource, options);
  ORCH_CHECK(writer.admit(Operation::kCreate, call.info.namespace_, call.info.name, "eviction",
                          &eviction));
  for (int left = kTries;; --left) {
    auto done = evict_once(server, call, writer, resource, delete_options);
    if (done) break;
    if (left == 0 || asked_for_revision || !done.error().is("Conflict")) {
      return Err(std::move(done).error());
    }
  }
  answer_success(call, 201, response);
  return Unit{};
}

}  // namespace orch::server
