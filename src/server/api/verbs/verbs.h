// One function a verb. Each answers a Call on a resource; errors become Status answers in dispatch
// (api_server.cpp). Any thread; writers block until durable.
#pragma once

#include <functional>

#include "orch/api/patch.h"
#include "orch/api/scheme.h"
#include "orch/net/http.h"
#include "server/api/api_server.h"
#include "server/api/body.h"
#include "server/api/call.h"

namespace orch::server {

using Answer = api::ApiResult<Unit>;

Answer verb_get(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                net::HttpResponse& response);
Answer verb_list(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                 net::HttpResponse& response);
Answer verb_watch(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response);
Answer verb_create(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response);
// Also of the subresource "status".
Answer verb_update(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response);
Answer verb_patch(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response);
Answer verb_delete(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response);
Answer verb_deletecollection(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                             net::HttpResponse& response);

// Deleting a Job without saying what becomes of its Pods leaves them: clients are told.
void warn_of_orphans(Call& call, const api::ResourceInfo& resource,
                     const api::metav1::DeleteOptions& options);

// Body against URL: the namespace is filled in (or taken off what lies in none); another name or
// namespace is 400.
api::ApiResult<Unit> match_url_on_create(const Call& call, const api::ResourceInfo& resource,
                                         api::Object& object);
api::ApiResult<Unit> match_url_on_update(const Call& call, const api::ResourceInfo& resource,
                                         api::Object& object);

// 415 on unknown content types. Shared by verb_patch and the subresources that take patches.
api::ApiResult<api::PatchType> patch_type(std::string_view content_type);
// The configuration that an apply patch brings, as JSON of `type`. 400 when it is none.
api::ApiResult<std::string> applied_json(Call& call, const api::TypeInfo& type,
                                         FieldValidation validation);

// `live` ("" = none) with `applied` (see applied_json) laid over it, managedFields included.
api::ApiResult<std::unique_ptr<api::Object>> apply_object(ApiServer& server, const Call& call,
                                                          const api::ResourceInfo& resource,
                                                          const WriteOptions& options,
                                                          std::string_view applied,
                                                          std::string_view live);

// Options shared by list, watch and deletecollection, validated as metav1.ListOptions.
api::ApiResult<ListParams> list_params(const Call& call, const api::ResourceInfo& resource,
                                       bool watch);

}  // namespace orch::server
