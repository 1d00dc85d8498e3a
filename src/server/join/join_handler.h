// The server's half of joining (include/orch/client/join.h): /cacerts and /v1-orch/join, before
// authentication proper, since who joins has no certificate yet. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/join.h"
#include "orch/net/http.h"
#include "server/pki/pki.h"

namespace orch::server {

struct ClusterFacts {
  std::string cluster_dns, cluster_domain, cluster_cidr, service_cidr;
};

class JoinHandler {
 public:
  JoinHandler(Env& env, const Pki& pki, client::JoinToken token, ClusterFacts facts,
              const client::Client& client);
  // True if the request was one of ours and is answered.
  bool handle(const net::HttpRequest& request, net::HttpResponse& response);

 private:
  void join(const net::HttpRequest& request, net::HttpResponse& response);
  api::ApiResult<Unit> check_node_password(const client::JoinRequest& request) const;
  api::ApiResult<client::JoinAnswer> issue(const client::JoinRequest& request) const;

  Env& env_;
  const Pki& pki_;
  client::JoinToken token_;
  ClusterFacts facts_;
  const client::Client& client_;
};

}  // namespace orch::server
