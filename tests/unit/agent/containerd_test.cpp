// Paths, configuration, archives and supervision of containerd.
#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "agent/containerd/config.h"
#include "agent/containerd/containerd.h"
#include "agent/containerd/pause_image.h"
#include "agent/containerd/process.h"
#include "agent/containerd/tar.h"
#include "orch/base/env.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace orch::agent;

namespace {

struct World {
  std::unique_ptr<ThreadPoolExecutor> executor = ThreadPoolExecutor::create(1);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  std::string data_dir = [] {
    char name[] = "/tmp/orch-containerd-XXXXXX";
    return std::string(::mkdtemp(name));
  }();
  ~World() {
    for (const auto& error : kill_containerd(data_dir)) WARN(error);
    std::error_code ec;
    std::filesystem::remove_all(data_dir, ec);
  }
  pid_t pid() const {
    auto text = read_file(containerd_paths(data_dir).pid_file);
    return text ? static_cast<pid_t>(parse_int(trim(*text)).value_or(0)) : 0;
  }
};

bool can_run() { return ::geteuid() == 0 && find_program("containerd").has_value(); }

}  // namespace

TEST_CASE("sockets have short paths whatever the data directory") {
  auto paths = containerd_paths("/tmp/" + std::string(150, 'x'));
  CHECK(paths.socket.size() < 60);
  CHECK(paths.socket != containerd_paths("/tmp/other").socket);
  CHECK(containerd_paths("/tmp/a/../b").socket == containerd_paths("/tmp/b").socket);
}

TEST_CASE("the configuration names everything, quoted") {
  auto paths = containerd_paths("/tmp/with \"quote\"");
  auto text = containerd_config(paths, {.snapshotter = "native"});
  CHECK(text.find("root = \"/tmp/with \\\"quote\\\"/agent/containerd/root\"") != text.npos);
  CHECK(text.find("snapshotter = \"native\"") != text.npos);
  CHECK(text.find("sandbox_image = \"orch.local/pause:1\"") != text.npos);
  CHECK(text.find("restrict_oom_score_adj = false") != text.npos);
}

TEST_CASE("tar archives are such that tar reads") {
  TarWriter tar;
  tar.add_file("a", "hello", 0755);
  tar.add_file("dir/b", std::string(600, 'x'));
  std::string bytes = tar.finish();
  CHECK(bytes.size() % 512 == 0);
  char name[] = "/tmp/orch-tar-XXXXXX";
  int fd = ::mkstemp(name);
  ::close(fd);
  REQUIRE(write_file_atomic(name, bytes));
  auto listed = run_program({"/bin/tar", "-tvf", name}, Millis{10'000});
  ::unlink(name);
  REQUIRE(listed);
  CHECK(listed->find("-rwxr-xr-x") == 0);
  CHECK(listed->find("dir/b") != std::string::npos);
}

TEST_CASE("the pause program is a small static executable that ends on SIGTERM") {
  auto program = pause_program();
  REQUIRE(program.substr(0, 4) ==
          "\x7f"
          "ELF");
  CHECK(program.size() < 16 * 1024);
  char name[] = "/tmp/orch-pause-XXXXXX";
  int fd = ::mkstemp(name);
  ::close(fd);
  REQUIRE(write_file_atomic(name, program, 0700));
  auto pid = spawn({.argv = {name}});
  REQUIRE(pid);
  int pidfd = open_process(*pid);
  CHECK_FALSE(wait_process(pidfd, *pid, Millis{100}));
  ::kill(*pid, SIGTERM);
  CHECK(wait_process(pidfd, *pid, Millis{2000}));
  ::close(pidfd);
  ::unlink(name);
}

TEST_CASE("a missing binary is told clearly") {
  World w;
  auto started = Containerd::start(w.env, {.data_dir = w.data_dir, .binary = "no-such-binary"});
  REQUIRE_FALSE(started);
  CHECK(started.error() ==
        "no-such-binary not found in PATH; install it or give --container-runtime-endpoint");
}

TEST_CASE("containerd is started, restarted when it dies, adopted, stopped", "[real]") {
  if (!can_run()) {
    WARN("skipped: needs root and containerd");
    return;
  }
  World w;
  // An orch that is killed leaves its containerd behind.
  if (pid_t child = ::fork(); child == 0) {
    auto executor = ThreadPoolExecutor::create(1);
    Env env{system_clock(), *executor, system_random(), no_faults()};
    auto started = Containerd::start(env, {.data_dir = w.data_dir});
    ::_exit(started && (*started)->wait_ready(Millis{20'000}) ? 0 : 1);
  } else {
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(status == 0);
  }
  const pid_t pid = w.pid();
  REQUIRE(pid > 0);

  auto next = Containerd::start(w.env, {.data_dir = w.data_dir});
  REQUIRE(next);
  CHECK((*next)->wait_ready(Millis{10'000}));
  CHECK(w.pid() == pid);
  ::kill(pid, SIGKILL);
  bool restarted = false;
  for (int i = 0; i < 100 && !restarted; ++i) {
    std::this_thread::sleep_for(Millis{50});
    restarted = w.pid() != pid && w.pid() > 0;
  }
  CHECK(restarted);
  CHECK((*next)->wait_ready(Millis{10'000}));
  const pid_t last = w.pid();
  (*next)->stop();
  int pidfd = open_process(last);
  CHECK(pidfd < 0);
  CHECK_FALSE(file_exists(containerd_paths(w.data_dir).pid_file));
}

TEST_CASE("a process is told apart from a later one of its pid") {
  CHECK(process_identity(::getpid()).find(std::to_string(::getpid()) + " ") == 0);
  CHECK(process_identity(::getpid()) == process_identity(::getpid()));
  CHECK(process_identity(-1).empty());
}

TEST_CASE("programs inherit no descriptor of ours") {
  // Not even one that somebody forgot to mark.
  const int open = ::dup2(0, 77);
  REQUIRE(open == 77);
  const auto listed = run_program({"/bin/sh", "-c", "ls /proc/$$/fd"}, Millis{20'000});
  ::close(77);
  REQUIRE(listed);
  CHECK(*listed == "0\n1\n2\n");
}

TEST_CASE("run_program tells how it failed") {
  auto failed = run_program({"/bin/sh", "-c", "echo why >&2; exit 7"}, Millis{5000});
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == "/bin/sh failed (exit code 7): why");
  auto slow = run_program({"/bin/sleep", "10"}, Millis{50});
  REQUIRE_FALSE(slow);
  CHECK(slow.error() == "/bin/sleep timed out");
}
