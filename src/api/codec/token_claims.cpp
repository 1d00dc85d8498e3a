#include "orch/api/token_claims.h"

#include <nlohmann/json.hpp>

namespace orch::api {
namespace {

using nlohmann::json;

// Claims are outside input: depth is bounded by refusing anything long before it is parsed.
constexpr size_t kClaimsBytesMax = 16 * 1024;

Result<json, std::string> parse_object(std::string_view text) {
  if (text.size() > kClaimsBytesMax) return Err(std::string("too long"));
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return Err(std::string("not a JSON object"));
  return parsed;
}

std::string text_of(const json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t number_of(const json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<int64_t>() : 0;
}

void put_reference(json& private_claims, const char* key, const std::string& name,
                   const std::string& uid) {
  if (!name.empty()) private_claims[key] = {{"name", name}, {"uid", uid}};
}

void take_reference(const json& private_claims, const char* key, std::string& name,
                    std::string& uid) {
  auto it = private_claims.find(key);
  if (it == private_claims.end() || !it->is_object()) return;
  name = text_of(*it, "name");
  uid = text_of(*it, "uid");
}

}  // namespace

std::string encode_claims(const TokenClaims& claims) {
  json private_claims = {{"namespace", claims.namespace_}};
  put_reference(private_claims, "serviceaccount", claims.service_account,
                claims.service_account_uid);
  put_reference(private_claims, "pod", claims.pod, claims.pod_uid);
  put_reference(private_claims, "secret", claims.secret, claims.secret_uid);
  put_reference(private_claims, "node", claims.node, claims.node_uid);
  if (claims.warn_after != 0) private_claims["warnafter"] = claims.warn_after;
  json out = {{"iss", claims.issuer},     {"sub", claims.subject},
              {"jti", claims.id},         {"aud", claims.audiences},
              {"iat", claims.issued_at},  {"nbf", claims.not_before},
              {"exp", claims.expires_at}, {"kubernetes.io", std::move(private_claims)}};
  return out.dump();
}

Result<TokenClaims, std::string> decode_claims(std::string_view text) {
  ORCH_TRY(const json object, parse_object(text));
  TokenClaims claims;
  claims.issuer = text_of(object, "iss");
  claims.subject = text_of(object, "sub");
  claims.id = text_of(object, "jti");
  claims.issued_at = number_of(object, "iat");
  claims.not_before = number_of(object, "nbf");
  claims.expires_at = number_of(object, "exp");
  if (auto it = object.find("aud"); it != object.end()) {
    if (it->is_string()) claims.audiences.push_back(it->get<std::string>());
    if (it->is_array()) {
      for (const auto& audience : *it) {
        if (audience.is_string()) claims.audiences.push_back(audience.get<std::string>());
      }
    }
  }
  auto it = object.find("kubernetes.io");
  if (it == object.end() || !it->is_object()) return claims;
  claims.namespace_ = text_of(*it, "namespace");
  claims.warn_after = number_of(*it, "warnafter");
  take_reference(*it, "serviceaccount", claims.service_account, claims.service_account_uid);
  take_reference(*it, "pod", claims.pod, claims.pod_uid);
  take_reference(*it, "secret", claims.secret, claims.secret_uid);
  take_reference(*it, "node", claims.node, claims.node_uid);
  return claims;
}

std::string encode_jwt_header(std::string_view key_id) {
  return json{{"alg", "ES256"}, {"kid", key_id}}.dump();
}

Result<JwtHeader, std::string> decode_jwt_header(std::string_view text) {
  ORCH_TRY(const json object, parse_object(text));
  return JwtHeader{text_of(object, "alg"), text_of(object, "kid")};
}

}  // namespace orch::api
