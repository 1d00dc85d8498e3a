// Authentication, authorization and admission as AccessConfig says, in one: what the API server's
// hooks point to. Errors name the flag or file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/informer.h"
#include "orch/server/access_config.h"
#include "server/admission/admission.h"
#include "server/auth/authenticator.h"
#include "server/auth/authorizer.h"
#include "server/auth/escalation.h"

namespace orch::server {

RequestHeaderOptions request_header_options(const AccessConfig& config);
// Whom front proxies' certificates are of: the flag's authority, or the cluster's own.
Result<std::string, std::string> front_proxy_ca(const AccessConfig& config,
                                                const net::KeyPair& own);

class Access {
 public:
  struct Deps {
    Env& env;
    client::InformerSet& informers;
    const client::Client& client;  // the server's own identity
    ServiceAccountTokens& tokens;
  };
  // `disabled`: further admission plugins that do not run. What `deps` names outlives the object.
  static Result<std::unique_ptr<Access>, std::string> create(
      const Deps& deps, const AccessConfig& config, const std::vector<std::string>& disabled);

  Hooks hooks() { return {authenticator_.get(), authorizer_.get(), guard_.get(), &tokens_}; }
  // The caches that decisions need are filled.
  bool synced() const { return authorizer_->synced(); }

 private:
  explicit Access(ServiceAccountTokens& tokens) : tokens_(tokens) {}

  ServiceAccountTokens& tokens_;
  std::unique_ptr<DefaultAuthenticator> authenticator_;
  std::unique_ptr<DefaultAuthorizer> authorizer_;
  std::unique_ptr<PluginChain> admission_;
  std::unique_ptr<EscalationGuard> guard_;
};

}  // namespace orch::server
