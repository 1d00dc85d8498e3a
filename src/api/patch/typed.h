// Values seen through their type, for server-side apply: which fields a value sets, what differs
// between two values, their merge, and the removal of fields (structured-merge-diff's rules).
// Pure functions; no locks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/patch/field_set.h"
#include "api/patch/json.h"
#include "api/patch/schema.h"

namespace orch::api::typed {

// A value without a declared type is typed by its own look.
Schema resolve(const Schema& schema, const doc::Value& value);

// The path element of an item of an associative list. Keys the item lacks get their default.
struct ItemElement {
  std::string text;
  std::string error;  // why it has none: a key without default is missing
};
ItemElement item_element(const doc::Value& item, const Schema& list);

// Findings as "path: why": unknown fields, wrong types, duplicate or keyless list items.
std::vector<std::string> check(const doc::Value& value, const Schema& schema);

// All leaves, list items and map entries the value has.
FieldSet field_set(const doc::Value& value, const Schema& schema);

struct Comparison {
  FieldSet changed;  // added and modified
  FieldSet removed;
};
// nullptr = absent. Fields that Go always writes count as present with their zero value.
Comparison compare(const doc::Value* before, const doc::Value* after, const Schema& schema);

// `config` laid over `live`.
doc::Value merge(const doc::Value& live, const doc::Value& config, const Schema& schema);

// Removes what `last` holds and `owned` does not.
void prune(doc::Value& value, const Schema& schema, const FieldSet& last, const FieldSet& owned);

}  // namespace orch::api::typed
