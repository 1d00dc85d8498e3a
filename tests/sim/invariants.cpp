#include "sim/invariants.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/quota.h"
#include "orch/base/strings.h"
#include "server/registry/stored.h"

namespace orch::sim {
namespace corev1 = api::corev1;
namespace batchv1 = api::batchv1;

namespace {

constexpr std::string_view kPods = "/registry/core/pods/";
constexpr std::string_view kNodes = "/registry/core/nodes/";
constexpr std::string_view kJobs = "/registry/batch/jobs/";
constexpr std::string_view kTracking = "batch.kubernetes.io/job-tracking";

template <class T>
std::shared_ptr<const T> decode(const storage::Bytes& value) {
  if (!value) return nullptr;
  auto object = api::decode_object(server::Stored(value, 1).raw(), T::type_info());
  if (!object) return nullptr;
  return std::static_pointer_cast<const T>(std::shared_ptr<const api::Object>(std::move(*object)));
}

bool is_finished(const corev1::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

// Whether "1,3-5" names the index.
bool names_index(std::string_view ranges, std::string_view index) {
  const auto wanted = parse_int(index);
  for (const auto& part : split(ranges, ',')) {
    const std::string_view range(part);
    const size_t dash = range.find('-');
    const auto first = parse_int(range.substr(0, dash));
    const auto last = dash == range.npos ? first : parse_int(range.substr(dash + 1));
    if (wanted && first && last && *first <= *wanted && *wanted <= *last) return true;
  }
  return false;
}

bool has(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

const api::metav1::OwnerReference* controller_of(const api::metav1::ObjectMeta& meta) {
  for (const auto& owner : meta.ownerReferences) {
    if (owner.controller.value_or(false)) return &owner;
  }
  return nullptr;
}

}  // namespace

void Invariants::fail(std::string invariant, std::string what) {
  if (!violation_) violation_ = Violation{std::move(invariant), std::move(what)};
}

void Invariants::committed(const storage::Event& event, const std::string& verb) {
  const std::string& key = *event.kv.key;
  const bool gone = event.type == storage::Event::Type::kDelete;
  if (gone && event.prev_kv.value) {
    const auto meta_text = server::Stored(event.prev_kv.value, 1).metadata_json();
    auto meta = api::from_json<api::metav1::ObjectMeta>(meta_text);
    if (meta) check_deletion(key, *meta, verb);
  }
  if (key.starts_with(kPods)) {
    auto now = gone ? nullptr : decode<corev1::Pod>(event.kv.value);
    pod(key, now.get(), verb);
    if (now) {
      pod_objects_[key] = std::move(now);
    } else {
      pod_objects_.erase(key);
    }
  } else if (key.starts_with(kNodes)) {
    const std::string name = key.substr(kNodes.size());
    if (gone) {
      allocatable_.erase(name);
    } else if (auto node = decode<corev1::Node>(event.kv.value)) {
      allocatable_[name] = node->status.allocatable;
    }
  } else if (key.starts_with(kJobs)) {
    if (gone) {
      std::erase_if(jobs_, [&](const auto& job) {
        return std::string(kJobs) + job.second->metadata.namespace_ + "/" +
                   job.second->metadata.name ==
               key;
      });
    } else if (auto job = decode<batchv1::Job>(event.kv.value)) {
      jobs_[job->metadata.uid] = std::move(job);
    }
  }
}

void Invariants::pod(const std::string& key, const corev1::Pod* now, const std::string& verb) {
  const auto at = pods_.find(key);
  const std::string name = key.substr(kPods.size());
  if (at != pods_.end()) {
    const PodFacts& before = at->second;
    if (now != nullptr && now->metadata.uid == before.uid && !before.node.empty() &&
        now->spec.nodeName != before.node) {
      fail("bound-once", fmt::format("pod {} was bound to {} and is now on \"{}\" ({})", name,
                                     before.node, now->spec.nodeName, verb));
    }
    check_finalizers(*pod_objects_.at(key), now);
    if (!before.node.empty()) pods_of_node_[before.node].erase(key);
    pods_.erase(at);
  }
  if (now == nullptr) return;
  PodFacts facts;
  facts.uid = now->metadata.uid;
  facts.node = now->spec.nodeName;
  facts.requests = api::pod_requests(now->spec);
  facts.counts = !facts.node.empty() && !is_finished(*now);
  facts.created = now->metadata.creationTimestamp;
  for (const auto& owner : now->metadata.ownerReferences) {
    if (owner.blockOwnerDeletion.value_or(false)) facts.blocks.push_back(owner.uid);
  }
  const bool counts = facts.counts;
  if (!facts.node.empty()) pods_of_node_[facts.node].insert(key);
  pods_[key] = std::move(facts);
  if (counts) check_room(now->spec.nodeName, name);
}

// A finished pod of a Job is let go only once the Job has written it down.
void Invariants::check_finalizers(const corev1::Pod& before, const corev1::Pod* now) {
  if (!has(before.metadata.finalizers, kTracking)) return;
  if (now != nullptr && has(now->metadata.finalizers, kTracking)) return;
  const auto* owner = controller_of(before.metadata);
  if (owner == nullptr || !is_finished(before)) return;
  const auto job = jobs_.find(owner->uid);
  if (job == jobs_.end() || job->second->metadata.deletionTimestamp) return;
  for (const auto& c : job->second->status.conditions) {  // what ended counts no more
    if ((c.type == "Complete" || c.type == "Failed") && c.status == "True") return;
  }
  const auto& uncounted = job->second->status.uncountedTerminatedPods;
  if (uncounted && (has(uncounted->succeeded, before.metadata.uid) ||
                    has(uncounted->failed, before.metadata.uid))) {
    return;
  }
  const auto index = before.metadata.annotations.find("batch.kubernetes.io/job-completion-index");
  if (job->second->spec.completionMode == "Indexed" && before.status.phase == "Succeeded" &&
      index != before.metadata.annotations.end() &&
      names_index(job->second->status.completedIndexes, index->second)) {
    return;
  }
  fail("finalizers", fmt::format("pod {} lost {} before Job {} counted it", before.metadata.name,
                                 kTracking, job->second->metadata.name));
}

void Invariants::check_room(const std::string& node, const std::string& key) {
  const auto room = allocatable_.find(node);
  if (room == allocatable_.end()) return;
  api::ResourceList sum;
  int64_t count = 0;
  for (const auto& other : pods_of_node_[node]) {
    const PodFacts& facts = pods_.at(other);
    if (!facts.counts) continue;
    api::add_resources(sum, facts.requests);
    ++count;
  }
  sum["pods"] = api::Quantity::of(count);
  for (const auto& [resource, wanted] : sum) {
    const auto there = room->second.find(resource);
    if (there == room->second.end() || wanted <= there->second) continue;
    fail("fits", fmt::format("with {} the pods of node {} request {} of {}, it has {}", key, node,
                             wanted.str(), resource, there->second.str()));
  }
}

void Invariants::check_deletion(const std::string& key, const api::metav1::ObjectMeta& gone,
                                const std::string& verb) {
  // A request that deletes leaves an object with finalizers; one that takes the last of them off
  // is an update or a patch.
  if (!gone.finalizers.empty() && (verb == "delete" || verb == "deletecollection" || verb == "")) {
    fail("finalizers",
         fmt::format("{} was deleted with finalizer {}", key, gone.finalizers.front()));
  }
  if (!has(gone.finalizers, "foregroundDeletion")) return;
  for (const auto& [pod, facts] : pods_) {
    if (!has(facts.blocks, gone.uid)) continue;
    // A controller that had not seen the deletion yet may make one more (upstream's too): the
    // collector cannot know of it, and takes it for an orphan later.
    if (gone.deletionTimestamp &&
        facts.created.unix_seconds >= gone.deletionTimestamp->unix_seconds) {
      continue;
    }
    fail("finalizers", fmt::format("{} went in the foreground before its dependent {}", key, pod));
  }
}

void Invariants::containers(const corev1::Pod& pod, const std::string& node, bool running) {
  auto& here = running_[pod.metadata.namespace_ + "/" + pod.metadata.name];
  if (!running) {  // its owner may have let go of it meanwhile
    here.erase(pod.metadata.uid);
    return;
  }
  const auto* owner = controller_of(pod.metadata);
  if (owner == nullptr || owner->kind != "StatefulSet") return;
  here[pod.metadata.uid] = node;
  if (here.size() < 2) return;
  fail("one-per-ordinal", fmt::format("{} runs twice: on {} and on {}", pod.metadata.name,
                                      here.begin()->second, here.rbegin()->second));
}

}  // namespace orch::sim
