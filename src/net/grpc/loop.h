// One thread that waits for sockets, timers and tasks. Private to net/grpc.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::net {

class Loop {
 public:
  class Socket {
   public:
    virtual ~Socket() = default;
    virtual void ready(uint32_t events) = 0;  // EPOLLIN ...
    virtual void settle() {}                  // see settle_later()
  };
  static Result<std::shared_ptr<Loop>, std::string> start(const char* name);
  ~Loop();
  // Any thread. Tasks run in order; those posted after stop() never.
  void post(std::function<void()> task);
  bool here() const { return pthread_equal(pthread_self(), thread_) != 0; }  // on its thread
  // Runs what was posted, then ends and joins the thread, unless it is the caller.
  void stop();

  // -- The loop's thread only.
  bool add(int fd, uint32_t events, std::shared_ptr<Socket> socket);
  void change(int fd, uint32_t events);
  void remove(int fd);
  uint64_t after(Micros delay, std::function<void()> task);
  void cancel(uint64_t timer);
  // Calls settle() once before the loop waits again: what several tasks and events left to be
  // written goes out together.
  void settle_later(const std::shared_ptr<Socket>& socket) { unsettled_.push_back(socket); }

 private:
  Loop() = default;
  void run();
  void run_tasks();
  void run_timers();
  void settle();
  int timeout() const;

  int epoll_ = -1, wake_ = -1;
  pthread_t thread_{};
  std::atomic<bool> stopping_{false};
  std::unordered_map<int, std::shared_ptr<Socket>> sockets_;
  std::map<std::pair<MonoTime, uint64_t>, std::function<void()>> timers_;
  std::unordered_map<uint64_t, MonoTime> timer_times_;
  uint64_t last_timer_ = 0;
  std::vector<std::shared_ptr<Socket>> unsettled_;

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  bool started_ = false, joined_ = false, closed_ = false;
};

}  // namespace orch::net
