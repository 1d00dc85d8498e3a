#include "net/grpc/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/http/channel.h"
#include "net/http/thread.h"

namespace orch::net {

namespace {

constexpr size_t kStackBytes = 512 * 1024;
constexpr int kEvents = 64;

}  // namespace

Result<std::shared_ptr<Loop>, std::string> Loop::start(const char* name) {
  std::shared_ptr<Loop> loop(new Loop);
  loop->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  loop->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{EPOLLIN, {.fd = loop->wake_}};
  if (loop->epoll_ < 0 || loop->wake_ < 0 ||
      epoll_ctl(loop->epoll_, EPOLL_CTL_ADD, loop->wake_, &event) != 0) {
    return Err("epoll: " + system_error_text(errno));
  }
  Loop* self = loop.get();
  if (!start_thread(
          name, kStackBytes, [self] { self->run(); }, loop->thread_)) {
    return Err(std::string("start thread: no resources"));
  }
  loop->started_ = true;
  return loop;
}

Loop::~Loop() {
  stop();
  for (int fd : {epoll_, wake_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Loop::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;
  }
  if (here()) return;
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void Loop::stop() {
  if (!started_) return;
  stopping_ = true;
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
  {
    std::lock_guard lock(mutex_);
    if (joined_) return;
    joined_ = true;
  }
  if (here()) {
    pthread_detach(thread_);
  } else {
    pthread_join(thread_, nullptr);
  }
}

bool Loop::add(int fd, uint32_t events, std::shared_ptr<Socket> socket) {
  epoll_event event{events, {.fd = fd}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
  sockets_[fd] = std::move(socket);
  return true;
}

void Loop::change(int fd, uint32_t events) {
  epoll_event event{events, {.fd = fd}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void Loop::remove(int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  sockets_.erase(fd);
}

uint64_t Loop::after(Micros delay, std::function<void()> task) {
  const MonoTime at = system_clock().mono() + delay;
  timers_.emplace(std::pair(at, ++last_timer_), std::move(task));
  timer_times_[last_timer_] = at;
  return last_timer_;
}

void Loop::cancel(uint64_t timer) {
  auto it = timer_times_.find(timer);
  if (it == timer_times_.end()) return;
  timers_.erase({it->second, timer});
  timer_times_.erase(it);
}

int Loop::timeout() const {
  if (timers_.empty()) return -1;
  const auto left =
      std::chrono::ceil<Millis>(timers_.begin()->first.first - system_clock().mono()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

void Loop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= system_clock().mono()) {
    auto task = std::move(timers_.begin()->second);
    timer_times_.erase(timers_.begin()->first.second);
    timers_.erase(timers_.begin());
    task();
  }
}

void Loop::run_tasks() {
  // Until none is left: a task posted on this thread wakes nobody.
  for (;;) {
    std::vector<std::function<void()>> tasks;
    {
      std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    if (tasks.empty()) return;
    for (auto& task : tasks) {
      task();
      task = nullptr;
    }
  }
}

void Loop::settle() {
  while (!unsettled_.empty()) {
    std::vector<std::shared_ptr<Socket>> sockets;
    sockets.swap(unsettled_);
    for (const auto& socket : sockets) socket->settle();
  }
}

void Loop::run() {
  epoll_event events[kEvents];
  for (;;) {
    run_tasks();
    run_timers();
    settle();
    {
      std::lock_guard lock(mutex_);
      if (!tasks_.empty()) continue;
      if (stopping_) {
        closed_ = true;
        break;
      }
    }
    const int count = epoll_wait(epoll_, events, kEvents, timeout());
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_) {
        uint64_t value;
        (void)!::read(wake_, &value, sizeof value);
        continue;
      }
      auto it = sockets_.find(fd);
      if (it == sockets_.end()) continue;
      const std::shared_ptr<Socket> held = it->second;
      held->ready(events[i].events);
    }
  }
  unsettled_.clear();
  timers_.clear();
  sockets_.clear();
}

}  // namespace orch::net
