// Patches on JSON texts, schema-aware where the TypeInfo says so. Stateless; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/type_info.h"
#include "orch/base/clock.h"

namespace orch::api {

enum class PatchType : uint8_t { kJson, kMerge, kStrategic, kApply };

// `findings`, where given, collects what strict decoding of the patch itself objects to, in
// kubectl's words (`duplicate field "spec.replicas"`).

// RFC 6902. 413 over 10,000 operations or on copy bombs; 422 when it does not apply.
ApiResult<std::string> json_patch(std::string_view document, std::string_view patch,
                                  std::vector<std::string>* findings = nullptr);
// RFC 7386.
ApiResult<std::string> merge_patch(std::string_view document, std::string_view patch,
                                   std::vector<std::string>* findings = nullptr);
// Strategic merge with all directives ($patch, $retainKeys, $setElementOrder,
// $deleteFromPrimitiveList).
ApiResult<std::string> strategic_merge_patch(std::string_view document, std::string_view patch,
                                             const TypeInfo& type,
                                             std::vector<std::string>* findings = nullptr);
// Appends `duplicate field "..."` for each member given twice; nothing for text that is no JSON.
void json_duplicates(std::string_view json, std::vector<std::string>& findings);
// JSON as Go's %+v prints it decoded, map[a:1]: how errors show a strategic patch.
std::string go_shown_json(std::string_view json);

// Server-side apply (KEP-555). All texts are JSON of whole objects of `type`.
struct ApplyRequest {
  std::string_view live;         // "" = create
  std::string_view applied;      // the applied configuration (JSON)
  std::string_view manager;      // fieldManager
  std::string_view subresource;  // "" or "status", "scale"
  bool force = false;
  WallTime now;
};
// The merged object with its metadata.managedFields brought up to date. 409 with causes
// (FieldManagerConflict) when fields belong to others and force is off.
ApiResult<std::string> server_side_apply(const ApplyRequest& request, const TypeInfo& type);
// managedFields after a non-apply write: what `manager` changed between `before` ("" = create) and
// `after` becomes its Update entry. Returns `after` with the new managedFields.
ApiResult<std::string> track_update(std::string_view before, std::string_view after,
                                    std::string_view manager, std::string_view subresource,
                                    WallTime now, const TypeInfo& type);

}  // namespace orch::api
