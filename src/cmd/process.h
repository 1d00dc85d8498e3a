// What every long-running verb does alike: its threads' world, its signals, telling systemd.
#pragma once

#include <memory>
#include <string_view>

#include "orch/base/env.h"

namespace orch::cmd {

// Owns the production Env: system clock and random, a thread pool. Blocks SIGTERM, SIGINT and
// SIGHUP in all threads made after it and ignores SIGPIPE.
class Process {
 public:
  Process();
  ~Process();
  Env& env() { return env_; }
  // sd_notify(3), where NOTIFY_SOCKET is set.
  void notify(std::string_view state);
  // Blocks until SIGTERM or SIGINT.
  void wait_for_stop();

 private:
  std::unique_ptr<ThreadPoolExecutor> executor_;
  Env env_;
};

}  // namespace orch::cmd
