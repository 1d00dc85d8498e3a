// RFC 7386.
#include <fmt/format.h>

#include "api/patch/json.h"
#include "api/patch/merge_json.h"
#include "orch/api/patch.h"

namespace orch::api {
namespace doc {

void drop_nulls(Value& value) {
  if (!value.is_object()) return;
  std::erase_if(value.items, [](const Member& m) { return m.value.is_null(); });
  for (Member& member : value.items) drop_nulls(member.value);
}

// Both member lists are sorted: one pass, whatever their sizes.
void merge_json(Value& target, Value patch) {
  if (!patch.is_object()) {
    target = std::move(patch);
    return;
  }
  if (!target.is_object()) {
    drop_nulls(patch);
    target = std::move(patch);
    return;
  }
  std::vector<Member> merged;
  merged.reserve(target.items.size() + patch.items.size());
  auto old = target.items.begin(), old_end = target.items.end();
  for (Member& change : patch.items) {
    for (; old != old_end && old->key < change.key; ++old) merged.push_back(std::move(*old));
    bool both = old != old_end && old->key == change.key;
    if (both && !change.value.is_null()) {
      merge_json(old->value, std::move(change.value));
      merged.push_back(std::move(*old));
    } else if (!change.value.is_null()) {
      drop_nulls(change.value);
      merged.push_back(std::move(change));
    }
    if (both) ++old;
  }
  for (; old != old_end; ++old) merged.push_back(std::move(*old));
  target.items = std::move(merged);
}

std::string_view go_kind(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBool:
      return "bool";
    case Value::Kind::kNumber:
      return "number";
    case Value::Kind::kString:
      return "string";
    case Value::Kind::kArray:
      return "array";
    case Value::Kind::kObject:
      return "object";
  }
  return "";
}

}  // namespace doc

ApiResult<std::string> merge_patch(std::string_view document, std::string_view patch,
                                   std::vector<std::string>* findings) {
  doc::Arena arena;
  auto change = doc::parse(patch, arena, findings);
  if (!change) return Err(bad_request("error decoding patch: " + change.error().message));
  if (!change->is_object()) {
    return Err(
        bad_request(fmt::format("error decoding patch: json: cannot unmarshal {} into Go "
                                "value of type map[string]interface {{}}",
                                doc::go_kind(*change))));
  }
  auto root = doc::parse(document, arena);
  if (!root) return Err(internal_error(root.error().message));
  doc::merge_json(*root, std::move(*change));
  std::string out;
  out.reserve(document.size() + patch.size());
  doc::write(*root, out);
  return out;
}

}  // namespace orch::api
