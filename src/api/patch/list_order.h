// Positions of list items by merge key (or by value, for lists of scalars), and the order of a
// merged list as strategic merge wants it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/patch/json.h"

namespace orch::api {

// What identifies an item: its `key` member, or with key "" the item itself.
std::string item_id(const doc::Value& item, std::string_view key);

class ListOrder {
 public:
  ListOrder(const std::vector<doc::Member>& items, std::string_view key);
  // -1 = not there; of equal items the first counts.
  ptrdiff_t index(const doc::Value& item, std::string_view key) const;
  void add(const doc::Value& item, std::string_view key);

 private:
  std::unordered_map<std::string, ptrdiff_t> index_;
  ptrdiff_t next_ = 0;
};

// Reorders a merged list: items that `patch` names stand in its order, the others in `server`'s;
// the two runs are interleaved by `server`'s order where it knows both sides.
void interleave(std::vector<doc::Member>& items, const ListOrder& patch, const ListOrder& server,
                std::string_view key);

}  // namespace orch::api
