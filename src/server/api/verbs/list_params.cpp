// metav1.ListOptions from the query, with upstream's rules (ValidateListOptions).
#include <algorithm>

#include "orch/base/strings.h"
#include "server/api/verbs/verbs.h"

namespace orch::server {
namespace {

void check_watch_match(const ListParams& params, bool has_send_initial, api::FieldErrors& errors) {
  const std::string& match = params.resource_version_match;
  if (has_send_initial && match != "NotOlderThan") {
    errors.forbidden("resourceVersionMatch",
                     "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (match.empty()) return;
  if (!has_send_initial) {
    errors.forbidden(
        "resourceVersionMatch",
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  }
  if (match != "NotOlderThan") {
    errors.not_supported("resourceVersionMatch", match, {"NotOlderThan"});
  }
  if (!params.continue_.empty()) {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch is forbidden when continue is provided");
  }
}

void check_list_match_value(const ListParams& params, const std::string& match,
                            api::FieldErrors& errors) {
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

void check_list_match(const ListParams& params, bool has_send_initial, api::FieldErrors& errors) {
  const std::string& match = params.resource_version_match;
  if (!match.empty()) check_list_match_value(params, match, errors);
  if (has_send_initial) {
    errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
  }
}

}  // namespace

api::ApiResult<ListParams> list_params(const Call& call, const api::ResourceInfo& resource,
                                       bool watch) {
  ListParams params;
  if (!call.param("limit").empty()) {
    ORCH_TRY(params.limit, int_param(call, "limit"));
    params.limit = std::max<int64_t>(params.limit, 0);  // as upstream: below 0 is no limit
  }
  if (!call.param("timeoutSeconds").empty()) {
    ORCH_CHECK(int_param(call, "timeoutSeconds"));
  }
  params.continue_ = call.param("continue");
  params.resource_version = call.param("resourceVersion");
  params.resource_version_match = call.param("resourceVersionMatch");
  api::FieldErrors errors;
  const bool has_send_initial = call.has_param("sendInitialEvents");
  (watch ? check_watch_match : check_list_match)(params, has_send_initial, errors);
  if (!errors.empty()) {
    return Err(api::invalid("meta.k8s.io", "ListOptions", "", errors.take()));
  }
  std::string fields = call.param("fieldSelector");
  // A name in the path of the old /watch/ prefix narrows to one object.
  if (watch && !call.info.name.empty() && fields.empty()) {
    fields = "metadata.name=" + call.info.name;
  }
  ORCH_TRY(params.filter, ObjectFilter::make(resource, call.param("labelSelector"), fields));
  if (watch && !call.info.name.empty() && params.filter.name() != call.info.name) {
    return Err(api::bad_request("fieldSelector metadata.name doesn't match requested name"));
  }
  return params;
}

}  // namespace orch::server
