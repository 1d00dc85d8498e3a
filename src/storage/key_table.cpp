#include "storage/key_table.h"

#include <algorithm>

namespace orch::storage {

void Versions::pop_front() {
  all_[first_++].value.reset();
  if (first_ <= all_.size() / 2) return;
  all_.erase(all_.begin(), all_.begin() + static_cast<ptrdiff_t>(first_));
  first_ = 0;
}

const Version* Item::at(Revision revision) const {
  if (latest.revision() <= revision) return latest.alive() ? &latest : nullptr;
  if (!older) return nullptr;
  auto after = std::upper_bound(older->begin(), older->end(), revision,
                                [](Revision r, const Version& v) { return r < v.revision(); });
  if (after == older->begin()) return nullptr;
  const Version& version = *std::prev(after);
  return version.alive() ? &version : nullptr;
}

Version* Item::by_id(int64_t id) {
  if (latest.id == id) return &latest;
  if (!older) return nullptr;
  auto it = std::lower_bound(older->begin(), older->end(), id,
                             [](const Version& v, int64_t wanted) { return v.id < wanted; });
  return it != older->end() && it->id == id ? &older->mutable_at(it) : nullptr;
}

const Version* Item::before(int64_t id) const {
  if (latest.id < id) return &latest;
  if (!older) return nullptr;
  auto it = std::lower_bound(older->begin(), older->end(), id,
                             [](const Version& v, int64_t wanted) { return v.id < wanted; });
  return it == older->begin() ? nullptr : &*std::prev(it);
}

KeyValue to_key_value(const Bytes& key, const Version& version, bool with_value) {
  KeyValue kv;
  kv.key = key;
  if (with_value) kv.value = version.value;
  kv.create_revision = version.create;
  kv.mod_revision = version.revision();
  kv.version = version.version;
  kv.lease = version.lease;
  return kv;
}

KeyTable::Place KeyTable::place_of(std::string_view key) const {
  // The last block whose first key is not after `key`.
  auto block = std::upper_bound(blocks_.begin(), blocks_.end(), key,
                                [](std::string_view k, const std::unique_ptr<Block>& b) {
                                  return k < *b->items.front().key;
                                });
  if (block != blocks_.begin()) --block;
  Place place{static_cast<size_t>(block - blocks_.begin()), 0, false};
  if (block == blocks_.end()) return place;
  const auto& items = (*block)->items;
  auto item = std::lower_bound(items.begin(), items.end(), key,
                               [](const Item& i, std::string_view k) { return *i.key < k; });
  place.item = static_cast<size_t>(item - items.begin());
  place.found = item != items.end() && *item->key == key;
  return place;
}

Item* KeyTable::find(std::string_view key) {
  const Place place = place_of(key);
  return place.found ? &blocks_[place.block]->items[place.item] : nullptr;
}

Item& KeyTable::push(const Bytes& key, Version version) {
  Place place = place_of(*key);
  if (blocks_.empty()) blocks_.push_back(std::make_unique<Block>());
  Block* block = blocks_[place.block].get();
  block->changed = std::max(block->changed, version.revision());
  if (place.found) {
    Item& item = block->items[place.item];
    block->live += static_cast<int>(version.alive()) - static_cast<int>(item.latest.alive());
    if (!item.older) item.older = std::make_unique<Versions>();
    item.older->push_back(std::move(item.latest));
    item.latest = std::move(version);
    return item;
  }
  if (block->items.size() >= kBlockMax) {
    auto upper = std::make_unique<Block>();
    // Keys often arrive in order: then leave the lower block full.
    const size_t keep = place.item == block->items.size() && place.block + 1 == blocks_.size()
                            ? block->items.size() - 1
                            : block->items.size() / 2;
    std::move(block->items.begin() + static_cast<ptrdiff_t>(keep), block->items.end(),
              std::back_inserter(upper->items));
    block->items.resize(keep);
    upper->changed = block->changed;
    for (const Item& item : upper->items) upper->live += item.latest.alive();
    block->live -= upper->live;
    blocks_.insert(blocks_.begin() + static_cast<ptrdiff_t>(place.block) + 1, std::move(upper));
    if (place.item >= keep) {
      place = Place{place.block + 1, place.item - keep, false};
      block = blocks_[place.block].get();
    }
  }
  block->live += version.alive();
  Item item;
  item.key = key;
  item.latest = std::move(version);
  return *block->items.insert(block->items.begin() + static_cast<ptrdiff_t>(place.item),
                              std::move(item));
}

void KeyTable::pop(std::string_view key) {
  const Place place = place_of(key);
  if (!place.found) return;
  Block& block = *blocks_[place.block];
  Item& item = block.items[place.item];
  if (!item.older) {
    remove(place);
    return;
  }
  block.live -= item.latest.alive();
  item.latest = std::move(item.older->back());
  item.older->pop_back();
  if (item.older->empty()) item.older.reset();
  block.live += item.latest.alive();
}

void KeyTable::remove(Place place) {
  Block& block = *blocks_[place.block];
  block.live -= block.items[place.item].latest.alive();
  block.items.erase(block.items.begin() + static_cast<ptrdiff_t>(place.item));
  if (block.items.empty()) {
    blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(place.block));
  }
}

int64_t KeyTable::count(const KeyRange& range, Revision revision) const {
  int64_t total = 0;
  Place place = place_of(range.begin);
  for (; place.block < blocks_.size(); ++place.block, place.item = 0) {
    const Block& block = *blocks_[place.block];
    if (place.item == 0 && block.changed <= revision && *block.items.front().key >= range.begin &&
        range.before_end(*block.items.back().key)) {
      total += block.live;
      continue;
    }
    for (; place.item < block.items.size(); ++place.item) {
      if (!range.before_end(*block.items[place.item].key)) return total;
      total += block.items[place.item].at(revision) != nullptr;
    }
  }
  return total;
}

}  // namespace orch::storage
