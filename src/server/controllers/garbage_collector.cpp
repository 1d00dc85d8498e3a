// Garbage collector: objects whose owners are all gone go too; owners deleted in the foreground
// wait for what blocks them; with orphaning, what they owned is let go first.
//
// Keys: namespace_ = "<group>|<version>|<plural>|<namespace>", name = the object's name.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <set>

#include "orch/api/codec.h"
#include "orch/base/strings.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using Outcome = Result<Unit, client::ReconcileError>;

constexpr const char* kOwnerIndex = "owner-uids";
constexpr const char* kForeground = "foregroundDeletion";
constexpr const char* kOrphan = "orphan";
constexpr size_t kDeletedMax = 4096;

// Events come and go in masses and own nothing; their owners never delete them.
bool is_collected(const ResourceInfo& resource) {
  const bool watchable =
      std::find(resource.verbs.begin(), resource.verbs.end(), "watch") != resource.verbs.end();
  return resource.stored && watchable && resource.plural != "events";
}

ObjectKey graph_key(const ResourceInfo& resource, const std::string& ns, const std::string& name) {
  return {fmt::format("{}|{}|{}|{}", resource.group, resource.version, resource.plural, ns), name};
}

bool has_finalizer(const Object& object, std::string_view finalizer) {
  const auto& list = object.metadata.finalizers;
  return std::find(list.begin(), list.end(), finalizer) != list.end();
}

struct Dependent {
  const ResourceInfo* resource;
  ObjectPtr object;
};

// What all reconciles share: every collected resource's cache with an index by owner uid.
class Graph {
 public:
  explicit Graph(client::InformerSet& informers) {
    for (const auto* resource : all_resources()) {
      if (!is_collected(*resource)) continue;
      auto& informer = informers.get(*resource);
      informer.add_index(kOwnerIndex, [](const Object& object) {
        std::vector<std::string> uids;
        for (const auto& owner : object.metadata.ownerReferences) uids.push_back(owner.uid);
        return uids;
      });
      informers_.emplace_back(resource, &informer);
    }
  }

  ObjectPtr get(const ResourceInfo& resource, std::string_view ns, std::string_view name) const {
    for (const auto& [known, informer] : informers_) {
      if (known == &resource) return informer->get(ns, name);
    }
    return nullptr;
  }

  std::vector<Dependent> dependents(const std::string& uid) const {
    std::vector<Dependent> out;
    for (const auto& [resource, informer] : informers_) {
      for (auto& object : informer->by_index(kOwnerIndex, uid)) {
        out.push_back({resource, std::move(object)});
      }
    }
    return out;
  }

  // Owners that were seen to go need not be looked for elsewhere.
  void note_deleted(const std::string& uid) const {
    std::lock_guard lock(mutex_);
    if (!deleted_.insert(uid).second) return;
    deleted_order_.push_back(uid);
    if (deleted_order_.size() <= kDeletedMax) return;
    deleted_.erase(deleted_order_.front());
    deleted_order_.pop_front();
  }

  // Wherever it is. Looks at all objects of the kind: for what goes wrong only.
  ObjectPtr find_by_uid(const ResourceInfo& resource, const std::string& uid) const {
    {
      std::lock_guard lock(mutex_);
      if (deleted_.count(uid) > 0) return nullptr;
    }
    for (const auto& [known, informer] : informers_) {
      if (known != &resource) continue;
      for (auto& object : informer->list()) {
        if (object->metadata.uid == uid) return std::move(object);
      }
    }
    return nullptr;
  }

  const std::vector<std::pair<const ResourceInfo*, client::InformerBase*>>& informers() const {
    return informers_;
  }

 private:
  std::vector<std::pair<const ResourceInfo*, client::InformerBase*>> informers_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> deleted_;
  mutable std::deque<std::string> deleted_order_;
};

const ResourceInfo* owner_resource(const metav1::OwnerReference& owner) {
  const size_t slash = owner.apiVersion.find('/');
  const std::string group = slash == std::string::npos ? "" : owner.apiVersion.substr(0, slash);
  const std::string version =
      slash == std::string::npos ? owner.apiVersion : owner.apiVersion.substr(slash + 1);
  return find_resource_by_kind(group, version, owner.kind);
}

class GarbageCollector final : public client::Reconciler {
 public:
  GarbageCollector(client::ControllerContext& context, std::shared_ptr<const Graph> graph)
      : context_(context), graph_(std::move(graph)) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto parts = split(key.namespace_, '|');
    const auto* resource = find_resource(parts[0], parts[1], parts[2]);
    if (resource == nullptr) return client::done();
    auto object = graph_->get(*resource, parts[3], key.name);
    if (!object) return client::done();
    if (object->metadata.deletionTimestamp) {
      ORCH_CHECK(finish_deletion(*resource, *object));
    } else if (!object->metadata.ownerReferences.empty()) {
      ORCH_CHECK(collect(*resource, *object));
    }
    return client::done();
  }

 private:
  enum class OwnerState { kThere, kGone, kWaiting };

  // An owner that the cache does not know is looked for at the API server before it counts as gone.
  Result<OwnerState, client::ReconcileError> look_up(const Object& object,
                                                     const metav1::OwnerReference& owner) const {
    const auto* resource = owner_resource(owner);
    if (resource == nullptr) return OwnerState::kThere;  // of a kind we cannot judge
    // A cluster-scoped object cannot be owned by a namespaced one: such an owner cannot be looked
    // for, so its object stays. Owners in other namespaces count as gone.
    if (resource->namespaced && object.metadata.namespace_.empty()) {
      report_elsewhere(*resource, object, owner);
      return OwnerState::kThere;
    }
    const std::string ns = resource->namespaced ? object.metadata.namespace_ : "";
    const auto judge = [&](const Object& found) {
      if (found.metadata.uid != owner.uid) return OwnerState::kGone;
      return found.metadata.deletionTimestamp && has_finalizer(found, kForeground)
                 ? OwnerState::kWaiting
                 : OwnerState::kThere;
    };
    if (auto cached = graph_->get(*resource, ns, owner.name)) {
      const OwnerState state = judge(*cached);
      if (state != OwnerState::kGone) return state;
    }
    auto live = context_.client.raw().get(*resource, ns, owner.name);
    if (!live && !live.error().is("NotFound")) return Err(client::ReconcileError(live.error()));
    const OwnerState state = live ? judge(**live) : OwnerState::kGone;
    if (state == OwnerState::kGone) report_elsewhere(*resource, object, owner);
    return state;
  }

  // An owner that lives, but not where the object could have it as owner.
  void report_elsewhere(const ResourceInfo& resource, const Object& object,
                        const metav1::OwnerReference& owner) const {
    const auto found = graph_->find_by_uid(resource, owner.uid);
    const std::string& ns = object.metadata.namespace_;
    if (!found || !resource.namespaced || found->metadata.namespace_ == ns) return;
    context_.events.record(
        client::subject_of(object), "Warning", "OwnerRefInvalidNamespace",
        fmt::format("ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in "
                    "namespace \"{}\"",
                    owner.apiVersion, owner.kind, ns, owner.name, owner.uid, ns));
  }

  Outcome collect(const ResourceInfo& resource, const Object& object) const {
    std::vector<std::string> gone, going;
    bool there = false, waiting = false;
    for (const auto& owner : object.metadata.ownerReferences) {
      ORCH_TRY(const OwnerState state, look_up(object, owner));
      there = there || state == OwnerState::kThere;
      waiting = waiting || state == OwnerState::kWaiting;
      if (state == OwnerState::kGone) gone.push_back(owner.uid);
      if (state == OwnerState::kWaiting) going.push_back(owner.uid);
    }
    if (there) {  // it stays, and must not hold up those of its owners that go
      gone.insert(gone.end(), going.begin(), going.end());
      return gone.empty() ? Outcome(Unit{}) : drop_owners(resource, object, gone);
    }
    // Nobody but owners that are going: go as they do. What has dependents of its own that block
    // it waits for them.
    if (!waiting) return remove(resource, object, "Background");
    const auto dependents = graph_->dependents(object.metadata.uid);
    if (std::any_of(dependents.begin(), dependents.end(), waits_for_dependents)) {
      ORCH_CHECK(unblock_owners(resource, object));
    }
    const bool blocked = !blocking(object, dependents).empty();
    return remove(resource, object, blocked ? "Foreground" : "Background");
  }

  static bool waits_for_dependents(const Dependent& dependent) {
    return dependent.object->metadata.deletionTimestamp &&
           has_finalizer(*dependent.object, kForeground);
  }

  // Owners that own each other would wait for each other for ever: this one does not hold up its
  // owners any more.
  Outcome unblock_owners(const ResourceInfo& resource, const Object& object) const {
    std::string owners;
    bool changed = false;
    for (auto owner : object.metadata.ownerReferences) {
      changed = changed || owner.blockOwnerDeletion.value_or(false);
      owner.blockOwnerDeletion = false;
      owners += (owners.empty() ? "" : ",") + to_json(owner);
    }
    if (!changed) return Unit{};
    return patch(resource, object, fmt::format(R"("ownerReferences":[{}])", owners));
  }

  static std::vector<Dependent> blocking(const Object& owner, std::vector<Dependent> dependents) {
    std::erase_if(dependents, [&](const Dependent& dependent) {
      for (const auto& reference : dependent.object->metadata.ownerReferences) {
        if (reference.uid == owner.metadata.uid)
          return !reference.blockOwnerDeletion.value_or(false);
      }
      return true;
    });
    return dependents;
  }

  Outcome finish_deletion(const ResourceInfo& resource, const Object& object) const {
    if (has_finalizer(object, kOrphan)) {
      for (const auto& dependent : graph_->dependents(object.metadata.uid)) {
        ORCH_CHECK(drop_owners(*dependent.resource, *dependent.object, {object.metadata.uid}));
      }
      return drop_finalizer(resource, object, kOrphan);
    }
    if (!has_finalizer(object, kForeground)) return Unit{};
    const auto dependents = graph_->dependents(object.metadata.uid);
    for (const auto& dependent : dependents) {
      if (!dependent.object->metadata.deletionTimestamp) {
        ORCH_CHECK(collect(*dependent.resource, *dependent.object));
      }
    }
    if (!blocking(object, dependents).empty()) return Unit{};  // their deletion brings us back
    return drop_finalizer(resource, object, kForeground);
  }

  Outcome remove(const ResourceInfo& resource, const Object& object,
                 const std::string& policy) const {
    client::DeleteOptions options;
    options.uid = object.metadata.uid;
    options.propagation_policy = policy;
    return forgive(context_.client.raw().remove(resource, object.metadata.namespace_,
                                                object.metadata.name, options));
  }

  Outcome drop_owners(const ResourceInfo& resource, const Object& object,
                      const std::vector<std::string>& uids) const {
    std::string owners;
    for (const auto& owner : object.metadata.ownerReferences) {
      if (std::find(uids.begin(), uids.end(), owner.uid) != uids.end()) continue;
      owners += (owners.empty() ? "" : ",") + to_json(owner);
    }
    return patch(resource, object, fmt::format(R"("ownerReferences":[{}])", owners));
  }

  Outcome drop_finalizer(const ResourceInfo& resource, const Object& object,
                         std::string_view finalizer) const {
    std::string kept;
    for (const auto& other : object.metadata.finalizers) {
      if (other != finalizer) kept += fmt::format("{}\"{}\"", kept.empty() ? "" : ",", other);
    }
    return patch(resource, object, fmt::format(R"("finalizers":[{}])", kept));
  }

  // Whole lists are replaced, so the revision they were read at must still be the newest.
  Outcome patch(const ResourceInfo& resource, const Object& object,
                const std::string& fields) const {
    auto patched = context_.client.raw().patch(
        resource, object.metadata.namespace_, object.metadata.name, PatchType::kMerge,
        fmt::format(R"({{"metadata":{{"uid":"{}","resourceVersion":"{}",{}}}}})",
                    object.metadata.uid, object.metadata.resourceVersion, fields),
        "", "");
    if (patched || patched.error().is("NotFound")) return Unit{};
    return Err(client::ReconcileError(patched.error()));
  }

  static Outcome forgive(ApiResult<Unit> result) {
    if (result || result.error().is("NotFound") || result.error().is("Conflict")) return Unit{};
    return Err(client::ReconcileError(result.error()));
  }

  client::ControllerContext context_;
  std::shared_ptr<const Graph> graph_;
};

// The owners of `old` that `now` has no more or holds up no more: one of them may have waited for
// that.
void push_owners(const Object& old, const Object* now, std::vector<ObjectKey>& keys) {
  for (const auto& owner : old.metadata.ownerReferences) {
    const bool kept =
        now != nullptr && std::any_of(now->metadata.ownerReferences.begin(),
                                      now->metadata.ownerReferences.end(), [&](const auto& o) {
                                        return o.uid == owner.uid &&
                                               o.blockOwnerDeletion == owner.blockOwnerDeletion;
                                      });
    const auto* kind = owner_resource(owner);
    if (kept || kind == nullptr || !is_collected(*kind)) continue;
    keys.push_back(graph_key(*kind, kind->namespaced ? old.metadata.namespace_ : "", owner.name));
  }
}

// An object that came or changed is looked at; one that went away makes its dependents and the
// owners that waited for it be looked at.
client::Watch watch_resource(const ResourceInfo& resource, std::shared_ptr<const Graph> graph) {
  return {&resource, [&resource, graph](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            const Object& object = now ? *now : *old;
            const auto& meta = object.metadata;
            if (now) {
              if (!meta.ownerReferences.empty() || meta.deletionTimestamp) {
                keys.push_back(graph_key(resource, meta.namespace_, meta.name));
              }
              if (old) push_owners(*old, now.get(), keys);
              return keys;
            }
            const auto dependents = graph->dependents(meta.uid);
            if (!dependents.empty()) graph->note_deleted(meta.uid);
            for (const auto& dependent : dependents) {
              keys.push_back(graph_key(*dependent.resource, dependent.object->metadata.namespace_,
                                       dependent.object->metadata.name));
            }
            push_owners(object, nullptr, keys);
            return keys;
          }};
}

}  // namespace

client::ControllerSpec garbage_collector(client::ControllerContext& context,
                                         const ControllersConfig&) {
  auto graph = std::make_shared<const Graph>(context.informers);
  client::ControllerSpec spec;
  spec.name = "garbage-collector-controller";
  for (const auto& [resource, informer] : graph->informers()) {
    spec.watches.push_back(watch_resource(*resource, graph));
  }
  spec.strands = 2;
  spec.make = [graph](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    return std::make_unique<GarbageCollector>(c, graph);
  };
  return spec;
}

}  // namespace orch::server
