#include "api/patch/list_order.h"

#include <algorithm>

namespace orch::api {

using doc::Member;
using doc::Value;

std::string item_id(const Value& item, std::string_view key) {
  const Value* id = key.empty() ? &item : item.find(key);
  if (id == nullptr) return "";
  if (id->is_container()) return doc::to_text(*id);
  char kind = static_cast<char>('0' + static_cast<int>(id->kind));
  return std::string(1, kind).append(id->kind == Value::Kind::kBool ? (id->flag ? "1" : "0")
                                                                    : id->text);
}

ListOrder::ListOrder(const std::vector<Member>& items, std::string_view key) {
  for (const Member& item : items) add(item.value, key);
}

void ListOrder::add(const Value& item, std::string_view key) {
  std::string id = item_id(item, key);
  if (!id.empty()) index_.try_emplace(std::move(id), next_);
  ++next_;
}

ptrdiff_t ListOrder::index(const Value& item, std::string_view key) const {
  auto it = index_.find(item_id(item, key));
  return it == index_.end() ? -1 : it->second;
}

void interleave(std::vector<Member>& items, const ListOrder& patch, const ListOrder& server,
                std::string_view key) {
  struct Placed {
    Member* item;
    ptrdiff_t in_patch, in_server;
  };
  std::vector<Placed> named, others;
  for (Member& item : items) {
    Placed placed{&item, patch.index(item.value, key), server.index(item.value, key)};
    (placed.in_patch >= 0 ? named : others).push_back(placed);
  }
  std::stable_sort(named.begin(), named.end(),
                   [](const Placed& a, const Placed& b) { return a.in_patch < b.in_patch; });
  std::stable_sort(others.begin(), others.end(),
                   [](const Placed& a, const Placed& b) { return a.in_server < b.in_server; });
  std::vector<Member> out;
  out.reserve(items.size());
  auto left = others.begin();
  for (Placed& right : named) {
    while (left != others.end() && left->in_server >= 0 && right.in_server >= 0 &&
           left->in_server < right.in_server) {
      out.push_back(std::move(*left++->item));
    }
    out.push_back(std::move(*right.item));
  }
  for (; left != others.end(); ++left) out.push_back(std::move(*left->item));
  items = std::move(out);
}

}  // namespace orch::api
