// Bootstrap tokens "[a-z0-9]{6}.[a-z0-9]{16}": Secrets bootstrap-token-ID of kube-system with
// usage-bootstrap-authentication, until they expire. Any thread.
#pragma once

#include "orch/base/clock.h"
#include "orch/client/client.h"
#include "server/auth/token_source.h"

namespace orch::server {

class BootstrapTokens final : public TokenSource {
 public:
  // `lookups` reads Secrets with the server's own identity.
  BootstrapTokens(const Clock& clock, const client::Client& lookups)
      : clock_(clock), lookups_(lookups) {}
  Result<std::optional<VerifiedToken>, std::string> verify(
      const std::string& token, const std::vector<std::string>& audiences) override;

 private:
  const Clock& clock_;
  const client::Client& lookups_;
};

// The id of a well-formed token; "" = it is none.
std::string bootstrap_token_id(std::string_view token);
// The groups of auth-extra-groups; error: the first that is not allowed.
Result<std::vector<std::string>, std::string> bootstrap_extra_groups(std::string_view text);

}  // namespace orch::server
