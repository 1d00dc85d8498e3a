// ApiServer's inner state, for the files of src/server/api.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "server/api/api_server.h"
#include "server/api/metrics_window.h"
#include "server/api/watch_session.h"

namespace orch::server {

// Threads that carry followed logs and proxied bodies. stop() cancels and waits.
class StreamGate {
 public:
  // Runs `work` on its own thread, unless stopping; `cancel` is called by stop().
  bool run(std::function<void()> work, std::function<void()> cancel);
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  bool stopping_ = false;
  uint64_t next_ = 0;
  std::map<uint64_t, std::function<void()>> running_;
};

struct HealthCheck {
  ApiServer::Probe probe;
  std::string name;
  std::function<std::string()> check;
};

struct PathEntry {
  std::string path;
  bool open = false;
  ApiServer::PathHandler handler;
};

struct ApiServer::Internals {
  explicit Internals(Executor& executor) : watches(executor) {}
  WatchSessions watches;
  FrameCache frames;
  StreamGate streams;
  std::atomic<bool> stopping{false};
  std::atomic<bool> started{false};
  std::mutex mutex;
  std::vector<HealthCheck> checks;
  std::vector<PathEntry> paths;
  std::shared_ptr<MetricsWindow> metrics;  // made by the first who asks
};

}  // namespace orch::server
