// Threads that follow container logs into HTTP streams. Bounded in number; all end with stop().
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/serve/log_reader.h"
#include "orch/net/http.h"

namespace orch::agent {

class LogFollowers {
 public:
  ~LogFollowers() { stop(); }
  // Follows `path` from `offset` into `stream` until the peer goes, the limit is reached, or
  // `running` says no and the file is read to its end. False: too many followers already.
  bool follow(std::string path, int64_t offset, LogOptions options, std::function<bool()> running,
              std::shared_ptr<net::Stream> stream);
  void stop();

 private:
  struct Job;
  void run(const std::shared_ptr<Job>& job);
  bool pump_file(Job& job, int fd);
  std::mutex mutex_;
  std::condition_variable idle_;
  int active_ = 0;
  std::atomic<bool> stopping_{false};
};

}  // namespace orch::agent
