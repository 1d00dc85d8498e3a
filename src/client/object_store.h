// The cached objects of one informer, with indexes. Readers share, the informer's strand writes.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/object.h"

namespace orch::client {

class ObjectStore {
 public:
  using IndexFn = std::function<std::vector<std::string>(const api::Object&)>;
  struct Change {
    api::ObjectPtr old, now;
  };

  void add_index(std::string name, IndexFn fn);
  // Puts or (now == nullptr) removes; returns what was there.
  api::ObjectPtr put(const api::ObjectPtr& now);
  api::ObjectPtr erase(const api::Object& gone);
  // Makes the store hold exactly `objects`; returns the changes, deletions first.
  std::vector<Change> replace(std::vector<api::ObjectPtr> objects);

  api::ObjectPtr get(std::string_view ns, std::string_view name) const;
  std::vector<api::ObjectPtr> list(std::string_view ns) const;
  std::vector<api::ObjectPtr> by_index(std::string_view index, std::string_view value) const;
  size_t size() const;

 private:
  struct Key {
    std::string_view ns, name;
  };
  static Key key(const api::ObjectPtr& o) { return {o->metadata.namespace_, o->metadata.name}; }
  struct ByKey {
    using is_transparent = void;
    static bool less(Key a, Key b) {
      const int c = a.ns.compare(b.ns);
      return c != 0 ? c < 0 : a.name < b.name;
    }
    bool operator()(const api::ObjectPtr& a, const api::ObjectPtr& b) const {
      return less(key(a), key(b));
    }
    bool operator()(const api::ObjectPtr& a, Key b) const { return less(key(a), b); }
    bool operator()(Key a, const api::ObjectPtr& b) const { return less(a, key(b)); }
  };
  using Set = std::set<api::ObjectPtr, ByKey>;
  struct Index {
    IndexFn fn;
    std::map<std::string, Set, std::less<>> values;
    void add(const api::ObjectPtr& object);
    void remove(const api::ObjectPtr& object);
  };
  void insert_locked(const api::ObjectPtr& object);
  void remove_locked(Set::iterator at);

  mutable std::shared_mutex mutex_;
  Set objects_;
  std::map<std::string, Index, std::less<>> indexes_;
};

}  // namespace orch::client
