#include "server/auth/webhook.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/authenticationv1.h"
#include "orch/api/authorizationv1.h"
#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::server {
namespace {

using api::JsonValue;
namespace authn = api::authenticationv1;
namespace authz = api::authorizationv1;

constexpr size_t kAnswersMax = 8192;

JsonValue named(const JsonValue& list, const std::string& name, const char* what) {
  for (const auto& item : list.items()) {
    if (item.get("name").text() == name) return item.get(what);
  }
  return {};
}

// A PEM text given as a file's name or as base64.
Result<std::string, std::string> pem_of(const JsonValue& at, const std::string& key,
                                        const std::string& folder) {
  if (const std::string data = at.get(key + "-data").text(); !data.empty()) {
    const auto decoded = base64_decode(data);
    if (!decoded) return Err(key + "-data: not base64");
    return *decoded;
  }
  const std::string file = at.get(key).text();
  if (file.empty()) return std::string();
  ORCH_TRY(auto text, read_file(file.starts_with('/') ? file : folder + file));
  return text;
}

struct Target {
  net::HttpClientOptions options;
  std::string path, token;
};

Result<Target, std::string> read_target(const std::string& path) {
  ORCH_TRY(const auto text, read_file(path));
  auto json = api::yaml_to_json(text);
  if (!json) return Err(json.error().message);
  ORCH_TRY(const JsonValue document, JsonValue::parse(*json));
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const JsonValue context =
      named(document.get("contexts"), document.get("current-context").text(), "context");
  const JsonValue cluster =
      named(document.get("clusters"), context.get("cluster").text(), "cluster");
  const JsonValue user = named(document.get("users"), context.get("user").text(), "user");
  const std::string server = cluster.get("server").text();
  if (!server.starts_with("https://")) {
    return Err(std::string("the current context's cluster has no server of the form https://"));
  }
  net::TlsClientContext::Options tls;
  ORCH_TRY(tls.ca_pem, pem_of(cluster, "certificate-authority", folder));
  ORCH_TRY(tls.key_pair.certificate_pem, pem_of(user, "client-certificate", folder));
  ORCH_TRY(tls.key_pair.private_key_pem, pem_of(user, "client-key", folder));
  Target target;
  ORCH_TRY(target.options.tls, net::TlsClientContext::create(tls));
  const size_t slash = server.find('/', std::string_view("https://").size());
  target.options.base_url = server.substr(0, slash);
  target.path = slash == std::string::npos ? "/" : server.substr(slash);
  target.token = user.get("token").text();
  return target;
}

// Everything a decision hangs on, without ambiguity.
std::string key_of(const std::string& body) { return net::sha256(body); }

authz::SubjectAccessReview review_of(const Attributes& a) {
  authz::SubjectAccessReview review;
  auto& spec = review.spec;
  spec.user = a.user->name;
  spec.uid = a.user->uid;
  spec.groups = a.user->groups;
  spec.extra = a.user->extra;
  if (a.resource_request) {
    auto& r = spec.resourceAttributes.ensure();
    r.verb = a.verb;
    r.group = a.group;
    r.version = a.version;
    r.resource = a.resource;
    r.subresource = a.subresource;
    r.namespace_ = a.namespace_;
    r.name = a.name;
  } else {
    auto& r = spec.nonResourceAttributes.ensure();
    r.verb = a.verb;
    r.path = a.path;
  }
  return review;
}

}  // namespace

Result<WebhookCall, std::string> make_webhook(const std::string& kubeconfig, Millis timeout) {
  auto target = read_target(kubeconfig);
  if (!target) return Err(kubeconfig + ": " + target.error());
  target->options.request_timeout = timeout;
  std::shared_ptr<net::HttpClient> client = net::HttpClient::create(target->options);
  net::Headers headers{{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  if (!target->token.empty()) headers.emplace("Authorization", "Bearer " + target->token);
  return WebhookCall([client, headers, path = target->path](
                         const std::string& body) -> Result<std::string, std::string> {
    ORCH_TRY(auto answer, client->request("POST", path, headers, body));
    if (answer.status / 100 != 2) return Err(fmt::format("HTTP {}", answer.status));
    return std::move(answer.body);
  });
}

std::optional<std::string> AnswerCache::get(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  if (it->second.until > clock_.mono()) return it->second.answer;
  entries_.erase(it);
  return std::nullopt;
}

void AnswerCache::put(const std::string& key, std::string answer, Micros lifetime) {
  if (lifetime <= Micros{0}) return;
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono();
  if (entries_.size() >= kAnswersMax) {
    std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
  }
  if (entries_.size() >= kAnswersMax) entries_.clear();
  entries_[key] = {std::move(answer), now + lifetime};
}

Result<std::optional<VerifiedToken>, std::string> WebhookTokens::verify(
    const std::string& token, const std::vector<std::string>& audiences) {
  authn::TokenReview review;
  review.spec.token = token;
  review.spec.audiences = audiences;
  const std::string body = api::to_json(review);
  const std::string key = key_of(body);
  auto answer = cache_.get(key);
  const bool fresh = !answer;
  if (fresh) {
    auto asked = call_(body);
    if (!asked) return Err("token webhook: " + asked.error());
    answer = std::move(*asked);
  }
  auto told = api::from_json<authn::TokenReview>(*answer);
  if (!told) return Err("token webhook: " + told.error().message);
  if (fresh) cache_.put(key, *answer, lifetime_);
  if (!told->status.authenticated) {
    if (told->status.error.empty()) return std::optional<VerifiedToken>();
    return Err("token webhook: " + told->status.error);
  }
  VerifiedToken verified;
  verified.user.name = told->status.user.username;
  verified.user.uid = told->status.user.uid;
  verified.user.groups = told->status.user.groups;
  verified.user.extra = told->status.user.extra;
  verified.audiences = told->status.audiences;
  if (!audiences.empty()) {
    // One that knows nothing of audiences vouches for none.
    const bool fits = std::any_of(audiences.begin(), audiences.end(), [&](const auto& audience) {
      return std::find(verified.audiences.begin(), verified.audiences.end(), audience) !=
             verified.audiences.end();
    });
    if (!fits) return Err(std::string("token webhook: another audience"));
  }
  return std::optional<VerifiedToken>(std::move(verified));
}

Authorization WebhookAuthorizer::authorize(const Attributes& attributes) {
  const std::string body = api::to_json(review_of(attributes));
  const std::string key = key_of(body);
  auto answer = cache_.get(key);
  const bool fresh = !answer;
  const auto failed = [&](const std::string& why) {
    log::warn("auth", "authorization webhook: {}", why);
    return Authorization{options_.deny_on_failure ? Decision::kDeny : Decision::kNoOpinion, "",
                         why};
  };
  if (fresh) {
    auto asked = call_(body);
    if (!asked) return failed(asked.error());
    answer = std::move(*asked);
  }
  auto told = api::from_json<authz::SubjectAccessReview>(*answer);
  if (!told) return failed(told.error().message);
  const auto& status = told->status;
  if (status.allowed && status.denied) {
    return failed("webhook subject access review returned both allow and deny response");
  }
  if (fresh) {
    cache_.put(key, *answer,
               status.allowed ? options_.authorized_lifetime : options_.unauthorized_lifetime);
  }
  const Decision decision = status.allowed  ? Decision::kAllow
                            : status.denied ? Decision::kDeny
                                            : Decision::kNoOpinion;
  return {decision, status.reason, status.evaluationError};
}

}  // namespace orch::server
