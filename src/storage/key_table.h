// All keys in order, each with its newest version and the older ones that history still needs.
//
// Sorted blocks of up to kBlockMax items: walks are cache-friendly, inserts move little. Not
// thread-safe: mvcc.h holds the lock.
#pragma once

#include <memory>
#include <vector>

#include "orch/storage/kv_store.h"
#include "storage/key_range.h"

namespace orch::storage {

// An id orders all changes: the revision, and the place of the change within it.
inline constexpr int kPlaceBits = 20;
inline constexpr int64_t kPlaceMax = (int64_t{1} << kPlaceBits) - 1;
inline constexpr int64_t make_id(Revision revision, int64_t place) {
  return (revision << kPlaceBits) | place;
}
inline constexpr Revision id_revision(int64_t id) { return id >> kPlaceBits; }

struct Version {
  int64_t id = 0;
  Revision create = 0;
  int64_t version = 0;  // 0: a tombstone
  LeaseId lease = 0;
  Bytes value;  // null: a tombstone, or shed from memory (it is on disk)

  Revision revision() const { return id_revision(id); }
  bool alive() const { return version != 0; }
};

// Versions in ascending order; new ones come at the end, the oldest go first. Most keys have none
// or few: a deque's blocks would be larger than all else of a key.
class Versions {
 public:
  using Iterator = std::vector<Version>::const_iterator;
  bool empty() const { return first_ == all_.size(); }
  Iterator begin() const { return all_.begin() + static_cast<ptrdiff_t>(first_); }
  Iterator end() const { return all_.end(); }
  Version& mutable_at(Iterator at) { return all_[static_cast<size_t>(at - all_.begin())]; }
  const Version& front() const { return all_[first_]; }
  Version& back() { return all_.back(); }
  void push_back(Version version) { all_.push_back(std::move(version)); }
  void pop_back() { all_.pop_back(); }
  void pop_front();

 private:
  std::vector<Version> all_;
  size_t first_ = 0;  // those before it are gone
};

struct Item {
  Bytes key;
  Version latest;
  std::unique_ptr<Versions> older;  // null when there is none

  // The version seen at `revision`; null when the key does not exist then.
  const Version* at(Revision revision) const;
  // The version with this id and the one before it; null when not there.
  Version* by_id(int64_t id);
  const Version* before(int64_t id) const;
};

KeyValue to_key_value(const Bytes& key, const Version& version, bool with_value = true);

class KeyTable {
 public:
  Item* find(std::string_view key);
  const Item* find(std::string_view key) const { return const_cast<KeyTable*>(this)->find(key); }
  // Adds a newest version. Returns the item, valid until the next change of the table.
  Item& push(const Bytes& key, Version version);
  // Takes the newest version away again.
  void pop(std::string_view key);
  // The version `id` of `key` has left history: calls dropped(version) for all older ones, and for
  // itself if it is a tombstone, and removes them.
  template <class Dropped>
  void trim(std::string_view key, int64_t id, Dropped&& dropped);
  // Calls fn(item) in ascending order until it returns false.
  template <class Fn>
  void for_each(const KeyRange& range, Fn&& fn) const;
  // Keys existing at `revision`.
  int64_t count(const KeyRange& range, Revision revision) const;

 private:
  static constexpr size_t kBlockMax = 64;
  struct Block {
    std::vector<Item> items;  // never empty
    int64_t live = 0;         // items whose newest version is alive
    Revision changed = 0;     // no newer change in this block
  };
  struct Place {
    size_t block = 0, item = 0;
    bool found = false;
  };
  Place place_of(std::string_view key) const;
  void remove(Place place);

  std::vector<std::unique_ptr<Block>> blocks_;
};

template <class Dropped>
void KeyTable::trim(std::string_view key, int64_t id, Dropped&& dropped) {
  const Place place = place_of(key);
  if (!place.found) return;
  Item& item = blocks_[place.block]->items[place.item];
  if (auto& older = item.older) {
    while (!older->empty() &&
           (older->front().id < id || (older->front().id == id && !older->front().alive()))) {
      dropped(older->front());
      older->pop_front();
    }
    if (older->empty()) older.reset();
  }
  if (item.latest.id <= id && !item.latest.alive() && !item.older) {
    dropped(item.latest);
    remove(place);
  }
}

template <class Fn>
void KeyTable::for_each(const KeyRange& range, Fn&& fn) const {
  Place place = place_of(range.begin);
  for (; place.block < blocks_.size(); ++place.block, place.item = 0) {
    const auto& items = blocks_[place.block]->items;
    for (; place.item < items.size(); ++place.item) {
      if (!range.before_end(*items[place.item].key)) return;
      if (!fn(items[place.item])) return;
    }
  }
}

}  // namespace orch::storage
