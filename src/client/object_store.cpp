#include "client/object_store.h"

#include <mutex>

namespace orch::client {

void ObjectStore::Index::add(const api::ObjectPtr& object) {
  for (auto& value : fn(*object)) values[std::move(value)].insert(object);
}

void ObjectStore::Index::remove(const api::ObjectPtr& object) {
  for (const auto& value : fn(*object)) {
    auto at = values.find(value);
    if (at == values.end()) continue;
    at->second.erase(object);
    if (at->second.empty()) values.erase(at);
  }
}

void ObjectStore::add_index(std::string name, IndexFn fn) {
  std::unique_lock lock(mutex_);
  auto [at, fresh] = indexes_.try_emplace(std::move(name));
  if (!fresh) return;
  at->second.fn = std::move(fn);
  for (const auto& object : objects_) at->second.add(object);
}

void ObjectStore::insert_locked(const api::ObjectPtr& object) {
  objects_.insert(object);
  for (auto& [name, index] : indexes_) index.add(object);
}

void ObjectStore::remove_locked(Set::iterator at) {
  const api::ObjectPtr object = *at;
  objects_.erase(at);
  for (auto& [name, index] : indexes_) index.remove(object);
}

api::ObjectPtr ObjectStore::put(const api::ObjectPtr& now) {
  std::unique_lock lock(mutex_);
  api::ObjectPtr old;
  if (auto at = objects_.find(now); at != objects_.end()) {
    old = *at;
    remove_locked(at);
  }
  insert_locked(now);
  return old;
}

api::ObjectPtr ObjectStore::erase(const api::Object& gone) {
  std::unique_lock lock(mutex_);
  auto at = objects_.find(Key{gone.metadata.namespace_, gone.metadata.name});
  if (at == objects_.end()) return nullptr;
  api::ObjectPtr old = *at;
  remove_locked(at);
  return old;
}

std::vector<ObjectStore::Change> ObjectStore::replace(std::vector<api::ObjectPtr> objects) {
  std::unique_lock lock(mutex_);
  const Set fresh(objects.begin(), objects.end());
  std::vector<Change> deleted, changed;
  for (auto at = objects_.begin(); at != objects_.end();) {
    auto here = at++;
    auto next = fresh.find(*here);
    // Same name but another uid: the old object was deleted in between.
    if (next != fresh.end() && (*next)->metadata.uid == (*here)->metadata.uid) continue;
    deleted.push_back({*here, nullptr});
    remove_locked(here);
  }
  for (const auto& object : fresh) {
    auto at = objects_.find(object);
    if (at == objects_.end()) {
      changed.push_back({nullptr, object});
      insert_locked(object);
    } else if ((*at)->metadata.resourceVersion != object->metadata.resourceVersion) {
      changed.push_back({*at, object});
      remove_locked(at);
      insert_locked(object);
    }
  }
  deleted.insert(deleted.end(), std::make_move_iterator(changed.begin()),
                 std::make_move_iterator(changed.end()));
  return deleted;
}

api::ObjectPtr ObjectStore::get(std::string_view ns, std::string_view name) const {
  std::shared_lock lock(mutex_);
  auto at = objects_.find(Key{ns, name});
  return at == objects_.end() ? nullptr : *at;
}

std::vector<api::ObjectPtr> ObjectStore::list(std::string_view ns) const {
  std::shared_lock lock(mutex_);
  if (ns.empty()) return {objects_.begin(), objects_.end()};
  std::vector<api::ObjectPtr> out;
  for (auto at = objects_.lower_bound(Key{ns, ""});
       at != objects_.end() && (*at)->metadata.namespace_ == ns; ++at) {
    out.push_back(*at);
  }
  return out;
}

std::vector<api::ObjectPtr> ObjectStore::by_index(std::string_view index,
                                                  std::string_view value) const {
  std::shared_lock lock(mutex_);
  auto at = indexes_.find(index);
  if (at == indexes_.end()) return {};
  auto found = at->second.values.find(value);
  if (found == at->second.values.end()) return {};
  return {found->second.begin(), found->second.end()};
}

size_t ObjectStore::size() const {
  std::shared_lock lock(mutex_);
  return objects_.size();
}

}  // namespace orch::client
