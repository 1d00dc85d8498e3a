#include "server/auth/jwt_issuer.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::server {
namespace {

using api::JsonValue;

constexpr size_t kTokenBytesMax = 16 * 1024;
constexpr Seconds kRefetchPause{10};  // a stranger's key ids do not make us ask without end
constexpr int64_t kNotBeforeLeeway = 300;

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// A claim's text, or those of a list.
std::vector<std::string> texts_of(const JsonValue& value) {
  std::vector<std::string> out;
  if (value.is_string()) out.push_back(value.text());
  if (!value.is_array()) return out;
  for (const auto& item : value.items()) {
    if (item.is_string()) out.push_back(item.text());
  }
  return out;
}

// Where a URL's host ends and its path begins.
std::pair<std::string, std::string> split_url(const std::string& url) {
  const size_t host = url.find("://");
  const size_t slash = host == std::string::npos ? std::string::npos : url.find('/', host + 3);
  if (slash == std::string::npos) return {url, "/"};
  return {url.substr(0, slash), url.substr(slash)};
}

}  // namespace

Result<ParsedJwt, std::string> parse_jwt(std::string_view token) {
  if (token.size() > kTokenBytesMax) return Err(std::string("token too long"));
  const auto parts = split(token, '.');
  if (parts.size() != 3) return Err(std::string("not a JWT"));
  const auto header_text = base64url_decode(parts[0]);
  const auto claims_text = base64url_decode(parts[1]);
  auto signature = base64url_decode(parts[2]);
  if (!header_text || !claims_text || !signature) return Err(std::string("not base64url"));
  ORCH_TRY(const JsonValue header, JsonValue::parse(*header_text));
  ParsedJwt out;
  ORCH_TRY(out.claims, JsonValue::parse(*claims_text));
  if (!header.is_object() || !out.claims.is_object()) return Err(std::string("not JSON objects"));
  // An extension that must be understood is not.
  if (header.has("crit")) return Err(std::string("unknown critical header"));
  out.algorithm = header.get("alg").text();
  out.key_id = header.get("kid").text();
  out.signed_part = parts[0] + "." + parts[1];
  out.signature = std::move(*signature);
  return out;
}

Result<VerifiedToken, std::string> read_claims(const JwtIssuerConfig& config,
                                               const JsonValue& claims, WallTime now) {
  const int64_t seconds = std::chrono::floor<Seconds>(now).time_since_epoch().count();
  const JsonValue expires = claims.get("exp"), begins = claims.get("nbf");
  if (!expires.is_number() || expires.number() <= seconds) return Err(std::string("expired"));
  if (!begins.is_null() && (!begins.is_number() || begins.number() - kNotBeforeLeeway > seconds)) {
    return Err(std::string("not valid yet"));
  }
  const auto audiences = texts_of(claims.get("aud"));
  const bool for_us = std::any_of(audiences.begin(), audiences.end(),
                                  [&](const auto& a) { return has(config.audiences, a); });
  if (!for_us) return Err(std::string("for another audience"));
  for (const auto& [name, value] : config.required_claims) {
    const JsonValue claim = claims.get(name);
    if (!claim.is_string() || claim.text() != value) {
      return Err(fmt::format("required claim {} is not as it must be", name));
    }
  }
  VerifiedToken out;
  const JsonValue username = claims.get(config.username.claim);
  if (!username.is_string() || username.text().empty()) {
    return Err(fmt::format("claim {} is missing", config.username.claim));
  }
  if (config.username.claim == "email" && claims.has("email_verified") &&
      !claims.get("email_verified").boolean()) {
    return Err(std::string("email not verified"));
  }
  out.user.name = config.username.prefix + username.text();
  if (!config.groups.claim.empty()) {
    for (const auto& group : texts_of(claims.get(config.groups.claim))) {
      out.user.groups.push_back(config.groups.prefix + group);
    }
  }
  if (!config.uid.claim.empty()) out.user.uid = claims.get(config.uid.claim).text();
  if (const std::string id = claims.get("jti").text(); !id.empty()) {
    out.user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + id};
  }
  return out;
}

Result<JoseKeys, std::string> read_key_set(std::string_view json) {
  ORCH_TRY(const JsonValue document, JsonValue::parse(json));
  if (!document.get("keys").is_array()) return Err(std::string("no keys"));
  JoseKeys out;
  for (const auto& item : document.get("keys").items()) {
    if (const std::string use = item.get("use").text(); !use.empty() && use != "sig") continue;
    const auto number = [&](const char* name) {
      return base64url_decode(item.get(name).text()).value_or("");
    };
    const std::string type = item.get("kty").text();
    auto key = type == "RSA" ? net::JoseKey::rsa(number("n"), number("e"))
                             : net::JoseKey::ec(item.get("crv").text(), number("x"), number("y"));
    if (key) out[item.get("kid").text()] = std::move(*key);
  }
  return out;
}

Result<std::unique_ptr<JwtIssuer>, std::string> JwtIssuer::create(const Clock& clock,
                                                                  JwtIssuerConfig config) {
  std::unique_ptr<JwtIssuer> issuer(new JwtIssuer(clock, std::move(config)));
  ORCH_TRY(issuer->tls_, net::TlsClientContext::create({.ca_pem = issuer->config_.ca_pem}));
  return issuer;
}

Result<std::string, std::string> JwtIssuer::fetch(const std::string& url) const {
  const auto [base, target] = split_url(url);
  net::HttpClientOptions options;
  options.base_url = base;
  options.tls = tls_;
  options.request_timeout = Millis{10000};
  auto client = net::HttpClient::create(options);
  ORCH_TRY(auto answer, client->request("GET", target, {{"Accept", "application/json"}}, ""));
  if (answer.status != 200) return Err(fmt::format("{}: HTTP {}", url, answer.status));
  return std::move(answer.body);
}

Result<JoseKeys, std::string> JwtIssuer::fetch_keys() const {
  std::string base = config_.url;
  if (base.ends_with('/')) base.pop_back();
  ORCH_TRY(const auto text,
           fetch(config_.discovery_url.empty() ? base + "/.well-known/openid-configuration"
                                               : config_.discovery_url));
  ORCH_TRY(const JsonValue document, JsonValue::parse(text));
  if (document.get("issuer").text() != config_.url) {
    return Err(
        fmt::format("its discovery document names the issuer {}", document.get("issuer").text()));
  }
  const std::string url = document.get("jwks_uri").text();
  if (!url.starts_with("https://")) return Err(std::string("its jwks_uri is not https"));
  ORCH_TRY(const auto keys, fetch(url));
  return read_key_set(keys);
}

std::shared_ptr<const net::JoseKey> JwtIssuer::known_key(const std::string& id) {
  std::lock_guard lock(mutex_);
  if (id.empty() && keys_.size() == 1) return keys_.begin()->second;
  auto it = keys_.find(id);
  return it == keys_.end() ? nullptr : it->second;
}

std::shared_ptr<const net::JoseKey> JwtIssuer::key(const std::string& id) {
  if (auto known = known_key(id)) return known;
  // One fetches; who has a known key does not wait for it.
  std::lock_guard fetching(fetch_mutex_);
  if (auto known = known_key(id)) return known;
  if (fetched_once_ && clock_.mono() - fetched_ < kRefetchPause) return nullptr;
  auto fetched = fetch_keys();
  fetched_once_ = true;
  fetched_ = clock_.mono();
  if (!fetched) {
    log::warn("auth", "keys of issuer {}: {}", config_.url, fetched.error());
    return nullptr;
  }
  {
    std::lock_guard lock(mutex_);
    keys_ = std::move(*fetched);
  }
  return known_key(id);
}

Result<std::optional<VerifiedToken>, std::string> JwtIssuer::verify(
    const std::string& token, const std::vector<std::string>& audiences) {
  auto jwt = parse_jwt(token);
  if (!jwt || jwt->claims.get("iss").text() != config_.url) return std::optional<VerifiedToken>();
  // These tokens are for the API server; who asks for others does not get them.
  if (!audiences.empty()) {
    const bool asked = std::any_of(audiences.begin(), audiences.end(), [&](const auto& audience) {
      return has(config_.audiences, audience);
    });
    if (!asked) return std::optional<VerifiedToken>();
  }
  if (!has(config_.algorithms, jwt->algorithm)) return Err(std::string("unknown algorithm"));
  const auto with = key(jwt->key_id);
  if (with == nullptr) return Err(std::string("unknown key"));
  if (!with->verify(jwt->algorithm, jwt->signed_part, jwt->signature)) {
    return Err(std::string("invalid signature"));
  }
  ORCH_TRY(auto verified, read_claims(config_, jwt->claims, clock_.now()));
  verified.audiences = audiences;
  return std::optional<VerifiedToken>(std::move(verified));
}

}  // namespace orch::server
