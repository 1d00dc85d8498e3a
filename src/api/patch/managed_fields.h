// metadata.managedFields: entries in and out, and their rules (who is who, order, cap). Plain
// values; texts are views into the document that the entries were read from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/patch/field_set.h"
#include "api/patch/json.h"
#include "orch/api/error.h"
#include "orch/api/type_info.h"
#include "orch/base/clock.h"

namespace orch::api {

inline constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

struct ManagedEntry {
  std::string manager, operation, api_version, subresource;
  std::string time;          // RFC 3339, "" = none
  int64_t unix_seconds = 0;  // of `time`
  FieldSet fields;
  std::string_view raw;  // as stored; "" once changed

  bool is_apply() const { return operation == "Apply"; }
  // Same writer: appliers are known whatever version they applied.
  bool same_writer(const ManagedEntry& other) const;
  void stamp(WallTime now);
};

class ManagedFields {
 public:
  // nullopt: some entry does not decode.
  static std::optional<ManagedFields> parse(const doc::Value* managed_fields);

  std::vector<ManagedEntry> entries;

  ManagedEntry* find(const ManagedEntry& writer);
  // Takes the fields from every entry but `except`; entries left empty go.
  void take_from_others(const FieldSet& changed, const FieldSet& removed,
                        const ManagedEntry* except);
  void drop_empty();
  // At most 10 Update entries: the oldest are merged by version into "ancient-changes".
  void cap_updaters();
  // Sorted; "" when there are no entries. Unchanged entries are written as they stood.
  std::string text();
};

// Whether the client asks to forget all entries: `managedFields: [{}]`.
bool is_reset(const doc::Value* managed_fields);

// Paths that belong to the server, never to a manager.
const FieldSet& stripped_fields();
// Top-level fields that a write through `subresource` cannot set.
void remove_foreign_fields(FieldSet& set, std::string_view subresource, const TypeInfo& type);

// `object` (JSON text, `root` its parsed form) with metadata.managedFields replaced ("" = removed).
std::string splice_managed_fields(std::string_view object, const doc::Value& root,
                                  std::string_view managed_fields);

std::string api_version_of(const TypeInfo& type);

}  // namespace orch::api
