// managedFields after writes that are not applies. Runs on every write: two parses, a comparison
// that skips what is byte-equal, and a splice into the text of the new object.
#include "api/patch/managed_fields.h"
#include "api/patch/typed.h"
#include "orch/api/patch.h"

namespace orch::api {
namespace {

using doc::Value;

const Value* managed_fields_of(const Value& root) {
  const Value* metadata = root.find("metadata");
  return metadata != nullptr ? metadata->find("managedFields") : nullptr;
}

// The entries that this write starts from: those the client sent, if it may and does, else the live
// ones.
struct Base {
  const Value* source = nullptr;  // nullptr = none
  ManagedFields managed;
};
Base base_entries(const Value& before, const Value& after, std::string_view subresource) {
  Base base;
  const Value* sent = managed_fields_of(after);
  const Value* live = managed_fields_of(before);
  if (subresource.empty()) {
    if (is_reset(sent)) return base;
    auto managed = ManagedFields::parse(sent);
    if (managed && !managed->entries.empty()) return {sent, std::move(*managed)};
  }
  if (auto managed = ManagedFields::parse(live)) return {live, std::move(*managed)};
  return base;
}

}  // namespace

ApiResult<std::string> track_update(std::string_view before, std::string_view after,
                                    std::string_view manager, std::string_view subresource,
                                    WallTime now, const TypeInfo& type) {
  doc::Arena arena;
  bool create = before.empty();
  auto old_root = doc::parse(create ? std::string_view("{}") : before, arena);
  auto new_root = doc::parse(after, arena);
  if (!old_root) return Err(internal_error(old_root.error().message));
  if (!new_root) return Err(bad_request(new_root.error().message));
  auto answer = [&](std::string_view managed_text) -> std::string {
    const Value* sent = managed_fields_of(*new_root);
    if (sent != nullptr && sent->raw == managed_text) return std::string(after);
    return splice_managed_fields(after, *new_root, managed_text);
  };
  typed::Comparison difference = typed::compare(&*old_root, &*new_root, Schema::of(type));
  difference.changed.subtract(stripped_fields());
  difference.removed.subtract(stripped_fields());
  bool different = !difference.changed.empty() || !difference.removed.empty();
  const Value *live = managed_fields_of(*old_root), *sent = managed_fields_of(*new_root);
  if (!different && live != nullptr && sent != nullptr && live->raw == sent->raw) {
    return std::string(after);
  }
  Base base = base_entries(*old_root, *new_root, subresource);
  // An object without entries is not tracked, until somebody applies it.
  if (base.managed.entries.empty() && !create) return answer("");
  std::string_view base_text =
      base.source != nullptr && !base.managed.entries.empty() ? base.source->raw : "";
  if (!different) return answer(base_text);

  base.managed.take_from_others(difference.changed, difference.removed, nullptr);
  if (!difference.changed.empty()) {
    ManagedEntry self;
    self.manager = manager.empty() ? "unknown" : manager;
    self.operation = "Update";
    self.api_version = api_version_of(type);
    self.subresource = subresource;
    self.fields = std::move(difference.changed);
    self.stamp(now);
    if (ManagedEntry* previous = base.managed.find(self)) {
      self.fields.add(previous->fields);
      *previous = std::move(self);
    } else {
      base.managed.entries.push_back(std::move(self));
    }
  }
  base.managed.drop_empty();
  base.managed.cap_updaters();
  return answer(base.managed.text());
}

}  // namespace orch::api
