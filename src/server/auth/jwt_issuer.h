// Tokens of an OpenID Connect issuer: its keys are fetched from its discovery document, kept, and
// fetched anew for a key id not seen before. One object an issuer; any thread, blocks while keys
// are fetched.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "orch/api/json_value.h"
#include "orch/base/clock.h"
#include "orch/net/http.h"
#include "orch/net/jose.h"
#include "server/auth/token_source.h"

namespace orch::server {

struct ClaimMapping {
  std::string claim, prefix;  // no claim = not mapped
};
struct JwtIssuerConfig {
  std::string url;            // https://...; the tokens' "iss"
  std::string discovery_url;  // "" = URL/.well-known/openid-configuration
  std::string ca_pem;         // "" = the system's
  std::vector<std::string> audiences;
  std::vector<std::string> algorithms = {"RS256", "RS384", "RS512", "ES256", "ES384",
                                         "ES512", "PS256", "PS384", "PS512"};
  ClaimMapping username{"sub", ""}, groups, uid;
  std::map<std::string, std::string> required_claims;
};

// A JWT's parts; nothing is verified.
struct ParsedJwt {
  std::string algorithm, key_id;
  api::JsonValue claims;
  std::string signed_part, signature;
};
Result<ParsedJwt, std::string> parse_jwt(std::string_view token);
// Who the claims say it is, and whether they hold at `now`. Error: what is wrong with them.
Result<VerifiedToken, std::string> read_claims(const JwtIssuerConfig& config,
                                               const api::JsonValue& claims, WallTime now);
// The usable keys of a key set by id. Those of unknown kinds are passed over.
using JoseKeys = std::map<std::string, std::shared_ptr<const net::JoseKey>>;
Result<JoseKeys, std::string> read_key_set(std::string_view json);

class JwtIssuer final : public TokenSource {
 public:
  static Result<std::unique_ptr<JwtIssuer>, std::string> create(const Clock& clock,
                                                                JwtIssuerConfig config);
  Result<std::optional<VerifiedToken>, std::string> verify(
      const std::string& token, const std::vector<std::string>& audiences) override;

 private:
  JwtIssuer(const Clock& clock, JwtIssuerConfig config)
      : clock_(clock), config_(std::move(config)) {}
  std::shared_ptr<const net::JoseKey> key(const std::string& id);
  std::shared_ptr<const net::JoseKey> known_key(const std::string& id);
  Result<JoseKeys, std::string> fetch_keys() const;
  Result<std::string, std::string> fetch(const std::string& url) const;

  const Clock& clock_;
  const JwtIssuerConfig config_;
  std::shared_ptr<net::TlsClientContext> tls_;
  std::mutex mutex_;  // of the keys
  JoseKeys keys_;
  std::mutex fetch_mutex_;  // of what follows; taken before mutex_
  MonoTime fetched_{};
  bool fetched_once_ = false;
};

}  // namespace orch::server
