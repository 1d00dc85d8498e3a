// One epoll set: descriptors with what to do when they are ready. One thread. Private to net/dns.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace orch::net::dns {

class Loop {
 public:
  using Ready = std::function<void(uint32_t events)>;
  Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Loop() { close(epoll_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool watch(int fd, uint32_t events, Ready ready) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
    handlers_[fd] = std::make_shared<Ready>(std::move(ready));
    return true;
  }
  void change(int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }
  // Also closes it.
  void drop(int fd) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    handlers_.erase(fd);
    close(fd);
    dropped_.push_back(fd);
  }
  void run_once(int timeout_ms) {
    epoll_event events[64];
    int count = epoll_wait(epoll_, events, 64, timeout_ms);
    dropped_.clear();
    for (int i = 0; i < count; ++i) {
      int fd = events[i].data.fd;
      // A number closed and given out again within this round is not the one that was ready.
      bool stale = false;
      for (int old : dropped_) stale |= old == fd;
      auto at = handlers_.find(fd);
      if (stale || at == handlers_.end()) continue;
      auto handler = at->second;  // it may drop itself
      (*handler)(events[i].events);
    }
  }

 private:
  int epoll_;
  std::unordered_map<int, std::shared_ptr<Ready>> handlers_;
  std::vector<int> dropped_;
};

}  // namespace orch::net::dns
