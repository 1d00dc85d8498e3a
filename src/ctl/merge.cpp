#include "ctl/merge.h"

#include <algorithm>

namespace orch::ctl {
namespace {

using api::FieldInfo;
using api::FieldType;
using api::JsonValue;
using api::Shape;
using api::TypeInfo;

JsonValue object_patch(const JsonValue& last, const JsonValue& now, const JsonValue& live,
                       const TypeInfo* type, bool strategic);

// The schema below a field; null where there is none (or it is a map of scalars).
const TypeInfo* below(const FieldInfo* field) {
  return field != nullptr && field->type == FieldType::kMessage ? field->message : nullptr;
}

JsonValue element(const JsonValue& list, const std::string& key, const JsonValue& value) {
  for (const JsonValue& item : list.items()) {
    if (item.get(key) == value) return item;
  }
  return {};
}

// Lists whose elements are merged by a key.
void keyed_list_patch(const std::string& name, const FieldInfo& field, const JsonValue& last,
                      const JsonValue& now, const JsonValue& live, JsonValue& patch) {
  const std::string key(field.patch_merge_key);
  JsonValue changes = JsonValue::array();
  JsonValue order = JsonValue::array();
  for (const JsonValue& wanted : now.items()) {
    JsonValue id = JsonValue::object();
    id.set(key, wanted.get(key));
    order.push_back(id);
    const JsonValue there = element(live, key, wanted.get(key));
    if (there.is_null()) {
      changes.push_back(wanted);
      continue;
    }
    JsonValue change =
        object_patch(element(last, key, wanted.get(key)), wanted, there, below(&field), true);
    if (change.size() == 0) continue;
    if (field.patch_retain_keys) {
      JsonValue keep = JsonValue::array();
      for (const auto& [member, value] : wanted.members()) keep.push_back(member);
      change.set("$retainKeys", std::move(keep));
    }
    change.set(key, wanted.get(key));
    changes.push_back(std::move(change));
  }
  for (const JsonValue& old : last.items()) {
    const JsonValue value = old.get(key);
    if (!element(now, key, value).is_null() || element(live, key, value).is_null()) continue;
    JsonValue removal = JsonValue::object();
    removal.set("$patch", "delete");
    removal.set(key, value);
    changes.push_back(std::move(removal));
  }
  if (changes.size() == 0) return;
  patch.set("$setElementOrder/" + name, std::move(order));
  patch.set(name, std::move(changes));
}

bool holds(const JsonValue& list, const JsonValue& value) {
  const auto items = list.items();
  return std::any_of(items.begin(), items.end(), [&](const JsonValue& v) { return v == value; });
}

// Lists of scalars that are merged as sets (finalizers).
void set_patch(const std::string& name, const JsonValue& last, const JsonValue& now,
               const JsonValue& live, JsonValue& patch) {
  JsonValue added = JsonValue::array(), removed = JsonValue::array();
  for (const JsonValue& value : now.items()) {
    if (!holds(live, value)) added.push_back(value);
  }
  for (const JsonValue& value : last.items()) {
    if (!holds(now, value) && holds(live, value)) removed.push_back(value);
  }
  if (added.size() != 0) patch.set(name, std::move(added));
  if (removed.size() != 0) patch.set("$deleteFromPrimitiveList/" + name, std::move(removed));
}

void field_patch(const std::string& name, const FieldInfo* field, const JsonValue& last,
                 const JsonValue& now, const JsonValue& live, bool strategic, JsonValue& patch) {
  const bool is_struct =
      field == nullptr || field->shape == Shape::kSingle || field->shape == Shape::kOptional;
  if (now.is_object() && live.is_object()) {
    if (strategic && field != nullptr && field->patch_replace) {
      if (!(now == live)) {
        JsonValue whole = now;
        whole.set("$patch", "replace");
        patch.set(name, std::move(whole));
      }
      return;
    }
    JsonValue change = object_patch(last, now, live, is_struct ? below(field) : nullptr, strategic);
    if (change.size() == 0) return;
    if (strategic && field != nullptr && field->patch_retain_keys) {
      JsonValue keep = JsonValue::array();
      for (const auto& [member, value] : now.members()) keep.push_back(member);
      change.set("$retainKeys", std::move(keep));
    }
    patch.set(name, std::move(change));
    return;
  }
  if (now.is_array() && live.is_array() && strategic && field != nullptr && field->patch_merge) {
    if (field->patch_merge_key.empty()) {
      set_patch(name, last, now, live, patch);
    } else {
      keyed_list_patch(name, *field, last, now, live, patch);
    }
    return;
  }
  if (!(now == live)) patch.set(name, now);
}

JsonValue object_patch(const JsonValue& last, const JsonValue& now, const JsonValue& live,
                       const TypeInfo* type, bool strategic) {
  JsonValue patch = JsonValue::object();
  for (const auto& [name, value] : now.members()) {
    if (value.is_null()) {  // "field: null" asks for its removal
      if (live.has(name)) patch.set(name, JsonValue());
      continue;
    }
    if (!live.has(name)) {
      patch.set(name, value);
      continue;
    }
    field_patch(name, type == nullptr ? nullptr : type->find(name), last.get(name), value,
                live.get(name), strategic, patch);
  }
  for (const auto& [name, value] : last.members()) {
    if (!now.has(name) && live.has(name)) patch.set(name, JsonValue());
  }
  return patch;
}

}  // namespace

JsonValue three_way_patch(const JsonValue& last, const JsonValue& now, const JsonValue& live,
                          const TypeInfo* type) {
  return object_patch(last, now, live, type, type != nullptr);
}

std::string last_applied_text(const JsonValue& object) {
  JsonValue bare = object;
  JsonValue metadata = bare.get("metadata");
  JsonValue annotations = metadata.get("annotations");
  if (!annotations.is_object()) annotations = JsonValue::object();
  annotations.erase(kLastApplied);
  metadata.set("annotations", std::move(annotations));
  bare.set("metadata", std::move(metadata));
  return bare.dump_go() + "\n";
}

JsonValue with_last_applied(const JsonValue& object) {
  JsonValue out = object;
  JsonValue metadata = out.get("metadata");
  JsonValue annotations = metadata.get("annotations");
  annotations.set(kLastApplied, last_applied_text(object));
  metadata.set("annotations", std::move(annotations));
  out.set("metadata", std::move(metadata));
  return out;
}

}  // namespace orch::ctl
