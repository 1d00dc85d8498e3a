// Runs a command in a container, or attaches to one, over v5.channel.k8s.io: standard streams and
// the terminal of this process at one end.
#pragma once

#include <string>

#include "ctl/api_client.h"

namespace orch::ctl {

struct RemoteStreams {
  bool stdin_ = false;  // send this process's standard input
  bool tty = false;     // put its terminal into raw mode and report its size
};
// Returns the command's exit code.
Outcome<int> run_remote(ApiClient& client, const std::string& target, const RemoteStreams& streams);
// What channel 3 says: the exit code, or why there is none.
Outcome<int> exit_code_of(std::string_view status_json);

}  // namespace orch::ctl
