// The reconciler runtime (controller-runtime's contract): a reconciler gets a key, never an event;
// reads only informer caches; writes only through the client; is level-based and idempotent: a
// second run at the fixpoint writes nothing. A key never runs twice at once.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/events.h"
#include "orch/client/informer.h"

namespace orch::client {

// Done (no value), or: look again after this time.
struct Requeue {
  std::optional<Micros> after;
};
// Retried with exponential back-off (5 ms to 1000 s, per key), unless terminal (then logged only).
struct ReconcileError {
  std::string message;
  bool terminal = false;
  ReconcileError(std::string m, bool t = false) : message(std::move(m)), terminal(t) {}  // NOLINT
  ReconcileError(const api::Error& e) : message(e.message) {}                            // NOLINT
};
using ReconcileResult = Result<Requeue, ReconcileError>;
inline ReconcileResult done() { return Requeue{}; }
inline ReconcileResult requeue_after(Micros delay) { return Requeue{delay}; }

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual ReconcileResult reconcile(const api::ObjectKey& key) = 0;
};

// What a controller is built from. Its transport carries the controller's own identity.
struct ControllerContext {
  Env& env;
  const Client& client;
  InformerSet& informers;
  EventRecorder& events;
};

struct Watch {
  const api::ResourceInfo* resource;
  // Keys to reconcile for a change; either side may be null (added, deleted).
  std::function<std::vector<api::ObjectKey>(const api::ObjectPtr& old, const api::ObjectPtr& now)>
      keys;
};
// The object itself.
template <class T>
Watch primary() {
  return {&api::resource_of<T>(),
          [](const api::ObjectPtr& old, const api::ObjectPtr& now) -> std::vector<api::ObjectKey> {
            return {api::key_of(now ? *now : *old)};
          }};
}
// The controller owner (of kind `Owner`) of the changed object, before and after.
Watch owned_by(const api::ResourceInfo& resource, std::string_view owner_group,
               std::string_view owner_kind);
template <class T, class Owner>
Watch owned() {
  return owned_by(api::resource_of<T>(), Owner::type_info().group, Owner::type_info().kind);
}
template <class T>
Watch mapped(std::function<std::vector<api::ObjectKey>(const T& object)> fn) {
  return {&api::resource_of<T>(),
          [fn = std::move(fn)](const api::ObjectPtr& old, const api::ObjectPtr& now) {
            std::vector<api::ObjectKey> keys;
            if (old) keys = fn(static_cast<const T&>(*old));
            if (now) {
              auto more = fn(static_cast<const T&>(*now));
              keys.insert(keys.end(), more.begin(), more.end());
            }
            return keys;
          }};
}

struct ControllerSpec {
  std::string name;  // as kube-controller-manager names it: "deployment-controller"
  std::vector<Watch> watches;
  unsigned strands = 1;  // keys reconciled in parallel
  std::function<std::unique_ptr<Reconciler>(ControllerContext&)> make;
  // Optional: keys reconciled once at start beside those of the caches (for singletons).
  std::vector<api::ObjectKey> initial_keys;
};

// Runs one controller: starts after its informers synced. stop() waits for running reconciles.
class Controller {
 public:
  Controller(ControllerContext context, ControllerSpec spec);
  ~Controller();
  void start();
  void stop();
  void enqueue(const api::ObjectKey& key);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// client-go's work queue: ordered, de-duplicated; a key added while it runs is run again after.
class WorkQueue {
 public:
  explicit WorkQueue(std::string name);
  ~WorkQueue();
  void add(const api::ObjectKey& key);
  std::optional<api::ObjectKey> take();  // nullopt = nothing now
  void done(const api::ObjectKey& key);
  size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Expectations of a controller that creates and deletes children and reads them from a cache that
// lags (client-go's ControllerExpectations): satisfied when all were seen or 5 minutes passed.
class Expectations {
 public:
  explicit Expectations(Clock& clock) : clock_(clock) {}
  void expect_creations(const std::string& key, int count);
  void expect_deletions(const std::string& key, const std::vector<std::string>& uids);
  void creation_observed(const std::string& key);
  void deletion_observed(const std::string& key, const std::string& uid);
  bool satisfied(const std::string& key);
  void forget(const std::string& key);

 private:
  struct Entry {
    int creations = 0;
    std::vector<std::string> deletions;
    MonoTime since{};
  };
  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace orch::client
