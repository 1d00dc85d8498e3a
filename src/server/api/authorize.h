// Authorization of one request; the same for HTTP and in-process callers.
#pragma once

#include "orch/api/error.h"
#include "server/api/call.h"

namespace orch::server {

// 403 with upstream's text unless the authorizer allows it. Streaming subresources (exec, attach,
// portforward) need "create" whatever the HTTP method.
// `verdict`: what the authorizer said, if one is asked for.
api::ApiResult<Unit> authorize(const Hooks& hooks, const Call& call,
                               Authorization* verdict = nullptr);
// The text of a refusal, e.g. `User "x" cannot list resource "pods" in API group "" in the
// namespace "default"`.
std::string forbidden_text(const Attributes& attributes);

}  // namespace orch::server
