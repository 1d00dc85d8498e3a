#include "api/patch/typed.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "orch/api/error.h"
#include "orch/base/json_scan.h"

namespace orch::api::typed {
namespace {

using doc::Member;
using doc::Value;
using Kind = Schema::Kind;

std::string value_element(const Value& value) {
  std::string out = "v:";
  if (value.is_string()) {
    append_json_string(out, value.text);
  } else {
    doc::write(value, out);
  }
  return out;
}

std::string field_element(std::string_view name) {
  std::string out;
  out.reserve(2 + name.size());
  return out.append("f:").append(name);
}

Schema member_schema(const Schema& schema, std::string_view key) {
  return schema.member(key).value_or(Schema{});
}

bool granular_map(const Schema& schema) {
  return (schema.kind == Kind::kStruct || schema.kind == Kind::kMap ||
          schema.kind == Kind::kUntyped) &&
         !schema.atomic;
}

// A literal of a type table, or "".
std::string_view key_default(const Schema& list, std::string_view key) {
  if (list.message == nullptr) return "";
  const FieldInfo* field = list.message->find(key);
  return field != nullptr ? field->default_json : std::string_view();
}

std::string go_value(const Value& value) {
  return fmt::format("&value.valueUnstructured{{Value:{}}}",
                     value.is_string() ? go_quoted(value.text) : doc::go_shown(value));
}

std::string_view go_type(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return "<nil>";
    case Value::Kind::kBool:
      return "bool";
    case Value::Kind::kNumber:
      return "float64";
    case Value::Kind::kString:
      return "string";
    case Value::Kind::kArray:
      return "[]interface {}";
    case Value::Kind::kObject:
      return "map[string]interface {}";
  }
  return "";
}

class Checker {
 public:
  std::vector<std::string> take() { return std::move(findings_); }

  void check(const Value& value, const Schema& schema) {
    if (value.is_null()) return;
    switch (schema.kind) {
      case Kind::kUntyped:
        return;
      case Kind::kScalar:
        check_scalar(value, schema);
        return;
      case Kind::kStruct:
      case Kind::kMap:
        check_map(value, schema);
        return;
      case Kind::kList:
        check_list(value, schema);
        return;
    }
  }

 private:
  void add(std::string_view why) {
    findings_.push_back(path_.empty() ? std::string(why) : fmt::format("{}: {}", path_, why));
  }

  void check_scalar(const Value& value, const Schema& schema) {
    FieldType type = schema.field != nullptr ? schema.field->type : FieldType::kString;
    switch (type) {
      case FieldType::kBool:
        if (value.kind != Value::Kind::kBool) {
          add(fmt::format("expected boolean, got {}", go_value(value)));
        }
        return;
      case FieldType::kInt32:
      case FieldType::kInt64:
      case FieldType::kDouble:
        if (value.kind != Value::Kind::kNumber) {
          add(fmt::format("expected numeric (int or float), got {}", go_type(value)));
        }
        return;
      case FieldType::kIntOrString:
      case FieldType::kQuantity:
        if (value.is_container()) {
          add(fmt::format("expected untyped scalar, got {}", go_type(value)));
        }
        return;
      default:
        if (!value.is_string()) add(fmt::format("expected string, got {}", go_value(value)));
    }
  }

  void check_map(const Value& value, const Schema& schema) {
    if (!value.is_object()) {
      add(fmt::format("expected map, got &{{{}}}", doc::go_shown(value)));
      return;
    }
    for (const Member& member : value.items) {
      size_t length = path_.size();
      path_.append(".").append(member.key);
      if (auto below = schema.member(member.key)) {
        check(member.value, *below);
      } else {
        add("field not declared in schema");
      }
      path_.resize(length);
    }
  }

  void check_list(const Value& value, const Schema& schema) {
    if (!value.is_array()) {
      add(fmt::format("expected list, got &{{{}}}", doc::go_shown(value)));
      return;
    }
    std::unordered_set<std::string> seen;
    for (size_t i = 0; i < value.items.size(); ++i) {
      const Value& item = value.items[i].value;
      std::string shown = fmt::format("[{}]", i);
      if (!schema.atomic) {
        ItemElement element = item_element(item, schema);
        if (!element.error.empty()) {
          add(fmt::format("element {}: {}", i, element.error));
          continue;
        }
        shown = shown_element(element.text);
        if (!seen.insert(element.text).second) {
          add(fmt::format("duplicate entries for key {}", shown));
        }
      }
      size_t length = path_.size();
      path_ += shown;
      check(item, schema.element());
      path_.resize(length);
    }
  }

  std::string path_;
  std::vector<std::string> findings_;
};

void collect(const Value& value, const Schema& declared, FieldSet& set);

void collect_members(const Value& value, const Schema& schema, FieldSet& set) {
  for (const Member& member : value.items) {
    FieldSet& below = set.child(field_element(member.key));
    collect(member.value, member_schema(schema, member.key), below);
    bool hollow = member.value.is_null() || (member.value.is_object() && member.value.empty());
    // Entries of maps are owned themselves; fields of structs only by what is in them.
    if (hollow || schema.kind != Kind::kStruct) below.set_member();
    if (below.empty()) set.remove(field_element(member.key));
  }
}

void collect(const Value& value, const Schema& declared, FieldSet& set) {
  Schema schema = resolve(declared, value);
  if (schema.kind == Kind::kScalar || schema.atomic) {
    set.set_member();
  } else if (value.is_object()) {
    collect_members(value, schema, set);
  } else if (value.is_array()) {
    for (const Member& item : value.items) {
      FieldSet& below = set.child(item_element(item.value, schema).text);
      collect(item.value, schema.element(), below);
      below.set_member();
    }
  }
}

// Items of an associative list by element; -1 marks an element that occurs more than once.
using ItemIndex = std::unordered_map<std::string, ptrdiff_t>;
ItemIndex index_items(const Value& list, const std::vector<std::string>& elements) {
  ItemIndex index;
  for (size_t i = 0; i < list.items.size(); ++i) {
    auto [it, fresh] = index.try_emplace(elements[i], static_cast<ptrdiff_t>(i));
    if (!fresh) it->second = -1;
  }
  return index;
}

std::vector<std::string> elements_of(const Value* list, const Schema& schema) {
  std::vector<std::string> elements;
  if (list == nullptr || !list->is_array()) return elements;
  elements.reserve(list->items.size());
  for (const Member& item : list->items) {
    elements.push_back(item_element(item.value, schema).text);
  }
  return elements;
}

class Comparer {
 public:
  Comparison result;

  // A path under construction; its elements become strings only when something differs, and its
  // places in the results are looked up once.
  struct Path {
    const Path* up = nullptr;
    std::string_view prefix, name;
    mutable FieldSet* changed = nullptr;
    mutable FieldSet* removed = nullptr;
  };

  void compare(const Value* before, const Value* after, const Schema& declared, const Path& path) {
    if (before == nullptr && after == nullptr) return;
    if (before != nullptr && after != nullptr && !before->raw.empty() &&
        before->raw == after->raw) {
      return;
    }
    const Value& look = after != nullptr && !after->is_null() ? *after
                        : before != nullptr                   ? *before
                                                              : *after;
    Schema schema = resolve(declared, look);
    bool map = granular_map(schema), list = schema.kind == Kind::kList && !schema.atomic;
    Value::Kind kind = map ? Value::Kind::kObject : Value::Kind::kArray;
    if ((!map && !list) || !fits(before, kind) || !fits(after, kind) ||
        (hollow(before) && hollow(after))) {
      leaf(before, after, path);
      return;
    }
    if (map) {
      compare_members(before, after, schema, path);
    } else {
      compare_items(before, after, schema, path);
    }
    if (before == nullptr) changed(path).set_member();
    if (after == nullptr) removed(path).set_member();
  }

 private:
  static bool fits(const Value* value, Value::Kind kind) {
    return value == nullptr || value->is_null() || value->kind == kind;
  }
  static bool hollow(const Value* value) { return value == nullptr || value->items.empty(); }

  static std::string element_of(const Path& path) {
    std::string element;
    element.reserve(path.prefix.size() + path.name.size());
    return element.append(path.prefix).append(path.name);
  }
  // A set stays where it is until its parent gets another child, that is until the walk has left
  // its path.
  FieldSet& changed(const Path& path) {
    if (path.up == nullptr) return result.changed;
    if (path.changed == nullptr) path.changed = &changed(*path.up).child(element_of(path));
    return *path.changed;
  }
  FieldSet& removed(const Path& path) {
    if (path.up == nullptr) return result.removed;
    if (path.removed == nullptr) path.removed = &removed(*path.up).child(element_of(path));
    return *path.removed;
  }

  void leaf(const Value* before, const Value* after, const Path& path) {
    if (after == nullptr) {
      removed(path).set_member();
    } else if (before == nullptr || !doc::same(*before, *after)) {
      changed(path).set_member();
    }
  }

  // What Go writes for a field that was left out, if it would write anything.
  static const Value* implied(const Value* parent, const Schema& schema, std::string_view key,
                              const Value* other) {
    static const Value null, object = doc::object_value();
    if (parent == nullptr || schema.kind != Kind::kStruct) return nullptr;
    const FieldInfo* field = schema.message->find(key);
    if (field == nullptr) return nullptr;
    bool scalar_struct =
        field->type == FieldType::kMessage || field->type == FieldType::kTime ||
        field->type == FieldType::kMicroTime || field->type == FieldType::kQuantity ||
        field->type == FieldType::kIntOrString || field->type == FieldType::kDuration;
    bool always = !field->omit_empty || (field->shape == Shape::kSingle && scalar_struct);
    if (!always) return nullptr;
    if (field->shape == Shape::kSingle && field->type == FieldType::kMessage) return &object;
    bool zero = other != nullptr && (doc::is_zero(*other) ||
                                     (field->type == FieldType::kQuantity && other->text == "0"));
    return zero ? other : &null;
  }

  void compare_members(const Value* before, const Value* after, const Schema& schema,
                       const Path& path) {
    static const std::vector<Member> none;
    const auto& old_items = before != nullptr ? before->items : none;
    const auto& new_items = after != nullptr ? after->items : none;
    auto old = old_items.begin();
    auto now = new_items.begin();
    while (old != old_items.end() || now != new_items.end()) {
      bool take_old = now == new_items.end() || (old != old_items.end() && old->key <= now->key);
      bool take_new = old == old_items.end() || (now != new_items.end() && now->key <= old->key);
      std::string_view key = take_old ? old->key : now->key;
      const Value* left = take_old ? &old->value : nullptr;
      const Value* right = take_new ? &now->value : nullptr;
      if (left == nullptr) left = implied(before, schema, key, right);
      if (right == nullptr) right = implied(after, schema, key, left);
      compare(left, right, member_schema(schema, key), Path{&path, "f:", key});
      if (take_old) ++old;
      if (take_new) ++now;
    }
  }

  void compare_items(const Value* before, const Value* after, const Schema& schema,
                     const Path& path) {
    std::vector<std::string> old_elements = elements_of(before, schema);
    std::vector<std::string> new_elements = elements_of(after, schema);
    static const Value none;
    ItemIndex old_index = index_items(before != nullptr ? *before : none, old_elements);
    ItemIndex new_index = index_items(after != nullptr ? *after : none, new_elements);
    for (auto& [element, at] : old_index) {
      auto other = new_index.find(element);
      const Path item{&path, "", element};
      bool repeated = at < 0 || (other != new_index.end() && other->second < 0);
      if (repeated && other != new_index.end()) {
        compare_repeated(*before, old_elements, *after, new_elements, item);
      } else if (repeated) {
        removed(item).set_member();
      } else {
        compare(&before->items[static_cast<size_t>(at)].value,
                other == new_index.end() ? nullptr
                                         : &after->items[static_cast<size_t>(other->second)].value,
                schema.element(), item);
      }
    }
    for (auto& [element, at] : new_index) {
      if (old_index.contains(element)) continue;
      const Path item{&path, "", element};
      if (at < 0) {
        changed(item).set_member();
      } else {
        compare(nullptr, &after->items[static_cast<size_t>(at)].value, schema.element(), item);
      }
    }
  }

  // Items that an element names several times are one leaf.
  void compare_repeated(const Value& before, const std::vector<std::string>& old_elements,
                        const Value& after, const std::vector<std::string>& new_elements,
                        const Path& item) {
    auto gather = [&](const Value& list, const std::vector<std::string>& elements) {
      Value out = doc::array_value();
      for (size_t i = 0; i < elements.size(); ++i) {
        if (elements[i] == item.name) out.items.push_back(list.items[i]);
      }
      return out;
    };
    Value left = gather(before, old_elements), right = gather(after, new_elements);
    leaf(&left, &right, item);
  }
};

Value merge_member(const Value* live, const Value* config, const Schema& schema);

Value merge_maps(const Value& live, const Value& config, const Schema& schema) {
  Value out = doc::object_value();
  out.items.reserve(live.items.size() + config.items.size());
  auto left = live.items.begin();
  for (const Member& change : config.items) {
    for (; left != live.items.end() && left->key < change.key; ++left) out.items.push_back(*left);
    const Value* old = nullptr;
    if (left != live.items.end() && left->key == change.key) old = &(left++)->value;
    out.items.push_back(
        {change.key, merge_member(old, &change.value, member_schema(schema, change.key))});
  }
  out.items.insert(out.items.end(), left, live.items.end());
  return out;
}

// The config's order rules; items that only the live list has keep their place among shared ones.
Value merge_lists(const Value& live, const Value& config, const Schema& schema) {
  std::vector<std::string> old_elements = elements_of(&live, schema);
  std::vector<std::string> new_elements = elements_of(&config, schema);
  ItemIndex old_index = index_items(live, old_elements);
  ItemIndex new_index = index_items(config, new_elements);
  Value out = doc::array_value();
  Schema element = schema.element();
  auto is_shared = [&](size_t i) { return old_index.contains(new_elements[i]); };
  size_t old = 0, shared = 0;  // shared: the next config item that the live list has too
  for (size_t i = 0; i < new_elements.size(); ++i) {
    while (shared < new_elements.size() && (shared < i || !is_shared(shared))) ++shared;
    for (; old < old_elements.size() && old_elements[old] != new_elements[i]; ++old) {
      if (!new_index.contains(old_elements[old])) {
        out.items.push_back(live.items[old]);
      } else if (shared < new_elements.size() && old_elements[old] == new_elements[shared]) {
        break;
      }
    }
    if (old < old_elements.size() && old_elements[old] == new_elements[i]) ++old;
    auto it = old_index.find(new_elements[i]);
    const Value* there = it != old_index.end() && it->second >= 0
                             ? &live.items[static_cast<size_t>(it->second)].value
                             : nullptr;
    out.items.push_back({{}, merge_member(there, &config.items[i].value, element)});
  }
  for (; old < old_elements.size(); ++old) {
    if (!new_index.contains(old_elements[old])) out.items.push_back(live.items[old]);
  }
  return out;
}

Value merge_member(const Value* live, const Value* config, const Schema& declared) {
  if (live == nullptr) return *config;
  Schema schema = resolve(declared, config->is_null() ? *live : *config);
  if (granular_map(schema) && live->is_object()) {
    if (config->is_object()) return merge_maps(*live, *config, schema);
    if (config->is_null() && !live->empty()) return *live;
  }
  if (schema.kind == Kind::kList && !schema.atomic && live->is_array()) {
    if (config->is_array()) return merge_lists(*live, *config, schema);
    if (config->is_null() && !live->empty()) return *live;
  }
  return *config;
}

bool holds(const FieldSet* set, const Schema& parent, std::string_view element) {
  const FieldSet* below = set != nullptr ? set->find(element) : nullptr;
  if (below == nullptr) return false;
  // A struct's field is there with anything below it.
  return below->member() || (parent.kind == Kind::kStruct && element.starts_with("f:"));
}

const FieldSet* descend(const FieldSet* set, std::string_view element) {
  return set != nullptr ? set->find(element) : nullptr;
}

void prune_below(Value& value, const Schema& declared, const FieldSet* last,
                 const FieldSet* owned) {
  if (last == nullptr || last->children().empty() || !value.is_container()) return;
  Schema schema = resolve(declared, value);
  if (schema.kind == Kind::kScalar || schema.atomic) return;
  std::vector<Member> kept;
  kept.reserve(value.items.size());
  for (Member& item : value.items) {
    std::string element =
        value.is_object() ? field_element(item.key) : item_element(item.value, schema).text;
    if (holds(last, schema, element) && !holds(owned, schema, element)) continue;
    Schema below = value.is_object() ? member_schema(schema, item.key) : schema.element();
    prune_below(item.value, below, descend(last, element), descend(owned, element));
    kept.push_back(std::move(item));
  }
  value.items = std::move(kept);
}

}  // namespace

Schema resolve(const Schema& schema, const Value& value) {
  if (schema.kind != Kind::kUntyped) return schema;
  Schema resolved = schema;
  if (value.is_array()) {
    resolved.kind = Kind::kList;
    resolved.atomic = true;
  } else if (!value.is_object()) {
    resolved.kind = Kind::kScalar;
  }
  return resolved;
}

ItemElement item_element(const Value& item, const Schema& list) {
  ItemElement element;
  auto keys = list.list_keys();
  if (keys.empty()) {
    element.text = value_element(item);
    if (item.is_container()) {
      element.error = "associative list without keys has an element that's a map type";
    }
    return element;
  }
  if (!item.is_object()) {
    element.text = value_element(item);
    element.error = item.is_null() ? "associative list with keys may not have a null element"
                                   : "associative list with keys may not have non-map elements";
    return element;
  }
  std::vector<std::string_view> sorted(keys.begin(), keys.end());
  std::sort(sorted.begin(), sorted.end());
  element.text = "k:{";
  for (std::string_view key : sorted) {
    const Value* value = item.find(key);
    std::string_view fallback = value == nullptr ? key_default(list, key) : std::string_view();
    if (value == nullptr && fallback.empty()) {
      if (element.error.empty()) {
        element.error = fmt::format(
            "associative list with keys has an element that omits key field {} (and doesn't have "
            "default value)",
            go_quoted(key));
      }
      continue;
    }
    if (element.text.size() > 3) element.text += ',';
    append_json_string(element.text, key);
    element.text += ':';
    if (value != nullptr && value->is_string()) {
      append_json_string(element.text, value->text);
    } else if (value != nullptr) {
      doc::write(*value, element.text);
    } else {
      element.text += fallback;
    }
  }
  element.text += '}';
  return element;
}

std::vector<std::string> check(const Value& value, const Schema& schema) {
  Checker checker;
  checker.check(value, schema);
  return checker.take();
}

FieldSet field_set(const Value& value, const Schema& schema) {
  FieldSet set;
  collect(value, schema, set);
  return set;
}

Comparison compare(const Value* before, const Value* after, const Schema& schema) {
  Comparer comparer;
  comparer.compare(before, after, schema, Comparer::Path{});
  return std::move(comparer.result);
}

Value merge(const Value& live, const Value& config, const Schema& schema) {
  return merge_member(&live, &config, schema);
}

void prune(Value& value, const Schema& schema, const FieldSet& last, const FieldSet& owned) {
  prune_below(value, schema, &last, &owned);
}

}  // namespace orch::api::typed
