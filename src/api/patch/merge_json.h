// RFC 7386 on documents, and what the strategic merge shares with it.
#pragma once

#include <string_view>

#include "api/patch/json.h"

namespace orch::api::doc {

void merge_json(Value& target, Value patch);
// Removes null members of objects (not inside lists).
void drop_nulls(Value& value);
// "object", "array", "string" ... as encoding/json names them in errors.
std::string_view go_kind(const Value& value);

}  // namespace orch::api::doc
