#include "server/auth/access_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "orch/api/codec.h"
#include "orch/api/error.h"

namespace orch::server {
namespace {

using api::go_quoted;
using api::JsonValue;
using Outcome = Result<Unit, std::string>;

constexpr const char* kNoExpressions =
    "Forbidden: CEL expressions are not evaluated here; use claims and prefixes";

Result<JsonValue, std::string> document_of(std::string_view yaml, const char* kind) {
  auto json = api::yaml_to_json(yaml);
  if (!json) return Err(json.error().message);
  ORCH_TRY(JsonValue document, JsonValue::parse(*json));
  static const std::set<std::string> versions = {"apiserver.config.k8s.io/v1alpha1",
                                                 "apiserver.config.k8s.io/v1beta1",
                                                 "apiserver.config.k8s.io/v1"};
  if (!document.is_object() || document.get("kind").text() != kind ||
      versions.count(document.get("apiVersion").text()) == 0) {
    return Err(fmt::format("not a{} {} of apiserver.config.k8s.io/v1beta1",
                           kind[0] == 'A' ? "n" : "", kind));
  }
  return document;
}

// Unknown fields are errors: what is misspelt would be missing.
Outcome check_fields(const JsonValue& object, const std::string& at,
                     const std::set<std::string>& known) {
  if (!object.is_null() && !object.is_object()) return Err(at + ": must be an object");
  for (const auto& [key, value] : object.members()) {
    if (known.count(key) == 0) return Err(fmt::format("{}: unknown field {}", at, go_quoted(key)));
  }
  return Unit{};
}

Result<ClaimMapping, std::string> mapping_of(const JsonValue& object, const std::string& at,
                                             bool required) {
  ORCH_CHECK(check_fields(object, at, {"claim", "prefix", "expression"}));
  if (object.has("expression")) return Err(at + ".expression: " + kNoExpressions);
  ClaimMapping out{object.get("claim").text(), object.get("prefix").text()};
  if (out.claim.empty() && required) return Err(at + ".claim: Required value");
  // As upstream: that no prefix is meant must be said.
  if (!out.claim.empty() && !object.has("prefix") && !at.ends_with("uid")) {
    return Err(at +
               ".prefix: Required value: prefix is required when claim is set. It can be set "
               "to an empty string to disable prefixing");
  }
  return out;
}

Result<JwtIssuerConfig, std::string> issuer_of(const JsonValue& object, const std::string& at) {
  ORCH_CHECK(check_fields(
      object, at, {"issuer", "claimValidationRules", "claimMappings", "userValidationRules"}));
  JwtIssuerConfig out;
  const JsonValue issuer = object.get("issuer");
  ORCH_CHECK(check_fields(
      issuer, at + ".issuer",
      {"url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy"}));
  out.url = issuer.get("url").text();
  if (out.url.empty()) return Err(at + ".issuer.url: Required value: URL is required");
  if (!out.url.starts_with("https://")) {
    return Err(fmt::format("{}.issuer.url: Invalid value: {}: URL scheme must be https", at,
                           go_quoted(out.url)));
  }
  out.discovery_url = issuer.get("discoveryURL").text();
  if (!out.discovery_url.empty() && !out.discovery_url.starts_with("https://")) {
    return Err(at + ".issuer.discoveryURL: Invalid value: URL scheme must be https");
  }
  out.ca_pem = issuer.get("certificateAuthority").text();
  for (const auto& item : issuer.get("audiences").items()) out.audiences.push_back(item.text());
  if (out.audiences.empty()) {
    return Err(at + ".issuer.audiences: Required value: at least one audience is required");
  }
  const std::string policy = issuer.get("audienceMatchPolicy").text();
  if (out.audiences.size() > 1 ? policy != "MatchAny" : !policy.empty() && policy != "MatchAny") {
    return Err(at +
               ".issuer.audienceMatchPolicy: Invalid value: must be MatchAny for multiple "
               "audiences");
  }
  const auto rules = object.get("claimValidationRules").items();
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string field = fmt::format("{}.claimValidationRules[{}]", at, i);
    ORCH_CHECK(check_fields(rules[i], field, {"claim", "requiredValue", "expression", "message"}));
    if (rules[i].has("expression")) return Err(field + ".expression: " + kNoExpressions);
    const std::string claim = rules[i].get("claim").text();
    if (claim.empty()) return Err(field + ": Required value: claim or expression is required");
    out.required_claims[claim] = rules[i].get("requiredValue").text();
  }
  if (!object.get("userValidationRules").items().empty()) {
    return Err(at + ".userValidationRules[0].expression: " + kNoExpressions);
  }
  const JsonValue mappings = object.get("claimMappings");
  ORCH_CHECK(check_fields(mappings, at + ".claimMappings", {"username", "groups", "uid", "extra"}));
  ORCH_TRY(out.username,
           mapping_of(mappings.get("username"), at + ".claimMappings.username", true));
  ORCH_TRY(out.groups, mapping_of(mappings.get("groups"), at + ".claimMappings.groups", false));
  ORCH_TRY(out.uid, mapping_of(mappings.get("uid"), at + ".claimMappings.uid", false));
  if (!mappings.get("extra").items().empty()) {
    return Err(at + ".claimMappings.extra[0].valueExpression: " + kNoExpressions);
  }
  return out;
}

Result<Micros, std::string> duration_of(const JsonValue& object, const std::string& at,
                                        const char* key, Micros fallback) {
  if (!object.has(key)) return fallback;
  const auto parsed = api::Duration::parse(object.get(key).text());
  if (!parsed) return Err(fmt::format("{}.{}: {}", at, key, parsed.error()));
  return Micros{parsed->nanos / 1000};
}

Outcome read_webhook(const JsonValue& webhook, const std::string& at, AuthorizerEntry& out) {
  ORCH_CHECK(check_fields(webhook, at,
                          {"authorizedTTL", "unauthorizedTTL", "timeout",
                           "subjectAccessReviewVersion", "matchConditionSubjectAccessReviewVersion",
                           "failurePolicy", "connectionInfo", "matchConditions"}));
  ORCH_TRY(out.timeout, duration_of(webhook, at, "timeout", out.timeout));
  ORCH_TRY(out.authorized_ttl, duration_of(webhook, at, "authorizedTTL", out.authorized_ttl));
  ORCH_TRY(out.unauthorized_ttl, duration_of(webhook, at, "unauthorizedTTL", out.unauthorized_ttl));
  if (out.timeout <= Micros{0} || out.timeout > Micros{Seconds{30}}) {
    return Err(at + ".timeout: Invalid value: must be > 0s and <= 30s");
  }
  const std::string version = webhook.get("subjectAccessReviewVersion").text();
  if (version.empty()) return Err(at + ".subjectAccessReviewVersion: Required value");
  if (version != "v1") {
    return Err(
        fmt::format("{}.subjectAccessReviewVersion: Unsupported value: {}: supported "
                    "values: \"v1\"",
                    at, go_quoted(version)));
  }
  const std::string policy = webhook.get("failurePolicy").text();
  if (policy != "NoOpinion" && policy != "Deny") {
    return Err(
        fmt::format("{}.failurePolicy: Unsupported value: {}: supported values: \"Deny\", "
                    "\"NoOpinion\"",
                    at, go_quoted(policy)));
  }
  out.deny_on_failure = policy == "Deny";
  if (!webhook.get("matchConditions").items().empty()) {
    return Err(at +
               ".matchConditions[0].expression: Forbidden: CEL expressions are not evaluated "
               "here");
  }
  const JsonValue connection = webhook.get("connectionInfo");
  if (connection.get("type").text() != "KubeConfigFile") {
    return Err(at + ".connectionInfo.type: Unsupported value: " +
               go_quoted(connection.get("type").text()) + ": supported values: \"KubeConfigFile\"");
  }
  out.kubeconfig = connection.get("kubeConfigFile").text();
  if (out.kubeconfig.empty()) return Err(at + ".connectionInfo.kubeConfigFile: Required value");
  return Unit{};
}

}  // namespace

Result<AuthenticationFile, std::string> parse_authentication_file(std::string_view yaml) {
  ORCH_TRY(const JsonValue document, document_of(yaml, "AuthenticationConfiguration"));
  ORCH_CHECK(check_fields(document, "", {"apiVersion", "kind", "jwt", "anonymous"}));
  AuthenticationFile out;
  std::set<std::string> urls;
  const auto issuers = document.get("jwt").items();
  for (size_t i = 0; i < issuers.size(); ++i) {
    const std::string at = fmt::format("jwt[{}]", i);
    ORCH_TRY(auto issuer, issuer_of(issuers[i], at));
    if (!urls.insert(issuer.url).second) {
      return Err(at + ".issuer.url: Duplicate value: " + go_quoted(issuer.url));
    }
    out.issuers.push_back(std::move(issuer));
  }
  const JsonValue anonymous = document.get("anonymous");
  if (anonymous.is_null()) return out;
  ORCH_CHECK(check_fields(anonymous, "anonymous", {"enabled", "conditions"}));
  out.anonymous = anonymous.get("enabled").boolean();
  for (const auto& condition : anonymous.get("conditions").items()) {
    out.anonymous_paths.push_back(condition.get("path").text());
  }
  if (!*out.anonymous && !out.anonymous_paths.empty()) {
    return Err(
        std::string("anonymous.conditions: Invalid value: enabled should be set to true "
                    "when conditions are defined"));
  }
  return out;
}

Result<std::vector<AuthorizerEntry>, std::string> parse_authorization_file(std::string_view yaml) {
  ORCH_TRY(const JsonValue document, document_of(yaml, "AuthorizationConfiguration"));
  ORCH_CHECK(check_fields(document, "", {"apiVersion", "kind", "authorizers"}));
  std::vector<AuthorizerEntry> out;
  std::set<std::string> types, names;
  const auto entries = document.get("authorizers").items();
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string at = fmt::format("authorizers[{}]", i);
    ORCH_CHECK(check_fields(entries[i], at, {"type", "name", "webhook"}));
    AuthorizerEntry entry;
    entry.type = entries[i].get("type").text();
    entry.name = entries[i].get("name").text();
    static const std::set<std::string> known = {"AlwaysAllow", "AlwaysDeny", "Node", "RBAC",
                                                "Webhook"};
    if (entry.type.empty()) return Err(at + ".type: Required value");
    if (known.count(entry.type) == 0) {
      return Err(
          fmt::format("{}.type: Unsupported value: {}: supported values: \"AlwaysAllow\", "
                      "\"AlwaysDeny\", \"Node\", \"RBAC\", \"Webhook\"",
                      at, go_quoted(entry.type)));
    }
    if (entry.name.empty()) return Err(at + ".name: Required value");
    if (!names.insert(entry.name).second) {
      return Err(at + ".name: Duplicate value: " + go_quoted(entry.name));
    }
    if (entry.type == "Webhook") {
      ORCH_CHECK(read_webhook(entries[i].get("webhook"), at + ".webhook", entry));
    } else if (entries[i].has("webhook")) {
      return Err(at + ".webhook: Invalid value: may only be specified when type=Webhook");
    } else if (!types.insert(entry.type).second) {
      return Err(at + ".type: Duplicate value: " + go_quoted(entry.type));
    }
    out.push_back(std::move(entry));
  }
  if (out.empty()) {
    return Err(
        std::string("authorizers: Required value: at least one authorization mode must be "
                    "defined"));
  }
  return out;
}

}  // namespace orch::server
