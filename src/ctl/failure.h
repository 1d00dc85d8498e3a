// How a verb fails: what goes to standard error, and the exit code.
#pragma once

#include <string>
#include <string_view>

#include "orch/api/error.h"
#include "orch/base/result.h"

namespace orch::ctl {

struct Failure {
  std::string message;  // as printed, without the last newline; "" = all was printed already
  int exit_code = 1;
  std::string reason;  // of the server's Status, "" for own errors
};

template <class T>
using Outcome = Result<T, Failure>;

// "error: TEXT".
Failure error(std::string_view text);
// The text kubectl prints for a Status: `Error from server (NotFound): pods "x" not found`.
// `doing`: `error when creating "f.yaml"`, put before the server's message.
Failure server_failure(const api::Error& error, std::string_view doing = "");
// The same for a request that got no answer. `server` = "host:port", `cause` = net's text.
Failure unreachable(std::string_view server, std::string_view cause);

}  // namespace orch::ctl
