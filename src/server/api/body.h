// Options and bodies of writing requests. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/api/metav1.h"  // generated
#include "orch/api/patch.h"
#include "orch/api/scheme.h"
#include "server/api/call.h"

namespace orch::server {

enum class FieldValidation : uint8_t { kIgnore, kWarn, kStrict };

struct WriteOptions {
  bool dry_run = false;
  bool force = false;         // apply patches
  std::string field_manager;  // never ""
  FieldValidation field_validation = FieldValidation::kWarn;
};

// Query parameters of create, update and patch. `kind`: CreateOptions, UpdateOptions, PatchOptions;
// 422 on bad values. `apply`: an apply patch, which must name its manager.
api::ApiResult<WriteOptions> write_options(const Call& call, std::string_view kind,
                                           bool apply = false);
// Query parameters and body of delete and deletecollection.
api::ApiResult<api::metav1::DeleteOptions> delete_options(const Call& call);

// A number in the query. 400 as Go's conversion words it.
api::ApiResult<int64_t> int_param(const Call& call, std::string_view name);

// The body as an object of `type`, from any media type. Checks kind and apiVersion; unknown and
// duplicate fields become 400 or call.warnings.
api::ApiResult<std::unique_ptr<api::Object>> decode_body(Call& call, const api::TypeInfo& type,
                                                         FieldValidation validation);
// The object that `call`'s patch (no apply) makes of `live`'s JSON, decoded likewise; errors show
// the patch. 4xx when it does not apply.
api::ApiResult<std::unique_ptr<api::Object>> patched_object(Call& call, api::PatchType patch_type,
                                                            std::string_view live,
                                                            const api::TypeInfo& type,
                                                            FieldValidation validation);
// Strict findings become an error text ("" = go on) or warnings.
std::string judge_findings(Call& call, FieldValidation validation,
                           const std::vector<std::string>& findings);
// The package of upstream's internal type, as error texts show it: "core", "apps".
std::string_view internal_package(const api::TypeInfo& type);
// A body as JSON text (YAML converted).
api::ApiResult<std::string> body_json(const Call& call, std::vector<std::string>* findings);

}  // namespace orch::server
