#include "cmd/process.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "orch/base/log.h"

namespace orch::cmd {
namespace {

// Reconcilers block in store commits, so a few more threads than cores.
constexpr unsigned kExecutorThreads = 4;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

std::unique_ptr<ThreadPoolExecutor> make_executor() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return ThreadPoolExecutor::create(kExecutorThreads);
}

// The usual 1,024 are meant for programs that select(); each watch is a connection.
void raise_file_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Process::Process()
    : executor_(make_executor()), env_{system_clock(), *executor_, system_random(), no_faults()} {
  raise_file_limit();
}

Process::~Process() { executor_->stop(); }

void Process::notify(std::string_view state) {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || strlen(path) >= sizeof address.sun_path) return;
  strcpy(address.sun_path, path);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + strlen(path));
  sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
  close(fd);
}

void Process::wait_for_stop() {
  const sigset_t set = stop_signals();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) == 0 && signal != SIGHUP) {
      log::info("orch", "{}: stopping", strsignal(signal));
      return;
    }
  }
}

}  // namespace orch::cmd
