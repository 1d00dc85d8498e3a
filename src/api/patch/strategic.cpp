// Strategic merge patch: maps merge, lists merge by key, set or replace as the type declares, with
// the $-directives of kubectl. Errors are worded and coded as apimachinery's strategicpatch.
#include <fmt/format.h>

#include <algorithm>

#include "api/patch/json.h"
#include "api/patch/list_order.h"
#include "api/patch/merge_json.h"
#include "api/patch/schema.h"
#include "orch/api/patch.h"

namespace orch::api {
namespace {

using doc::Arena;
using doc::go_shown;
using doc::Member;
using doc::Value;
using List = std::vector<Member>;

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeletePrefix = "$deleteFromPrimitiveList/";
constexpr std::string_view kOrderPrefix = "$setElementOrder/";

bool is_directive(std::string_view key) {
  return key == kPatch || key == kRetainKeys || key.starts_with(kDeletePrefix) ||
         key.starts_with(kOrderPrefix);
}

Error no_merge_key(const Value& item, std::string_view key) {
  return plain_error(
      fmt::format("map: {} does not contain declared merge key: {}", go_shown(item), key));
}

Error unknown_directive(const Value& directive, const Value& in) {
  return plain_error(
      fmt::format("unknown patch type: {} in map: {}", go_shown(directive), go_shown(in)));
}

Error expected(std::string_view what, const Value& got) {
  return plain_error(fmt::format("expected a {}, but received a {}", what, doc::go_kind(got)));
}

// A value that is not merged with anything: its nulls and directives have done their work.
void settle(Value& value) {
  if (value.is_object()) {
    std::erase_if(value.items,
                  [](const Member& m) { return m.value.is_null() || is_directive(m.key); });
  } else if (value.is_array()) {
    std::erase_if(value.items,
                  [](const Member& m) { return m.value.string_at(kPatch) == "delete"; });
  }
  for (Member& item : value.items) settle(item.value);
}

class Merger {
 public:
  ApiResult<Unit> merge_map(Value& original, Value patch, const Schema& schema) {
    if (const Value* directive = patch.find(kPatch)) {
      std::string_view name = directive->is_string() ? directive->text : std::string_view();
      if (name == "replace") {
        settle(patch);
        original = std::move(patch);
        return Unit{};
      }
      if (name == "delete") {
        original = doc::object_value();
        return Unit{};
      }
      if (name != "merge") return Err(unknown_directive(*directive, patch));
      patch.erase(kPatch);
    }
    if (!original.is_object()) original = doc::object_value();
    ORCH_CHECK(retain_keys(original, patch));
    ORCH_CHECK(merge_ordered_lists(original, patch, schema));
    return merge_members(original, patch, schema);
  }

 private:
  // Union members hold one choice: what $retainKeys does not name goes.
  ApiResult<Unit> retain_keys(Value& original, Value& patch) {
    const Value* directive = patch.find(kRetainKeys);
    if (directive == nullptr) return Unit{};
    const Error bad_format = bad_request("invalid patch format of retainKeys");
    if (!directive->is_array()) return Err(bad_format);
    std::vector<std::string_view> kept;
    for (const Member& key : directive->items) {
      if (key.value.is_string()) kept.push_back(key.value.text);
    }
    std::sort(kept.begin(), kept.end());
    auto is_kept = [&](std::string_view key) {
      return std::binary_search(kept.begin(), kept.end(), key);
    };
    patch.erase(kRetainKeys);
    for (const Member& member : patch.items) {
      if (member.value.is_null() || is_directive(member.key)) continue;
      if (!is_kept(member.key)) return Err(bad_format);
    }
    std::erase_if(original.items, [&](const Member& m) { return !is_kept(m.key); });
    return Unit{};
  }

  // Lists with a $setElementOrder beside them: merged, then put into the order it names.
  ApiResult<Unit> merge_ordered_lists(Value& original, Value& patch, const Schema& schema) {
    std::vector<Member> orders;
    for (Member& member : patch.items) {
      if (member.key.starts_with(kOrderPrefix)) orders.push_back(std::move(member));
    }
    if (orders.empty()) return Unit{};
    std::erase_if(patch.items, [](const Member& m) { return m.key.starts_with(kOrderPrefix); });
    for (Member& order : orders) {
      std::string_view name = order.key.substr(kOrderPrefix.size());
      if (!order.value.is_array()) {
        return Err(bad_request("invalid patch format of setElementOrder list"));
      }
      Value* change = patch.find(name);
      if (change != nullptr && change->is_null()) continue;  // the list is deleted
      Value* old = original.find(name);
      if (old == nullptr && change == nullptr) continue;
      if (old != nullptr && !old->is_array()) return Err(expected("array", *old));
      if (change != nullptr && !change->is_array()) return Err(expected("array", *change));
      ORCH_TRY(Schema list, lookup(schema, name));
      Value merged;
      ORCH_TRY(merged, ordered(old, change, order.value.items, list));
      original.at(name) = std::move(merged);
      patch.erase(name);
    }
    return Unit{};
  }

  ApiResult<Value> ordered(Value* old, Value* change, const List& order, const Schema& list) {
    std::string_view key = merge_key(list);
    if (change != nullptr) ORCH_CHECK(check_order(*change, order, key));
    const ListOrder server(old != nullptr ? old->items : List{}, key);
    Value merged;
    if (old == nullptr) {
      settle(*change);
      merged = std::move(*change);
    } else {
      merged = std::move(*old);
      if (change != nullptr) ORCH_CHECK(merge_list(merged, std::move(*change), list));
    }
    if (!key.empty()) {
      for (const Member& item : order) {
        if (item.value.find(key) == nullptr) return Err(no_merge_key(item.value, key));
      }
      for (const Member& item : merged.items) {
        if (item.value.find(key) == nullptr) return Err(no_merge_key(item.value, key));
      }
    }
    interleave(merged.items, ListOrder(order, key), server, key);
    return merged;
  }

  // The patch's items must stand in the order that $setElementOrder names.
  static ApiResult<Unit> check_order(const Value& change, const List& order, std::string_view key) {
    size_t next = 0;
    for (const Member& item : change.items) {
      if (item.value.string_at(kPatch) == "delete" || item.value.string_at(kPatch) == "replace") {
        continue;
      }
      std::string id = item_id(item.value, key);
      while (next < order.size() && item_id(order[next].value, key) != id) ++next;
      if (next == order.size() && !order.empty()) {
        Value shown = doc::array_value();
        shown.items = order;
        return Err(plain_error(fmt::format(
            "The order in patch list:\n{}\n doesn't match {} list:\n{}\n", go_shown(change),
            kOrderPrefix.substr(0, kOrderPrefix.size() - 1), go_shown(shown))));
      }
    }
    return Unit{};
  }

  ApiResult<Unit> merge_members(Value& original, Value& patch, const Schema& schema) {
    std::vector<std::string_view> removed;
    std::vector<Member> added;
    for (Member& change : patch.items) {
      std::string_view key = change.key;
      bool deletes = key.starts_with(kDeletePrefix);
      if (deletes) {
        key = key.substr(kDeletePrefix.size());
        if (!change.value.is_array()) {
          return Err(bad_request("invalid patch format of primitive list"));
        }
      }
      if (change.value.is_null()) {
        removed.push_back(key);
        continue;
      }
      Value* old = original.find(key);
      if (old == nullptr || old->kind != change.value.kind || !old->is_container()) {
        if (deletes) continue;
        settle(change.value);
        if (old != nullptr) {
          *old = std::move(change.value);
        } else {
          added.push_back(std::move(change));
        }
        continue;
      }
      ORCH_CHECK(merge_member(*old, std::move(change.value), key, schema, deletes));
    }
    if (!removed.empty()) {
      std::erase_if(original.items, [&](const Member& m) {
        return std::binary_search(removed.begin(), removed.end(), m.key);
      });
    }
    if (!added.empty()) {
      auto middle = static_cast<ptrdiff_t>(original.items.size());
      std::move(added.begin(), added.end(), std::back_inserter(original.items));
      std::inplace_merge(original.items.begin(), original.items.begin() + middle,
                         original.items.end(),
                         [](const Member& a, const Member& b) { return a.key < b.key; });
    }
    return Unit{};
  }

  ApiResult<Unit> merge_member(Value& old, Value change, std::string_view key, const Schema& parent,
                               bool deletes) {
    ORCH_TRY(Schema schema, lookup(parent, key));
    if (deletes) return merge_primitives(old, std::move(change), true);
    if (schema.kind == Schema::Kind::kUntyped) {
      doc::merge_json(old, std::move(change));
      return Unit{};
    }
    bool replace = schema.field != nullptr && schema.field->patch_replace;
    if (old.is_object() && !replace) return merge_map(old, std::move(change), schema);
    bool merge = schema.field != nullptr && schema.field->patch_merge;
    if (old.is_array() && merge) return merge_list(old, std::move(change), schema);
    settle(change);
    old = std::move(change);
    return Unit{};
  }

  static ApiResult<Schema> lookup(const Schema& parent, std::string_view key) {
    if (auto schema = parent.member(key)) return *schema;
    return Err(
        plain_error(fmt::format("unable to find api field in struct {} for the json field {}",
                                parent.type_name(), go_quoted(key))));
  }

  static std::string_view merge_key(const Schema& list) {
    return list.field != nullptr ? list.field->patch_merge_key : std::string_view();
  }

  ApiResult<Unit> merge_list(Value& old, Value change, const Schema& list) {
    if (old.empty() && change.empty()) return Unit{};
    bool maps = false, others = false;
    for (const Value* side : {&old, &change}) {
      for (const Member& item : side->items) {
        if (item.value.is_array()) return Err(generic_server_response(422));
        (item.value.is_object() ? maps : others) = true;
      }
    }
    if (maps && others) return Err(plain_error("list element types are not identical"));
    if (!maps) return merge_primitives(old, std::move(change), false);
    std::string_view key = merge_key(list);
    if (key.empty()) {
      return Err(plain_error(
          fmt::format("cannot merge lists without merge key for {}", list.type_name())));
    }
    return merge_by_key(old, std::move(change), key, list.element());
  }

  static ApiResult<Unit> merge_primitives(Value& old, Value change, bool deletes) {
    ListOrder named(deletes ? change.items : old.items, "");
    if (deletes) {
      std::erase_if(old.items, [&](const Member& m) { return named.index(m.value, "") >= 0; });
      return Unit{};
    }
    for (Member& item : change.items) {
      if (named.index(item.value, "") >= 0) continue;
      named.add(item.value, "");
      old.items.push_back(std::move(item));
    }
    return Unit{};
  }

  // Items with $patch act on the list; returns whether it is replaced as a whole.
  static ApiResult<bool> apply_list_directives(Value& old, Value& change, std::string_view key) {
    bool replace = false;
    List deleted;
    for (const Member& item : change.items) {
      const Value* directive = item.value.find(kPatch);
      if (directive == nullptr) continue;
      std::string_view name = directive->is_string() ? directive->text : std::string_view();
      if (name == "delete") {
        if (item.value.find(key) == nullptr) return Err(no_merge_key(item.value, key));
        deleted.push_back(item);
      } else if (name == "replace") {
        replace = true;
      } else if (name == "merge") {
        return Err(plain_error("merging lists cannot yet be specified in the patch"));
      } else {
        return Err(unknown_directive(*directive, item.value));
      }
    }
    std::erase_if(change.items, [](const Member& m) { return m.value.find(kPatch) != nullptr; });
    if (!deleted.empty() && !replace) {
      ListOrder gone(deleted, key);
      std::erase_if(old.items, [&](const Member& m) { return gone.index(m.value, key) >= 0; });
    }
    return replace;
  }

  ApiResult<Unit> merge_by_key(Value& old, Value change, std::string_view key,
                               const Schema& element) {
    ORCH_TRY(bool replace, apply_list_directives(old, change, key));
    if (replace) {
      settle(change);
      old = std::move(change);
      return Unit{};
    }
    const ListOrder server(old.items, key);
    const ListOrder patch_order(change.items, key);
    ListOrder known = server;
    for (Member& item : change.items) {
      if (item.value.find(key) == nullptr) return Err(no_merge_key(item.value, key));
      ptrdiff_t at = known.index(item.value, key);
      if (at >= 0) {
        ORCH_CHECK(
            merge_map(old.items[static_cast<size_t>(at)].value, std::move(item.value), element));
        continue;
      }
      known.add(item.value, key);
      settle(item.value);
      old.items.push_back(std::move(item));
    }
    interleave(old.items, patch_order, server, key);
    return Unit{};
  }
};

}  // namespace

ApiResult<std::string> strategic_merge_patch(std::string_view document, std::string_view patch,
                                             const TypeInfo& type,
                                             std::vector<std::string>* findings) {
  Arena arena;
  auto change = doc::parse(patch, arena, findings);
  if (!change) return Err(bad_request(change.error().message));
  if (!change->is_object()) {
    return Err(bad_request(
        fmt::format("json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    doc::go_kind(*change))));
  }
  auto root = doc::parse(document, arena);
  if (!root) return Err(internal_error(root.error().message));
  ORCH_CHECK(Merger().merge_map(*root, std::move(*change), Schema::of(type)));
  std::string out;
  out.reserve(document.size() + patch.size());
  doc::write(*root, out);
  return out;
}

void json_duplicates(std::string_view json, std::vector<std::string>& findings) {
  Arena arena;
  (void)doc::parse(json, arena, &findings);
}

std::string go_shown_json(std::string_view json) {
  Arena arena;
  auto value = doc::parse(json, arena);
  return value ? go_shown(*value) : std::string(json);
}

}  // namespace orch::api
