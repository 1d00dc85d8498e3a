// CronJob: the shell.
#include "server/controllers/cron_job.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/client/reconciler.h"
#include "server/controllers/pod_control.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using batchv1::CronJob;
using batchv1::Job;
using Outcome = Result<Unit, client::ReconcileError>;

void remove_active(CronJob& cron, const std::string& uid) {
  std::erase_if(cron.status.active, [&](const auto& reference) { return reference.uid == uid; });
}

corev1::ObjectReference reference_to(const Job& job) {
  corev1::ObjectReference out;
  out.apiVersion = "batch/v1";
  out.kind = "Job";
  out.name = job.metadata.name;
  out.namespace_ = job.metadata.namespace_;
  out.uid = job.metadata.uid;
  out.resourceVersion = job.metadata.resourceVersion;
  return out;
}

class CronJobReconciler final : public client::Reconciler {
 public:
  explicit CronJobReconciler(client::ControllerContext& context)
      : context_(context),
        crons_(context.informers.lister<CronJob>()),
        jobs_(context.informers.lister<Job>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto found = crons_.get(key.namespace_, key.name);
    if (!found) return client::done();
    CronJob cron = *found;
    const auto review = review_cron_jobs(cron, jobs_.by_index("owner", cron.metadata.uid));
    if (!review.unexpected.empty()) {
      ORCH_TRY(const bool behind, report_unexpected(cron, review.unexpected));
      if (behind) return client::done();  // the cache's next event brings this round back
    }
    cron.status = review.status;
    for (const auto& event : review.events) record(cron, event);
    ORCH_CHECK(drop_missing(cron, review.missing));
    for (const auto& job : review.expired) {
      if (auto removed = remove(cron, *job); !removed) break;
    }
    auto outcome = start_due(cron);
    // What happened so far is written even where starting failed.
    if (!equal(cron.status, found->status)) {
      auto written = context_.client.update_status(cron);
      if (!written && !written.error().is("NotFound")) return Err(written.error());
    }
    return outcome;
  }

 private:
  void record(const CronJob& cron, const CronEvent& event) {
    context_.events.record(client::subject_of(cron), event.type, event.reason, event.message);
  }

  // Jobs of this CronJob that its status does not know. True: only the cache does not know them.
  Result<bool, client::ReconcileError> report_unexpected(const CronJob& cron,
                                                         const std::vector<JobPtr>& jobs) {
    auto live = context_.client.get<CronJob>(cron.metadata.namespace_, cron.metadata.name);
    if (!live && live.error().is("NotFound")) return true;
    if (!live) return Err(live.error());
    if (live->metadata.resourceVersion != cron.metadata.resourceVersion) return true;
    for (const auto& job : jobs) {
      record(cron,
             {"Warning", "UnexpectedJob",
              "Saw a job that the controller did not create or forgot: " + job->metadata.name});
    }
    return false;
  }

  Outcome drop_missing(CronJob& cron, const std::vector<corev1::ObjectReference>& missing) {
    for (const auto& reference : missing) {
      auto live = context_.client.get<Job>(reference.namespace_, reference.name);
      if (live && live->metadata.uid == reference.uid) continue;  // the cache is behind
      if (!live && !live.error().is("NotFound")) return Err(live.error());
      record(cron, {"Normal", "MissingJob", "Active job went missing: " + reference.name});
      remove_active(cron, reference.uid);
    }
    return Unit{};
  }

  ApiResult<Unit> remove(CronJob& cron, const Job& job) {
    client::DeleteOptions options;
    options.propagation_policy = "Background";
    options.uid = job.metadata.uid;
    auto removed = context_.client.remove<Job>(job.metadata.namespace_, job.metadata.name, options);
    if (!removed && !removed.error().is("NotFound")) {
      record(cron, {"Warning", "FailedDelete", "Deleted job: " + removed.error().message});
      return removed;
    }
    remove_active(cron, job.metadata.uid);
    if (removed) record(cron, {"Normal", "SuccessfulDelete", "Deleted job " + job.metadata.name});
    return Unit{};
  }

  client::ReconcileResult start_due(CronJob& cron) {
    if (cron.metadata.deletionTimestamp || cron.spec.suspend.value_or(false)) return client::done();
    const auto schedule = cron_schedule(cron);
    if (!schedule) {
      record(cron, schedule.error());  // a mistake of the user's: nothing to do until it is mended
      return client::done();
    }
    if (!cron.spec.timeZone && cron.spec.schedule.find("TZ") != std::string::npos) {
      record(cron, {"Warning", "UnsupportedSchedule",
                    fmt::format("CRON_TZ or TZ used in schedule {} is not officially supported, "
                                "see https://kubernetes.io/docs/concepts/workloads/controllers/"
                                "cron-jobs/ for more details",
                                go_quoted(cron.spec.schedule))});
    }
    const WallTime now = context_.env.clock.now();
    const auto plan = plan_cron_start(cron, *schedule, now);
    for (const auto& event : plan.events) record(cron, event);
    if (plan.due) {
      if (plan.replace) ORCH_CHECK(remove_active_jobs(cron));
      ORCH_CHECK(start(cron, *plan.due));
    }
    const auto next = plan_cron_start(cron, *schedule, now);
    return next.look_again ? client::requeue_after(*next.look_again) : client::done();
  }

  Outcome remove_active_jobs(CronJob& cron) {
    const auto active = cron.status.active;
    for (const auto& reference : active) {
      auto job = context_.client.get<Job>(reference.namespace_, reference.name);
      if (!job) {
        record(cron, {"Warning", "FailedGet", "Get job: " + job.error().message});
        return Err(job.error());
      }
      if (auto removed = remove(cron, *job); !removed) {
        return Err(client::ReconcileError(fmt::format(
            "could not replace job {}/{}", job->metadata.namespace_, job->metadata.name)));
      }
    }
    return Unit{};
  }

  Outcome start(CronJob& cron, int64_t due) {
    const Job wanted = cron_job_at(cron, due);
    auto made = context_.client.create(wanted);
    if (made) {
      record(cron, {"Normal", "SuccessfulCreate", "Created job " + made->metadata.name});
    } else if (made.error().is("AlreadyExists")) {
      // Made by us in a round that did not get to write the status; or by someone else.
      made = context_.client.get<Job>(wanted.metadata.namespace_, wanted.metadata.name);
      if (!made) return Err(made.error());
      if (!is_controlled_by(*made, cron)) return Unit{};
    } else {
      if (!is_namespace_terminating(made.error())) {
        record(cron, {"Warning", "FailedCreate", "Error creating job: " + made.error().message});
      }
      return Err(made.error());
    }
    const auto& uid = made->metadata.uid;
    auto& active = cron.status.active;
    if (std::none_of(active.begin(), active.end(), [&](const auto& r) { return r.uid == uid; })) {
      active.push_back(reference_to(*made));
    }
    cron.status.lastScheduleTime = Time(WallTime{Seconds{due}});
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<CronJob> crons_;
  client::Lister<Job> jobs_;
};

}  // namespace

client::ControllerSpec cron_job_controller(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "cronjob-controller",
          .watches = {client::primary<CronJob>(), client::owned<Job, CronJob>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<CronJobReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
