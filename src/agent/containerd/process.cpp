#include "agent/containerd/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

void write_small_file(const char* path, const char* text) {
  int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] ssize_t n = ::write(fd, text, std::strlen(text));
  ::close(fd);
}

// In the child after fork: only async-signal-safe calls.
[[noreturn]] void exec_child(char* const* argv, char* const* env, int output, bool new_session,
                             const char* oom) {
  if (new_session) ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::signal(s, SIG_DFL);
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::syscall(SYS_close_range, 3u, ~0u, 0u);
  if (oom != nullptr) write_small_file("/proc/self/oom_score_adj", oom);
  ::execve(argv[0], argv, env);
  ::_exit(127);
}

constexpr const char* kSystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Our environment with the system's folders in PATH, whatever started us: containerd looks its
// shim and runc up there.
std::vector<std::string> child_environment() {
  std::vector<std::string> out;
  for (char** e = environ; *e != nullptr; ++e) {
    if (std::strncmp(*e, "PATH=", 5) != 0) out.emplace_back(*e);
  }
  const char* path = std::getenv("PATH");
  out.push_back(fmt::format("PATH={}{}{}", path != nullptr ? path : "",
                            path != nullptr && *path != 0 ? ":" : "", kSystemPath));
  return out;
}

std::vector<char*> c_strings(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const auto& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::optional<std::string> find_program(const std::string& name) {
  auto executable = [](const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    return executable(name) ? std::optional(name) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::string dirs = path != nullptr ? path : "";
  dirs += ":";
  dirs += kSystemPath;
  for (const auto& dir : split(dirs, ':')) {
    if (!dir.empty() && executable(dir + "/" + name)) return dir + "/" + name;
  }
  return std::nullopt;
}

Result<pid_t, std::string> spawn(const SpawnOptions& options) {
  const std::string& target = options.output_file.empty() ? "/dev/null" : options.output_file;
  int output = ::open(target.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (output < 0) return Err(fmt::format("{}: {}", target, std::strerror(errno)));
  auto argv = c_strings(options.argv);
  auto environment = child_environment();
  auto env = c_strings(environment);
  std::string oom = options.oom_score_adj ? std::to_string(*options.oom_score_adj) : "";
  pid_t pid = ::fork();
  if (pid == 0) {
    exec_child(argv.data(), env.data(), output, options.new_session,
               oom.empty() ? nullptr : oom.c_str());
  }
  int saved = errno;
  ::close(output);
  if (pid < 0) return Err(fmt::format("fork: {}", std::strerror(saved)));
  return pid;
}

Result<std::string, std::string> run_program(const std::vector<std::string>& argv, Millis timeout) {
  int pipes[2];
  if (::pipe2(pipes, O_CLOEXEC) != 0) return Err(fmt::format("pipe: {}", std::strerror(errno)));
  auto args = c_strings(argv);
  auto environment = child_environment();
  auto env = c_strings(environment);
  pid_t pid = ::fork();
  if (pid == 0) exec_child(args.data(), env.data(), pipes[1], false, nullptr);
  ::close(pipes[1]);
  if (pid < 0) {
    ::close(pipes[0]);
    return Err(fmt::format("fork: {}", std::strerror(errno)));
  }
  std::string output;
  bool timed_out = false;
  char buffer[4096];
  auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    pollfd p{pipes[0], POLLIN, 0};
    int ready = left.count() > 0 ? ::poll(&p, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      timed_out = true;
      ::kill(pid, SIGKILL);
      break;
    }
    ssize_t n = ::read(pipes[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output.append(buffer, static_cast<size_t>(n));
    if (output.size() > 1 << 20) output.erase(0, output.size() - (1 << 19));
  }
  ::close(pipes[0]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) return Err(fmt::format("{} timed out", argv[0]));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  std::string tail = output.size() > 1000 ? output.substr(output.size() - 1000) : output;
  return Err(fmt::format("{} failed ({}): {}", argv[0],
                         WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                           : fmt::format("signal {}", WTERMSIG(status)),
                         trim(tail)));
}

int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

bool wait_process(int pidfd, pid_t pid, Millis timeout) {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    pollfd p{pidfd, POLLIN, 0};
    int ready = ::poll(&p, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready > 0) break;
    if (ready < 0 && errno == EINTR) continue;
    return false;
  }
  ::waitpid(pid, nullptr, WNOHANG);  // ECHILD when it is not ours
  return true;
}

std::vector<std::string> command_line_of(pid_t pid) {
  auto text = read_file(fmt::format("/proc/{}/cmdline", pid));
  std::vector<std::string> words;
  if (text) {
    for (auto& word : split(*text, '\0')) {
      if (!word.empty()) words.push_back(std::move(word));
    }
  }
  return words;
}

std::string process_identity(pid_t pid) {
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return "";
  // The command's name, in parentheses, may hold anything; the start time is the 20th field after.
  size_t end = text->rfind(')');
  if (end == std::string::npos) return "";
  auto fields = split(trim(std::string_view(*text).substr(end + 1)), ' ');
  return fields.size() > 19 ? fmt::format("{} {}", pid, fields[19]) : "";
}

}  // namespace orch::agent
