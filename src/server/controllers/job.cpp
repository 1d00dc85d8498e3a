// Job: the shell. Reads caches, runs the plan, writes. Pods that carry the tracking finalizer of a
// Job that is gone are let go here too: their keys begin with kOrphan, which no name can.
#include "server/controllers/job.h"

#include <fmt/format.h>

#include <mutex>

#include "orch/api/codec.h"
#include "orch/base/log.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using batchv1::Job;
using corev1::Pod;
using Outcome = Result<Unit, client::ReconcileError>;

constexpr std::string_view kOrphan = "pod/";

// What strands and watches share, by the Job's key: back-off, and finalizers that were taken but
// may still be in the cache. Any thread.
class JobMemory {
 public:
  std::set<std::string> released(const std::string& key) {
    std::lock_guard lock(mutex_);
    return released_[key];
  }
  void release(const std::string& key, const std::string& uid) {
    std::lock_guard lock(mutex_);
    released_[key].insert(uid);
  }
  void seen(const std::string& key, const std::string& uid) {
    std::lock_guard lock(mutex_);
    if (auto at = released_.find(key); at != released_.end()) at->second.erase(uid);
  }
  JobBackoff backoff(const std::string& key) {
    std::lock_guard lock(mutex_);
    return backoffs_[key];
  }
  void keep(const std::string& key, const JobBackoff& backoff) {
    std::lock_guard lock(mutex_);
    backoffs_[key] = backoff;
  }
  void forget(const std::string& key) {
    std::lock_guard lock(mutex_);
    released_.erase(key);
    backoffs_.erase(key);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::set<std::string>> released_;
  std::map<std::string, JobBackoff> backoffs_;
};

// Of a pod that is not counted: had it ended meanwhile it would have to be, so the version stands
// there as well.
std::string release_unended_patch(const Pod& pod) {
  return fmt::format(R"({{"metadata":{{"uid":"{}","resourceVersion":"{}",)"
                     R"("$deleteFromPrimitiveList/finalizers":["{}"]}}}})",
                     pod.metadata.uid, pod.metadata.resourceVersion, kJobFinalizer);
}

// Everything stands under the uid: another pod of the same name is not touched.
std::string release_finalizer_patch(const Pod& pod) {
  return fmt::format(
      R"({{"metadata":{{"uid":"{}","$deleteFromPrimitiveList/finalizers":["{}"]}}}})",
      pod.metadata.uid, kJobFinalizer);
}

// The Job's reference and the finalizer in one write: a pod with one but not the other would be
// lost to the counting.
std::string claim_patch(const Pod& pod, const Job& job, bool adopt) {
  std::string owners, finalizers;
  const auto add = [](std::string& list, const std::string& item) {
    list += (list.empty() ? "" : ",") + item;
  };
  for (const auto& owner : pod.metadata.ownerReferences) {
    if (owner.uid != job.metadata.uid) add(owners, to_json(owner));
  }
  for (const auto& finalizer : pod.metadata.finalizers) {
    if (finalizer != kJobFinalizer) add(finalizers, "\"" + finalizer + "\"");
  }
  if (adopt) {
    add(owners, to_json(make_controller_ref(job)));
    add(finalizers, std::string("\"") + kJobFinalizer + "\"");
  }
  return fmt::format(R"({{"metadata":{{"uid":"{}","ownerReferences":[{}],"finalizers":[{}]}}}})",
                     pod.metadata.uid, owners, finalizers);
}

class JobReconciler final : public client::Reconciler {
 public:
  JobReconciler(client::ControllerContext& context,
                std::shared_ptr<client::Expectations> expectations,
                std::shared_ptr<JobMemory> memory)
      : context_(context),
        expectations_(expectations),
        memory_(std::move(memory)),
        control_(context, std::move(expectations)),
        jobs_(context.informers.lister<Job>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (key.name.starts_with(kOrphan)) return let_go(key);
    const std::string id = key.str();
    const auto job = jobs_.get(key.namespace_, key.name);
    if (!job || job_end(*job) != nullptr || is_job_managed_elsewhere(*job)) {
      expectations_->forget(id);
      memory_->forget(id);
      return client::done();
    }
    // Both are asked before the pods are read: what they say then is true of what is read.
    const bool may_act = expectations_->satisfied(id);
    auto released = memory_->released(id);
    ORCH_TRY(auto pods, claim(*job));
    const JobInput input{
        *job,    std::move(pods),         std::move(released), memory_->backoff(id),
        may_act, context_.env.clock.now()};
    const JobPlan plan = plan_job(input);
    const ReplicaFailure failure = act(*job, plan);
    ORCH_CHECK(count(input, plan, failure.reason.empty()));
    if (!failure.reason.empty()) return Err(client::ReconcileError(failure.message));
    const auto look_again = no_later(plan.look_again, may_act);
    return look_again ? client::requeue_after(*look_again) : client::done();
  }

 private:
  // The Job's pods in every state, adopting and releasing by the selector.
  Result<std::vector<PodPtr>, client::ReconcileError> claim(const Job& job) {
    ORCH_TRY(const auto selector, workload_selector(job.spec.selector));
    const bool going = job.metadata.deletionTimestamp.has_value();
    std::vector<PodPtr> claimed;
    for (const auto& pod : pods_to_claim(pods_, job)) {
      const auto* controller = controller_of(*pod);
      const bool matches = selector.matches(pod->metadata.labels);
      if (controller != nullptr) {
        if (controller->uid != job.metadata.uid) continue;
        if (matches) {
          claimed.push_back(pod);
        } else if (!going) {
          ORCH_CHECK(patch(*pod, PatchType::kMerge, claim_patch(*pod, job, false)));
        }
      } else if (matches && !going && !pod->metadata.deletionTimestamp) {
        ORCH_CHECK(patch(*pod, PatchType::kMerge, claim_patch(*pod, job, true)));
        Pod adopted = *pod;
        if (!has_job_finalizer(adopted)) adopted.metadata.finalizers.emplace_back(kJobFinalizer);
        claimed.push_back(std::make_shared<const Pod>(std::move(adopted)));
      }
    }
    return claimed;
  }

  Outcome patch(const Pod& pod, PatchType type, std::string body) {
    auto patched = context_.client.patch<Pod>(pod.metadata.namespace_, pod.metadata.name, type,
                                              std::move(body));
    // Gone: nothing is left to change. A conflict proves nothing: the pod may well be there, its
    // finalizer on, and must not be counted yet.
    if (!patched && !patched.error().is("NotFound")) return Err(patched.error());
    return Unit{};
  }

  ReplicaFailure act(const Job& job, const JobPlan& plan) {
    if (!plan.deletes.empty()) {
      std::vector<PodPtr> going;
      ReplicaFailure failure;
      for (const auto& pod : plan.deletes) {
        if (plan.release_deleted && has_job_finalizer(*pod)) {
          memory_->release(key_of(job).str(), pod->metadata.uid);
          auto released = patch(*pod, PatchType::kStrategic, release_unended_patch(*pod));
          if (!released) {
            memory_->seen(key_of(job).str(), pod->metadata.uid);
            failure = {"FailedDelete", released.error().message};
            continue;
          }
        }
        going.push_back(pod);
      }
      ReplicaFailure removal = control_.remove(job, going);
      return failure.reason.empty() ? removal : failure;
    }
    if (plan.creates.empty()) return {};
    return control_.create(job, static_cast<int>(plan.creates.size()),
                           [&](int at) { return job_pod(job, plan, static_cast<size_t>(at)); });
  }

  Outcome count(const JobInput& input, const JobPlan& plan, bool acted) {
    const std::string id = key_of(input.job).str();
    JobStep step = count_job(input, plan, acted);
    Job job = input.job;
    ORCH_CHECK(write(job, step.status));
    memory_->keep(id, plan.backoff);
    record(input.job, step.events);
    std::optional<client::ReconcileError> failed;
    for (const auto& pod : step.release) {
      memory_->release(id, pod->metadata.uid);
      auto released = patch(*pod, PatchType::kStrategic, release_finalizer_patch(*pod));
      if (released) {
        step.tracked.erase(pod->metadata.uid);
      } else {
        memory_->seen(id, pod->metadata.uid);
        failed = released.error();
      }
    }
    const JobEnd end = finish_job(input.job, step, step.tracked, context_.env.clock.now());
    ORCH_CHECK(write(job, end.status));
    record(input.job, end.events);
    if (failed) return Err(std::move(*failed));
    return Unit{};
  }

  // A conflict ends the round: the cache is behind, and counting must not go on from there.
  Outcome write(Job& job, const batchv1::JobStatus& status) {
    if (equal(status, job.status)) return Unit{};
    job.status = status;
    auto written = context_.client.update_status(job);
    if (!written) return Err(written.error());
    job = std::move(*written);
    return Unit{};
  }

  void record(const Job& job, const std::vector<JobEvent>& events) {
    for (const auto& event : events) {
      context_.events.record(client::subject_of(job), event.type, event.reason, event.message);
    }
  }

  // A pod whose Job is gone or finished, or that lost its owner: nobody counts it any more.
  client::ReconcileResult let_go(const ObjectKey& key) {
    const auto pod = pods_.get(key.namespace_, key.name.substr(kOrphan.size()));
    if (!pod || !has_job_finalizer(*pod)) return client::done();
    if (const auto* owner = controller_of(*pod)) {
      if (owner->kind != "Job" || !owner->apiVersion.starts_with("batch/")) return client::done();
      // The cache may not have seen the Job yet.
      auto job = context_.client.get<Job>(key.namespace_, owner->name);
      if (!job && !job.error().is("NotFound")) return Err(job.error());
      if (job && job->metadata.uid == owner->uid &&
          (job_end(*job) == nullptr || is_job_managed_elsewhere(*job))) {
        return client::done();
      }
    }
    ORCH_CHECK(patch(*pod, PatchType::kStrategic, release_finalizer_patch(*pod)));
    return client::done();
  }

  client::ControllerContext context_;
  std::shared_ptr<client::Expectations> expectations_;
  std::shared_ptr<JobMemory> memory_;
  PodControl control_;
  client::Lister<Job> jobs_;
  client::Lister<Pod> pods_;
};

ObjectKey orphan_key(const Object& pod) {
  return {pod.metadata.namespace_, std::string(kOrphan) + pod.metadata.name};
}

// What watch_owned_pods does, and: finalizers seen to be gone, pods whose Job is.
client::Watch watch_pods(client::ControllerContext& context,
                         std::shared_ptr<client::Expectations> expectations,
                         std::shared_ptr<JobMemory> memory) {
  auto watch = watch_owned_pods(
      context, resource_of<Job>(), std::move(expectations),
      [](const Object& owner, const Object& pod) {
        return selector_matches(static_cast<const Job&>(owner).spec.selector, pod.metadata.labels);
      });
  watch.keys = [owned = std::move(watch.keys), memory = std::move(memory),
                jobs = context.informers.lister<Job>()](const ObjectPtr& old,
                                                        const ObjectPtr& now) {
    const Pod& pod = static_cast<const Pod&>(now ? *now : *old);
    const bool tracked = now && has_job_finalizer(pod);
    const auto* owner = controller_of(pod);
    const bool of_job = owner != nullptr && owner->kind == "Job";
    if (of_job && !tracked) {
      memory->seen(ObjectKey{pod.metadata.namespace_, owner->name}.str(), pod.metadata.uid);
    }
    auto keys = owned(old, now);
    if (tracked && of_job) {
      const auto job = jobs.get(pod.metadata.namespace_, owner->name);
      if (!job || job->metadata.uid != owner->uid || job_end(*job) != nullptr) {
        keys.push_back(orphan_key(pod));
      }
    } else if (tracked && owner == nullptr) {
      keys.push_back(orphan_key(pod));
    }
    return keys;
  };
  return watch;
}

// The Job itself; and once it is gone, its pods.
client::Watch watch_jobs(client::ControllerContext& context) {
  return {&resource_of<Job>(),
          [pods = context.informers.lister<Pod>()](const ObjectPtr& old, const ObjectPtr& now) {
            const Object& job = now ? *now : *old;
            std::vector<ObjectKey> keys = {key_of(job)};
            if (now && job_end(static_cast<const Job&>(job)) == nullptr) return keys;
            for (const auto& pod : pods.by_index("owner", job.metadata.uid)) {
              if (has_job_finalizer(*pod)) keys.push_back(orphan_key(*pod));
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec job_controller(client::ControllerContext& context,
                                      const ControllersConfig&) {
  auto expectations = std::make_shared<client::Expectations>(context.env.clock);
  auto memory = std::make_shared<JobMemory>();
  return {.name = "job-controller",
          .watches = {watch_jobs(context), watch_pods(context, expectations, memory)},
          .strands = 2,
          .make = [expectations,
                   memory](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<JobReconciler>(c, expectations, memory);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
