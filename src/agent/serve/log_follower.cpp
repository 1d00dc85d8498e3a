#include "agent/serve/log_follower.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "orch/base/clock.h"

namespace orch::agent {
namespace {

constexpr int kFollowersMax = 256;
constexpr Millis kPoll{50};
constexpr size_t kBlock = 32 * 1024;
constexpr size_t kBufferedMax = 1024 * 1024;  // a slow reader is waited for, not cut off

}  // namespace

struct LogFollowers::Job {
  std::string path;
  int64_t offset = 0;
  LogFormatter formatter;
  std::function<bool()> running;
  std::shared_ptr<net::Stream> stream;
  std::shared_ptr<std::atomic<bool>> closed = std::make_shared<std::atomic<bool>>(false);
};

bool LogFollowers::follow(std::string path, int64_t offset, LogOptions options,
                          std::function<bool()> running, std::shared_ptr<net::Stream> stream) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || active_ >= kFollowersMax) return false;
    ++active_;
  }
  auto job = std::make_shared<Job>(
      Job{std::move(path), offset, LogFormatter(options), std::move(running), std::move(stream)});
  job->stream->on_close([closed = job->closed] { *closed = true; });
  // Detached, but counted: stop() waits until the last has left.
  std::thread([this, job] {
    run(job);
    job->stream->finish();
    std::lock_guard lock(mutex_);
    --active_;
    idle_.notify_all();
  }).detach();
  return true;
}

// Reads what is there now. False = the stream is over.
bool LogFollowers::pump_file(Job& job, int fd) {
  char buffer[kBlock];
  for (;;) {
    if (stopping_ || *job.closed) return false;
    if (job.stream->buffered_bytes() > kBufferedMax) {
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    const ssize_t n = pread(fd, buffer, sizeof buffer, job.offset);
    if (n <= 0) return true;
    job.offset += n;
    std::string out;
    const bool more = job.formatter.feed({buffer, static_cast<size_t>(n)}, out);
    if (!out.empty() && !job.stream->write(std::move(out))) return false;
    if (!more) return false;
  }
}

void LogFollowers::run(const std::shared_ptr<Job>& job) {
  int fd = open(job->path.c_str(), O_RDONLY | O_CLOEXEC);
  while (fd >= 0) {
    // Asked before reading: what was written until then is still shown.
    const bool running = job->running();
    if (!pump_file(*job, fd) || !running) break;
    struct stat now {
    }, opened{};
    if (stat(job->path.c_str(), &now) == 0 && fstat(fd, &opened) == 0 &&
        now.st_ino != opened.st_ino) {  // rotated: go on with the new file
      if (!pump_file(*job, fd)) break;
      close(fd);
      fd = open(job->path.c_str(), O_RDONLY | O_CLOEXEC);
      job->offset = 0;
      continue;
    }
    std::this_thread::sleep_for(kPoll);
  }
  if (fd >= 0) close(fd);
}

void LogFollowers::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  idle_.wait(lock, [this] { return active_ == 0; });
}

}  // namespace orch::agent
