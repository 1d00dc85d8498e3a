// The single filters. Each looks at or completes a Call; an error ends the request.
#pragma once

#include <map>
#include <mutex>

#include "orch/api/error.h"
#include "orch/net/http.h"
#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

// Fills call.user from certificate or bearer token.
api::ApiResult<Unit> authenticate(const Hooks& hooks, const net::HttpRequest& request, Call& call);
// Impersonate-User, -Group, -Uid, -Extra-*: 403 unless each is allowed; replaces call.user.
api::ApiResult<Unit> impersonate(const Hooks& hooks, const net::HttpRequest& request, Call& call);
// Watches, logs, execs and proxies: not counted, not timed.
bool long_running(const Call& call);

// How many objects a list reads decides how much work it is: seats of flow control, 1 for all
// other requests.
class RequestCosts {
 public:
  explicit RequestCosts(ApiServer& server) : server_(server) {}
  int seats(const Call& call);

 private:
  int64_t objects(const api::ResourceInfo& resource);

  struct Count {
    int64_t objects = 0;
    MonoTime counted{};
  };
  ApiServer& server_;
  std::mutex mutex_;
  std::map<const api::ResourceInfo*, Count> counts_;
};

// apiserver_request_total and its kin, with bounded labels.
void count_request(const Call& call, int status, double seconds);

}  // namespace orch::server
