// One way to know who a bearer token is of. Any thread; may block where tokens are verified by
// somebody else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orch/base/result.h"
#include "server/api/hooks.h"

namespace orch::server {

struct VerifiedToken {
  UserInfo user;                       // without system:authenticated
  std::vector<std::string> audiences;  // those of the token that were asked for
};

class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // nullopt: not a token of this kind. Error: why it is not good (for logs). Empty `audiences` =
  // the API server's own.
  virtual Result<std::optional<VerifiedToken>, std::string> verify(
      const std::string& token, const std::vector<std::string>& audiences) = 0;
};

}  // namespace orch::server
