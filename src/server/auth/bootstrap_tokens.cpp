#include "server/auth/bootstrap_tokens.h"

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::server {
namespace {

constexpr size_t kIdSize = 6, kSecretSize = 16;
constexpr std::string_view kGroupPrefix = "system:bootstrappers:";
constexpr size_t kGroupSuffixMax = 256;

bool is_word_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string value_of(const api::corev1::Secret& secret, const char* key) {
  auto it = secret.data.find(key);
  return it == secret.data.end() ? std::string() : it->second;
}

bool is_extra_group(std::string_view group) {
  if (!group.starts_with(kGroupPrefix)) return false;
  const std::string_view suffix = group.substr(kGroupPrefix.size());
  return !suffix.empty() && suffix.size() <= kGroupSuffixMax && is_word_char(suffix.back()) &&
         std::all_of(suffix.begin(), suffix.end(),
                     [](char c) { return is_word_char(c) || c == ':' || c == '-'; });
}

}  // namespace

std::string bootstrap_token_id(std::string_view token) {
  if (token.size() != kIdSize + 1 + kSecretSize || token[kIdSize] != '.') return "";
  for (size_t i = 0; i < token.size(); ++i) {
    if (i != kIdSize && !is_word_char(token[i])) return "";
  }
  return std::string(token.substr(0, kIdSize));
}

Result<std::vector<std::string>, std::string> bootstrap_extra_groups(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& group : split(text, ',')) {
    if (!is_extra_group(group)) return Err("auth-extra-groups: \"" + group + "\" is not allowed");
    if (std::find(out.begin(), out.end(), group) == out.end()) out.push_back(group);
  }
  return out;
}

Result<std::optional<VerifiedToken>, std::string> BootstrapTokens::verify(
    const std::string& token, const std::vector<std::string>&) {
  const std::string id = bootstrap_token_id(token);
  if (id.empty()) return std::optional<VerifiedToken>();
  const auto secret = lookups_.get<api::corev1::Secret>("kube-system", "bootstrap-token-" + id);
  if (!secret) return Err("bootstrap token: " + secret.error().message);
  if (secret->metadata.deletionTimestamp) return Err(std::string("bootstrap token is deleted"));
  if (secret->type_ != "bootstrap.kubernetes.io/token" || value_of(*secret, "token-id") != id) {
    return Err(std::string("bootstrap token: the secret is not one of its kind"));
  }
  if (!net::constant_time_equal(value_of(*secret, "token-secret"), token.substr(kIdSize + 1))) {
    return Err(std::string("bootstrap token: wrong secret"));
  }
  const std::string expiration = value_of(*secret, "expiration");
  if (!expiration.empty()) {
    const auto end = api::Time::parse(expiration);
    // What cannot be read counts as over.
    if (!end || end->wall() <= clock_.now()) return Err(std::string("bootstrap token expired"));
  }
  if (value_of(*secret, "usage-bootstrap-authentication") != "true") {
    return Err(std::string("bootstrap token: not for authentication"));
  }
  ORCH_TRY(auto groups, bootstrap_extra_groups(value_of(*secret, "auth-extra-groups")));
  VerifiedToken verified;
  verified.user.name = "system:bootstrap:" + id;
  verified.user.groups = std::move(groups);
  verified.user.groups.emplace_back("system:bootstrappers");
  return std::optional<VerifiedToken>(std::move(verified));
}

}  // namespace orch::server
