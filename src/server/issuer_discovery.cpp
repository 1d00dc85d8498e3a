#include "server/issuer_discovery.h"

#include "orch/base/json_scan.h"
#include "server/api/call.h"

namespace orch::server {
namespace {

constexpr const char* kKeysPath = "/openid/v1/jwks";

void answer(const Call& call, const std::string& body, const char* type,
            net::HttpResponse& response) {
  if (call.method != "GET" && call.method != "HEAD") {
    response.status = 405;
    return;
  }
  response.status = 200;
  response.set("Content-Type", type);
  response.set("Cache-Control", "public, max-age=3600");
  response.body = body;
}

}  // namespace

void add_issuer_discovery(ApiServer& api, const ServiceAccountTokens& tokens,
                          const std::string& address) {
  const std::string document =
      "{\"issuer\":" + json_quote(tokens.issuer()) +
      ",\"jwks_uri\":" + json_quote("https://" + address + kKeysPath) +
      R"(,"response_types_supported":["id_token"],"subject_types_supported":["public"],)"
      R"("id_token_signing_alg_values_supported":["ES256"]})";
  const auto configuration = [document](Call& call, net::HttpResponse& response) {
    answer(call, document, "application/json", response);
  };
  const auto keys = [&tokens](Call& call, net::HttpResponse& response) {
    answer(call, tokens.key_set(), "application/jwk-set+json", response);
  };
  api.add_path("/.well-known/openid-configuration", false, configuration);
  api.add_path(kKeysPath, false, keys);
}

}  // namespace orch::server
