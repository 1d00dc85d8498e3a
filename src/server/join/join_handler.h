// The server's half of joining (include/orch/client/join.h): /cacerts and /v1-orch/join, before
// authentication proper, since who joins has no certificate yet. Any thread.
//
// Who may join: who knows a static token (the server's, or the agents' own), or a bootstrap token
// that has not expired; and who joined before under that name and shows its certificate.
#pragma once

#include <string>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/join.h"
#include "orch/net/http.h"
#include "server/pki/pki.h"

namespace orch::server {

struct ClusterFacts {
  std::string cluster_dns, cluster_domain, cluster_cidr, service_cidr;
};

struct JoinOptions {
  client::JoinToken token;  // what holds while the files are not there
  // The static tokens as they are now: `orch token rotate` writes them.
  std::vector<std::string> token_files;
  Seconds leaf_valid = kLeafValid;
};

class JoinHandler {
 public:
  JoinHandler(Env& env, const Pki& pki, JoinOptions options, ClusterFacts facts,
              const client::Client& client);
  JoinHandler(Env& env, const Pki& pki, client::JoinToken token, ClusterFacts facts,
              const client::Client& client)
      : JoinHandler(env, pki, JoinOptions{std::move(token), {}}, std::move(facts), client) {}
  // True if the request was one of ours and is answered.
  bool handle(const net::HttpRequest& request, net::HttpResponse& response);

 private:
  void join(const net::HttpRequest& request, net::HttpResponse& response);
  api::ApiResult<Unit> may_join(const net::HttpRequest& request,
                                const client::JoinRequest& wish) const;
  api::ApiResult<Unit> check_token(std::string_view secret) const;
  api::ApiResult<Unit> check_bootstrap_token(const std::string& id, std::string_view secret) const;
  api::ApiResult<bool> is_abandoned(const api::corev1::Secret& password,
                                    const std::string& node) const;
  api::ApiResult<Unit> check_node_password(const client::JoinRequest& request) const;
  api::ApiResult<client::JoinAnswer> issue(const client::JoinRequest& request) const;

  Env& env_;
  const Pki& pki_;
  JoinOptions options_;
  ClusterFacts facts_;
  const client::Client& client_;
};

}  // namespace orch::server
