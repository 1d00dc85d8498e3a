#include "ctl/remote_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include "ctl/websocket.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// Channels of the protocol: the first byte of each message.
enum Channel : char { kStdin = 0, kStdout = 1, kStderr = 2, kStatus = 3, kResize = 4 };
constexpr char kCloseChannel = static_cast<char>(255);

// The terminal in raw mode, as long as this lives.
class RawTerminal {
 public:
  explicit RawTerminal(bool wanted) {
    if (!wanted || tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool active_ = false;
};

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

void send_size(net::WebSocket& socket) {
  winsize size{};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
  // A failure to send ends the reading side too, which reports it.
  (void)socket.send(std::string(1, kResize) +
                    fmt::format("{{\"Width\":{},\"Height\":{}}}", size.ws_col, size.ws_row));
}

// Sends standard input and window sizes until `stop` is signalled.
void send_input(net::WebSocket& socket, const RemoteStreams& streams, int stop, int resized) {
  bool reading = streams.stdin_;
  if (streams.tty) send_size(socket);
  std::array<char, 16 * 1024> bytes;
  for (;;) {
    std::array<pollfd, 3> waiting{pollfd{stop, POLLIN, 0}, pollfd{resized, POLLIN, 0},
                                  pollfd{reading ? STDIN_FILENO : -1, POLLIN, 0}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[0].revents != 0) return;
    if (waiting[1].revents != 0) {
      signalfd_siginfo info;
      if (::read(resized, &info, sizeof info) > 0) send_size(socket);
    }
    if (waiting[2].revents == 0) continue;
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count > 0) {
      std::string message(1, kStdin);
      message.append(bytes.data(), static_cast<size_t>(count));
      if (!socket.send(message)) return;
    } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
      reading = false;
      (void)socket.send(std::string{kCloseChannel, kStdin});
    }
  }
}

Outcome<Unit> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Err(error("write: standard output failed"));
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return Unit{};
}

Outcome<int> receive_output(net::WebSocket& socket) {
  for (;;) {
    auto message = socket.receive();
    if (!message) return Err(error(message.error()));
    if (!*message) return Err(error("the connection ended before the command's exit code came"));
    const std::string& bytes = (*message)->payload;
    if (bytes.empty()) continue;
    const std::string_view payload = std::string_view(bytes).substr(1);
    if (bytes[0] == kStdout) {
      ORCH_CHECK(write_all(STDOUT_FILENO, payload));
    } else if (bytes[0] == kStderr) {
      ORCH_CHECK(write_all(STDERR_FILENO, payload));
    } else if (bytes[0] == kStatus && !payload.empty()) {
      return exit_code_of(payload);
    }
  }
}

}  // namespace

Outcome<int> exit_code_of(std::string_view status_json) {
  const auto status = JsonValue::parse(status_json);
  if (!status || !status->is_object()) {
    return Err(error(fmt::format("error stream protocol error: {}", status_json)));
  }
  if (status->get("status").text() == "Success") return 0;
  if (status->get("reason").text() == "NonZeroExitCode") {
    for (const JsonValue& cause : status->at("details.causes").items()) {
      if (cause.get("reason").text() != "ExitCode") continue;
      if (const auto code = parse_int(cause.get("message").text())) return static_cast<int>(*code);
    }
  }
  const std::string message = status->get("message").text();
  return Err(error(message.empty() ? std::string(status_json) : message));
}

Outcome<int> run_remote(ApiClient& client, const std::string& target,
                        const RemoteStreams& streams) {
  ORCH_TRY(auto socket, open_websocket(client, target, "v5.channel.k8s.io"));
  sigset_t resize_signal, before;
  sigemptyset(&resize_signal);
  sigaddset(&resize_signal, SIGWINCH);
  pthread_sigmask(SIG_BLOCK, &resize_signal, &before);
  const Fd resized(signalfd(-1, &resize_signal, SFD_CLOEXEC));
  const Fd stop(eventfd(0, EFD_CLOEXEC));
  if (resized.get() < 0 || stop.get() < 0) return Err(error("no file descriptors left"));
  Outcome<int> outcome = 0;
  {
    const RawTerminal raw(streams.tty);
    std::thread sender([&] { send_input(*socket, streams, stop.get(), resized.get()); });
    outcome = receive_output(*socket);
    const uint64_t one = 1;
    if (::write(stop.get(), &one, sizeof one) < 0) socket->close();
    sender.join();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return outcome;
}

}  // namespace orch::ctl
