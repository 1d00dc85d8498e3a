#include "server/auth/service_account_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::server {
namespace {

using namespace api;

constexpr int64_t kSecondsMin = 600;  // KEP-1205
constexpr int64_t kSecondsMax = int64_t{1} << 32;
constexpr int64_t kSecondsDefault = 3600;
// A pod's token asked for with this lifetime is issued for a year but warned about after it
// (upstream's --service-account-extend-token-expiration); orch's agent rotates, so it is not
// extended.
constexpr size_t kTokenBytesMax = 16 * 1024;

std::string key_id_of(const std::string& key_pem) {
  auto point = net::ec_public_point(key_pem);
  return point ? base64url_encode(net::sha256(point->x + point->y)) : std::string();
}

bool gone(const ApiResult<Unit>& found) { return !found; }

template <class T>
ApiResult<Unit> same_object(const client::Client& lookups, const std::string& ns,
                            const std::string& name, const std::string& uid) {
  ORCH_TRY(const T object, lookups.get<T>(ns, name));
  if (object.metadata.uid != uid) return Err(not_found({"", ""}, name));
  return Unit{};
}

}  // namespace

ServiceAccountTokens::ServiceAccountTokens(Env& env, std::string key_pem, std::string issuer,
                                           std::vector<std::string> api_audiences,
                                           const client::Client& lookups)
    : env_(env),
      key_pem_(std::move(key_pem)),
      key_id_(key_id_of(key_pem_)),
      issuer_(std::move(issuer)),
      api_audiences_(std::move(api_audiences)),
      lookups_(lookups) {}

ApiResult<Unit> ServiceAccountTokens::issue(const TokenSubject& subject,
                                            authenticationv1::TokenRequest& request) {
  auto& spec = request.spec;
  if (spec.audiences.empty()) spec.audiences = api_audiences_;
  if (!spec.expirationSeconds) spec.expirationSeconds = kSecondsDefault;
  FieldErrors errors;
  if (*spec.expirationSeconds < kSecondsMin) {
    errors.invalid("spec.expirationSeconds", std::to_string(*spec.expirationSeconds),
                   "may not specify a duration less than 10 minutes");
  }
  if (*spec.expirationSeconds > kSecondsMax) {
    errors.invalid("spec.expirationSeconds", std::to_string(*spec.expirationSeconds),
                   "may not specify a duration larger than 2^32 seconds");
  }
  if (!errors.empty()) {
    return Err(
        invalid("authentication.k8s.io", "TokenRequest", subject.service_account, errors.take()));
  }
  const WallTime now = env_.clock.now();
  TokenClaims claims;
  claims.issuer = issuer_;
  claims.subject =
      fmt::format("system:serviceaccount:{}:{}", subject.namespace_, subject.service_account);
  claims.id = random_uuid(env_.random);
  claims.audiences = spec.audiences;
  claims.issued_at = claims.not_before =
      std::chrono::floor<Seconds>(now).time_since_epoch().count();
  claims.expires_at = claims.issued_at + *spec.expirationSeconds;
  claims.namespace_ = subject.namespace_;
  claims.service_account = subject.service_account;
  claims.service_account_uid = subject.service_account_uid;
  claims.pod = subject.pod_name;
  claims.pod_uid = subject.pod_uid;
  claims.secret = subject.secret_name;
  claims.secret_uid = subject.secret_uid;
  claims.node = subject.node_name;
  claims.node_uid = subject.node_uid;

  const std::string signed_part =
      base64url_encode(encode_jwt_header(key_id_)) + "." + base64url_encode(encode_claims(claims));
  auto signature = net::es256_sign(key_pem_, signed_part);
  if (!signature) return Err(internal_error("signing a token: " + signature.error()));
  request.status.token = signed_part + "." + base64url_encode(*signature);
  request.status.expirationTimestamp = Time(WallTime{Seconds{claims.expires_at}});
  return Unit{};
}

std::string ServiceAccountTokens::key_set() const {
  const auto point = net::ec_public_point(key_pem_);
  if (!point) return R"({"keys":[]})";
  return fmt::format(
      R"({{"keys":[{{"use":"sig","kty":"EC","kid":"{}","crv":"P-256","alg":"ES256","x":"{}",)"
      R"("y":"{}"}}]}})",
      key_id_, base64url_encode(point->x), base64url_encode(point->y));
}

Result<TokenClaims, std::string> ServiceAccountTokens::decode(const std::string& token) const {
  if (token.size() > kTokenBytesMax) return Err(std::string("token too long"));
  const auto parts = split(token, '.');
  if (parts.size() != 3) return Err(std::string("not a JWT"));
  const auto header_text = base64url_decode(parts[0]);
  const auto claims_text = base64url_decode(parts[1]);
  const auto signature = base64url_decode(parts[2]);
  if (!header_text || !claims_text || !signature) return Err(std::string("not base64url"));
  ORCH_TRY(const JwtHeader header, decode_jwt_header(*header_text));
  // The one algorithm and key there are: "none" and public-key-as-HMAC cannot pass.
  if (header.algorithm != "ES256" || header.key_id != key_id_) {
    return Err(std::string("unknown algorithm or key"));
  }
  if (!net::es256_verify(key_pem_, parts[0] + "." + parts[1], *signature)) {
    return Err(std::string("invalid signature"));
  }
  return decode_claims(*claims_text);
}

// A token that is kept in the Secret it is bound to may have been marked as unused for too long;
// else its use is noted, a day once.
Result<Unit, std::string> ServiceAccountTokens::check_secret(const TokenClaims& claims,
                                                             const std::string& token) const {
  const auto secret = lookups_.get<corev1::Secret>(claims.namespace_, claims.secret);
  if (!secret || secret->metadata.uid != claims.secret_uid) {
    return Err(std::string("secret is gone"));
  }
  const auto kept = secret->data.find("token");
  if (secret->type_ != "kubernetes.io/service-account-token" || kept == secret->data.end() ||
      kept->second != token) {
    return Unit{};
  }
  const auto& labels = secret->metadata.labels;
  if (const auto since = labels.find(kTokenInvalidSince); since != labels.end()) {
    return Err(fmt::format(
        "the token in secret {0}/{1} for service account {0}/{2} has been marked invalid. Use "
        "tokens from the TokenRequest API or manually created secret-based tokens, or remove the "
        "'{3}' label from the secret to temporarily allow use of this token",
        claims.namespace_, claims.secret, claims.service_account, kTokenInvalidSince));
  }
  const std::string today = Time(env_.clock.now()).str().substr(0, 10);
  const auto last = labels.find(kTokenLastUsed);
  if (last != labels.end() && last->second == today) return Unit{};
  // Failing to note it fails no one's request.
  auto noted = lookups_.patch<corev1::Secret>(
      claims.namespace_, claims.secret, PatchType::kMerge,
      fmt::format(R"({{"metadata":{{"uid":"{}","labels":{{"{}":"{}"}}}}}})", claims.secret_uid,
                  kTokenLastUsed, today));
  if (!noted) {
    log::warn("auth", "noting the use of secret {}/{}: {}", claims.namespace_, claims.secret,
              noted.error().message);
  }
  return Unit{};
}

Result<Unit, std::string> ServiceAccountTokens::check_bound_objects(
    const TokenClaims& claims, const std::string& token) const {
  if (gone(same_object<corev1::ServiceAccount>(lookups_, claims.namespace_, claims.service_account,
                                               claims.service_account_uid))) {
    return Err(std::string("service account is gone"));
  }
  if (!claims.pod.empty() &&
      gone(same_object<corev1::Pod>(lookups_, claims.namespace_, claims.pod, claims.pod_uid))) {
    return Err(std::string("pod is gone"));
  }
  if (!claims.secret.empty()) ORCH_CHECK(check_secret(claims, token));
  // The node of a pod-bound token is information only; a token bound to a node itself has no pod.
  if (claims.pod.empty() && !claims.node.empty() &&
      gone(same_object<corev1::Node>(lookups_, "", claims.node, claims.node_uid))) {
    return Err(std::string("node is gone"));
  }
  return Unit{};
}

Result<ServiceAccountTokens::Verified, std::string> ServiceAccountTokens::verify(
    const std::string& token, std::vector<std::string> audiences) const {
  ORCH_TRY(const TokenClaims claims, decode(token));
  const int64_t now = std::chrono::floor<Seconds>(env_.clock.now()).time_since_epoch().count();
  if (claims.issuer != issuer_) return Err(std::string("another issuer's"));
  if (now >= claims.expires_at) return Err(std::string("token has expired"));
  if (now < claims.not_before - 60) return Err(std::string("token is not valid yet"));
  if (audiences.empty()) audiences = api_audiences_;
  Verified verified;
  for (const auto& audience : audiences) {
    if (std::find(claims.audiences.begin(), claims.audiences.end(), audience) !=
        claims.audiences.end()) {
      verified.audiences.push_back(audience);
    }
  }
  if (verified.audiences.empty()) return Err(std::string("token audiences do not match"));
  ORCH_CHECK(check_bound_objects(claims, token));

  verified.user.name = claims.subject;
  verified.user.uid = claims.service_account_uid;
  verified.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + claims.namespace_,
                          "system:authenticated"};
  auto& extra = verified.user.extra;
  extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + claims.id};
  if (!claims.pod.empty()) {
    extra["authentication.kubernetes.io/pod-name"] = {claims.pod};
    extra["authentication.kubernetes.io/pod-uid"] = {claims.pod_uid};
  }
  if (!claims.node.empty()) {
    extra["authentication.kubernetes.io/node-name"] = {claims.node};
    extra["authentication.kubernetes.io/node-uid"] = {claims.node_uid};
  }
  return verified;
}

}  // namespace orch::server
