// TTL after finished: deletes Jobs whose ttlSecondsAfterFinished has passed since their end.
#include <algorithm>

#include "server/controllers/job.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using batchv1::Job;

// When the Job may be deleted; nullopt = never, or not yet known.
std::optional<WallTime> expiry(const Job& job) {
  const auto* end = job_end(job);
  if (end == nullptr || !job.spec.ttlSecondsAfterFinished || job.metadata.deletionTimestamp) {
    return std::nullopt;
  }
  return end->lastTransitionTime.wall() + Seconds{*job.spec.ttlSecondsAfterFinished};
}

class TtlReconciler final : public client::Reconciler {
 public:
  explicit TtlReconciler(client::ControllerContext& context)
      : context_(context), jobs_(context.informers.lister<Job>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto cached = jobs_.get(key.namespace_, key.name);
    if (!cached || !expiry(*cached)) return client::done();
    const WallTime now = context_.env.clock.now();
    if (*expiry(*cached) > now) return client::requeue_after(*expiry(*cached) - now);
    // The TTL may have been raised, which the cache need not have seen.
    auto job = context_.client.get<Job>(key.namespace_, key.name);
    if (!job && job.error().is("NotFound")) return client::done();
    if (!job) return Err(job.error());
    const auto due = expiry(*job);
    if (!due) return client::done();
    if (*due > now) return client::requeue_after(*due - now);
    client::DeleteOptions options;
    options.propagation_policy = "Foreground";
    options.uid = job->metadata.uid;
    options.resource_version = job->metadata.resourceVersion;
    auto removed = context_.client.remove<Job>(key.namespace_, key.name, options);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<Job> jobs_;
};

}  // namespace

client::ControllerSpec ttl_after_finished_controller(client::ControllerContext&,
                                                     const ControllersConfig&) {
  return {.name = "ttl-after-finished-controller",
          .watches = {client::primary<Job>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<TtlReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
