// metav1.ListOptions from the query, with upstream's rules (ValidateListOptions).
#include <fmt/format.h>

#include "orch/base/strings.h"
#include "server/api/verbs/verbs.h"

namespace orch::server {
namespace {

void check_match(const ListParams& params, bool watch, bool has_send_initial,
                 api::FieldErrors& errors) {
  const std::string& match = params.resource_version_match;
  if (watch) {
    if (has_send_initial) {
      if (match != "NotOlderThan") {
        errors.forbidden("resourceVersionMatch",
                         "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
      }
    } else if (!match.empty()) {
      errors.forbidden("resourceVersionMatch",
                       "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
                       "provided");
    }
    if (!params.continue_.empty()) {
      errors.forbidden("continue", "continue is forbidden for watch");
    }
    return;
  }
  if (has_send_initial) {
    errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
  }
  if (match.empty()) return;
  if (params.resource_version.empty()) {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (!params.continue_.empty()) {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch is forbidden when continue is provided");
  }
  if (match != "Exact" && match != "NotOlderThan") {
    errors.not_supported("resourceVersionMatch", match, {"Exact", "NotOlderThan", ""});
  }
  if (match == "Exact" && params.resource_version == "0") {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
}

}  // namespace

api::ApiResult<ListParams> list_params(const Call& call, const api::ResourceInfo& resource,
                                       bool watch) {
  ListParams params;
  if (call.has_param("limit")) {
    const auto limit = parse_int(call.param("limit"));
    if (!limit || *limit < 0) {
      return Err(api::bad_request(fmt::format(
          "limit: Invalid value: \"{}\": must be a whole number, 0 or more", call.param("limit"))));
    }
    params.limit = *limit;
  }
  params.continue_ = call.param("continue");
  params.resource_version = call.param("resourceVersion");
  params.resource_version_match = call.param("resourceVersionMatch");
  api::FieldErrors errors;
  check_match(params, watch, call.has_param("sendInitialEvents"), errors);
  if (!errors.empty()) {
    return Err(api::invalid("meta.k8s.io", "ListOptions", "", errors.take()));
  }
  std::string fields = call.param("fieldSelector");
  // A name in the path of the old /watch/ prefix narrows to one object.
  if (watch && !call.info.name.empty() && fields.empty()) {
    fields = "metadata.name=" + call.info.name;
  }
  ORCH_TRY(params.filter, ObjectFilter::make(resource, call.param("labelSelector"), fields));
  return params;
}

}  // namespace orch::server
