// Authentication and authorization by somebody else's HTTPS endpoint: TokenReview and
// SubjectAccessReview posted to the server of a kubeconfig file, answers kept for a while. Any
// thread; blocks while asking.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "orch/base/clock.h"
#include "orch/net/http.h"
#include "server/auth/token_source.h"

namespace orch::server {

// POSTs JSON, gives back JSON. Error: a sentence.
using WebhookCall = std::function<Result<std::string, std::string>(const std::string& body)>;
// To the current context's cluster of a kubeconfig file, with its user's credentials.
Result<WebhookCall, std::string> make_webhook(const std::string& kubeconfig, Millis timeout);

// Answers by key until they are too old; forgets the oldest beyond some thousands.
class AnswerCache {
 public:
  explicit AnswerCache(const Clock& clock) : clock_(clock) {}
  std::optional<std::string> get(const std::string& key);
  void put(const std::string& key, std::string answer, Micros lifetime);

 private:
  struct Entry {
    std::string answer;
    MonoTime until{};
  };
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

class WebhookTokens final : public TokenSource {
 public:
  WebhookTokens(const Clock& clock, WebhookCall call, Micros lifetime)
      : call_(std::move(call)), lifetime_(lifetime), cache_(clock) {}
  Result<std::optional<VerifiedToken>, std::string> verify(
      const std::string& token, const std::vector<std::string>& audiences) override;

 private:
  const WebhookCall call_;
  const Micros lifetime_;
  AnswerCache cache_;
};

class WebhookAuthorizer final : public Authorizer {
 public:
  struct Options {
    Micros authorized_lifetime{Seconds{300}}, unauthorized_lifetime{Seconds{30}};
    bool deny_on_failure = false;
  };
  WebhookAuthorizer(const Clock& clock, WebhookCall call, Options options)
      : call_(std::move(call)), options_(options), cache_(clock) {}
  Authorization authorize(const Attributes& attributes) override;
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override { return {}; }

 private:
  const WebhookCall call_;
  const Options options_;
  AnswerCache cache_;
};

}  // namespace orch::server
