// Bearer tokens: what a stranger sends first.
#include <cstddef>
#include <cstdint>
#include <string>

#include "orch/api/token_claims.h"
#include "server/auth/bootstrap_tokens.h"
#include "server/auth/jwt_issuer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace orch;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)server::bootstrap_token_id(text);
  (void)server::bootstrap_extra_groups(text);
  (void)api::decode_claims(text);
  (void)api::decode_jwt_header(text);
  server::JwtIssuerConfig config;
  config.audiences = {"a"};
  config.groups = {"groups", ""};
  if (auto jwt = server::parse_jwt(text)) {
    (void)server::read_claims(config, jwt->claims, WallTime{});
  }
  if (auto json = api::JsonValue::parse(text)) {
    (void)server::read_claims(config, *json, WallTime{});
  }
  if (auto keys = server::read_key_set(text)) {
    for (const auto& [id, key] : *keys) (void)key->verify("ES256", text, text);
  }
  return 0;
}
