// A cache of one resource kept true by list and watch (client-go's reflector, store and shared
// informer in one). Decoded once, shared by everyone in the process.
//
// Reads: any thread, never block for long. Handlers run one at a time on the informer's own strand
// and only enqueue. 410 -> relist; a cut watch resumes from the last revision.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "orch/api/scheme.h"
#include "orch/api/selector.h"
#include "orch/base/env.h"
#include "orch/client/client.h"

namespace orch::client {

class InformerBase {
 public:
  // old == nullptr: added; now == nullptr: deleted.
  using Handler = std::function<void(const api::ObjectPtr& old, const api::ObjectPtr& now)>;
  // Maps an object to index values ("by node": {spec.nodeName}).
  using IndexFn = std::function<std::vector<std::string>(const api::Object&)>;

  InformerBase(Env& env, Transport& transport, const api::ResourceInfo& resource,
               std::string field_selector = "", std::string ns = "");
  ~InformerBase();
  InformerBase(const InformerBase&) = delete;

  // Any time; a name already present is kept as it is.
  void add_index(std::string name, IndexFn fn);
  // Any time; handlers added later first see the present objects as added.
  void add_handler(Handler handler);
  void start();
  void stop();          // idempotent; no handler runs afterwards
  bool synced() const;  // the first list is in and was shown to the handlers
  // Runs `task` on the informer's strand once synced; never after stop().
  void on_synced(Task task);

  api::ObjectPtr get(std::string_view ns, std::string_view name) const;
  std::vector<api::ObjectPtr> list(std::string_view ns = "") const;  // sorted by key
  std::vector<api::ObjectPtr> by_index(std::string_view index, std::string_view value) const;
  size_t size() const;
  const api::ResourceInfo& resource() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Typed view of an InformerBase; cheap to copy.
template <class T>
class Lister {
 public:
  Lister() = default;
  explicit Lister(const InformerBase* base) : base_(base) {}
  std::shared_ptr<const T> get(std::string_view ns, std::string_view name) const {
    return std::static_pointer_cast<const T>(base_->get(ns, name));
  }
  std::vector<std::shared_ptr<const T>> list(std::string_view ns = "") const {
    return cast(base_->list(ns));
  }
  std::vector<std::shared_ptr<const T>> list(std::string_view ns,
                                             const api::LabelSelector& selector) const {
    std::vector<std::shared_ptr<const T>> out;
    for (auto& o : base_->list(ns)) {
      if (selector.matches(o->metadata.labels)) out.push_back(std::static_pointer_cast<const T>(o));
    }
    return out;
  }
  std::vector<std::shared_ptr<const T>> by_index(std::string_view index,
                                                 std::string_view value) const {
    return cast(base_->by_index(index, value));
  }

 private:
  static std::vector<std::shared_ptr<const T>> cast(std::vector<api::ObjectPtr> in) {
    std::vector<std::shared_ptr<const T>> out;
    out.reserve(in.size());
    for (auto& o : in) out.push_back(std::static_pointer_cast<const T>(std::move(o)));
    return out;
  }
  const InformerBase* base_ = nullptr;
};

// All informers of a process: one per resource, shared. Each has the index "owner" (controller's
// uid); Pods also "node" (spec.nodeName) and "orphan" (the namespace of those without controller).
class InformerSet {
 public:
  InformerSet(Env& env, Transport& transport);
  ~InformerSet();
  // Made on first use; before start_all() or after it.
  InformerBase& get(const api::ResourceInfo& resource);
  template <class T>
  InformerBase& get() {
    return get(api::resource_of<T>());
  }
  template <class T>
  Lister<T> lister() {
    return Lister<T>(&get<T>());
  }
  void start_all();
  bool all_synced() const;
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orch::client
