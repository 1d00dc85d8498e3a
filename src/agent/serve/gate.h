// Who may use the agent's HTTPS API: the kubelet's webhook modes. A caller is known by a client
// certificate of the cluster's client CA or by a bearer token that the API server's TokenReview
// vouches for; what it may is asked of the API server as a SubjectAccessReview on the node's
// subresources. Answers are kept for a while. Members of system:masters (the API server itself)
// are let in without asking, so that nothing waits while the API server starts. Any thread; blocks
// while asking.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/authenticationv1.h"
#include "orch/base/clock.h"
#include "orch/client/client.h"
#include "orch/net/http.h"

namespace orch::agent {

// The verb a request stands for: its method's, but "create" for whatever runs something in a
// container, since a WebSocket begins with a GET. "" = a method without one.
std::string node_verb(std::string_view method, std::string_view path);
// The subresources of nodes of which one has to be granted; the last is the coarsest.
std::vector<std::string> node_subresources(std::string_view path);

// Answers by key until they are too old. Bounded: beyond some thousands all are forgotten.
template <class T>
class KeptAnswers {
 public:
  std::optional<T> get(const std::string& key, MonoTime now) const {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end() || it->second.until <= now) return std::nullopt;
    return it->second.answer;
  }
  void put(const std::string& key, T answer, MonoTime until) {
    std::lock_guard lock(mutex_);
    if (entries_.size() >= kAnswersMax) entries_.clear();
    entries_.insert_or_assign(key, Entry{std::move(answer), until});
  }

 private:
  static constexpr size_t kAnswersMax = 4096;
  struct Entry {
    T answer;
    MonoTime until;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

class Gate {
 public:
  Gate(const Clock& clock, const client::Client& client, std::string node_name)
      : clock_(clock), client_(client), node_name_(std::move(node_name)) {}
  struct Refusal {
    int status = 0;
    std::string text;
  };
  // nullopt = come in.
  std::optional<Refusal> refuses(const net::HttpRequest& request);

 private:
  using User = api::authenticationv1::UserInfo;
  std::optional<User> authenticate(const net::HttpRequest& request);
  std::optional<User> token_user(const std::string& token);
  // Error: the API server did not say.
  api::ApiResult<bool> allowed(const User& user, const std::string& verb,
                               const std::string& subresource);

  const Clock& clock_;
  const client::Client& client_;
  const std::string node_name_;
  KeptAnswers<std::optional<User>> users_;  // by token's digest; null = nobody's
  KeptAnswers<bool> decisions_;
};

}  // namespace orch::agent
