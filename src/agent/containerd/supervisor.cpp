#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "agent/containerd/config.h"
#include "agent/containerd/containerd.h"
#include "agent/containerd/image_importer.h"
#include "agent/containerd/pause_image.h"
#include "agent/containerd/process.h"
#include "agent/cri/cri_runtime.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/cni.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

constexpr off_t kLogBytesMax = 10 * 1024 * 1024;
constexpr Millis kBackoffMin{100}, kBackoffMax{10'000};
constexpr Millis kStopTimeout{3000};

bool answers(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

// Overlay mounts need a filesystem that can hold their upper layer; try it.
bool overlay_works(const std::string& root) {
  const std::string dir = root + "/overlay-check";
  std::error_code ec;
  for (const char* sub : {"/lower", "/upper", "/work", "/merged"}) {
    fs::create_directories(dir + sub, ec);
  }
  std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", dir);
  bool ok = ::mount("overlay", (dir + "/merged").c_str(), "overlay", 0, options.c_str()) == 0;
  if (ok) ::umount2((dir + "/merged").c_str(), MNT_DETACH);
  fs::remove_all(dir, ec);
  return ok;
}

// Lowering oom_score_adj takes CAP_SYS_RESOURCE, which containers and sandboxes often lack.
bool may_lower_oom_score() {
  constexpr unsigned kSysResource = 24;
  auto status = read_file("/proc/self/status");
  if (!status) return true;
  for (const auto& line : split(*status, '\n')) {
    if (line.starts_with("CapEff:")) {
      uint64_t mask = std::strtoull(line.c_str() + 7, nullptr, 16);
      return (mask >> kSysResource & 1) != 0;
    }
  }
  return true;
}

class Supervisor final : public Containerd {
 public:
  Supervisor(ContainerdOptions options, std::string binary)
      : options_(std::move(options)),
        binary_(std::move(binary)),
        paths_(containerd_paths(options_.data_dir)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  ~Supervisor() override {
    stop();
    if (pidfd_ >= 0) ::close(pidfd_);
    ::close(wake_);
  }

  Result<Unit, std::string> prepare() {
    for (const auto& dir :
         {paths_.root, paths_.run_directory, paths_.cni_bin_dir, paths_.cni_conf_dir,
          paths_.certs_dir, paths_.images_dir, fs::path(paths_.config_file).parent_path().string(),
          fs::path(paths_.log_file).parent_path().string()}) {
      ORCH_CHECK(make_directories(dir, 0755));
    }
    ::chmod(paths_.root.c_str(), 0711);
    ::chmod(paths_.run_directory.c_str(), 0711);
    ORCH_CHECK(write_file_atomic(paths_.owner_file, process_identity(::getpid()) + "\n", 0644));
    ORCH_CHECK(link_cni());
    snapshotter_ = overlay_works(paths_.root) ? "overlayfs" : "native";
    if (snapshotter_ == "native") {
      log::warn("containerd", "overlay mounts do not work on {}: native snapshots", paths_.root);
    }
    const std::string config = containerd_config(
        paths_, {.snapshotter = snapshotter_, .restrict_oom_score_adj = !may_lower_oom_score()});
    auto before = read_file(paths_.config_file);
    const bool same = before && *before == config;
    if (!same) ORCH_CHECK(write_file_atomic(paths_.config_file, config, 0600));
    if (!adopt(same)) ORCH_CHECK(launch());
    thread_ = std::thread([this] { run(); });
    return Unit{};
  }

  void stop() override {
    if (stopping_.exchange(true)) return;
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(wake_, &one, sizeof one);
    if (thread_.joinable()) thread_.join();
    end_process();
    ::unlink(paths_.pid_file.c_str());
  }

  const ContainerdPaths& paths() const override { return paths_; }

  bool wait_ready(Millis timeout) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return ready_; });
  }

 private:
  Result<Unit, std::string> link_cni() {
    std::error_code ec;
    fs::path target = fs::canonical(options_.cni_binary, ec);
    if (ec) return Err(fmt::format("{}: {}", options_.cni_binary, ec.message()));
    return net::install_cni_plugin(paths_.cni_bin_dir, target.string());
  }

  // True if a containerd of ours already runs with this configuration and answers.
  bool adopt(bool same_config) {
    auto text = read_file(paths_.pid_file);
    auto pid = text ? parse_int(trim(*text)) : std::nullopt;
    if (!pid || *pid <= 1) return false;
    auto words = command_line_of(static_cast<pid_t>(*pid));
    if (std::find(words.begin(), words.end(), paths_.config_file) == words.end()) return false;
    pid_ = static_cast<pid_t>(*pid);
    pidfd_ = open_process(pid_);
    if (pidfd_ < 0) return false;
    if (same_config && answers(paths_.socket)) {
      log::info("containerd", "adopted the running containerd, pid {}", pid_);
      return true;
    }
    end_process();
    return false;
  }

  Result<Unit, std::string> launch() {
    struct stat st {};
    if (::stat(paths_.log_file.c_str(), &st) == 0 && st.st_size > kLogBytesMax) {
      ::rename(paths_.log_file.c_str(), (paths_.log_file + ".1").c_str());
    }
    ::unlink(paths_.socket.c_str());
    SpawnOptions spawn_options{
        .argv = {binary_, "--config", paths_.config_file, "--log-level", "warn"},
        .output_file = paths_.log_file,
        .new_session = true,
        .oom_score_adj = -999};
    ORCH_TRY(pid_, spawn(spawn_options));
    pidfd_ = open_process(pid_);
    started_ = std::chrono::steady_clock::now();
    ORCH_CHECK(write_file_atomic(paths_.pid_file, std::to_string(pid_) + "\n", 0644));
    return Unit{};
  }

  void end_process() {
    if (pidfd_ < 0) return;
    ::kill(pid_, SIGTERM);
    if (!wait_process(pidfd_, pid_, kStopTimeout)) {
      ::kill(pid_, SIGKILL);
      wait_process(pidfd_, pid_, kStopTimeout);
    }
    ::close(pidfd_);
    pidfd_ = -1;
  }

  void set_ready(bool ready) {
    std::lock_guard lock(mutex_);
    ready_ = ready;
    changed_.notify_all();
  }

  // After every (re)start: the pause image, then the archives.
  void fill_images() {
    ImageImporter importer(paths_, snapshotter_);
    // The socket appears when containerd's plugins are up; gRPC would back off while it is not.
    for (int i = 0; i < 3000 && !stopping_ && !answers(paths_.socket); ++i) {
      if (pidfd_ >= 0 && wait_process(pidfd_, pid_, Millis{10})) return;  // died: the loop sees it
    }
    while (!stopping_) {
      auto runtime = make_cri_runtime(paths_.endpoint);
      auto result = importer.ensure_pause_image(*runtime, Millis{5000});
      if (result) break;
      log::warn("containerd", "pause image: {}", result.error());
      if (pidfd_ < 0 || wait_process(pidfd_, pid_, Millis{500})) return;
    }
    if (stopping_) return;
    set_ready(true);
    importer.import_folder();
  }

  void run() {
    int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, paths_.images_dir.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
    Millis backoff = kBackoffMin;
    fill_images();
    while (!stopping_) {
      pollfd fds[3] = {{wake_, POLLIN, 0}, {watch, POLLIN, 0}, {pidfd_, POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0 && errno != EINTR) break;
      if (stopping_) break;
      if (fds[1].revents != 0) {
        char buffer[4096];
        while (::read(watch, buffer, sizeof buffer) > 0) {
        }
        ImageImporter(paths_, snapshotter_).import_folder();
      }
      if (fds[2].revents != 0 && !restart(backoff)) break;
    }
    ::close(watch);
  }

  // False = stopping.
  bool restart(Millis& backoff) {
    set_ready(false);
    wait_process(pidfd_, pid_, Millis{0});
    ::close(pidfd_);
    pidfd_ = -1;
    if (std::chrono::steady_clock::now() - started_ > Seconds{60}) backoff = kBackoffMin;
    log::error("containerd", "containerd (pid {}) ended, see {}; restart in {} ms", pid_,
               paths_.log_file, backoff.count());
    for (;;) {
      pollfd p{wake_, POLLIN, 0};
      ::poll(&p, 1, static_cast<int>(backoff.count()));
      backoff = std::min(backoff * 2, kBackoffMax);
      if (stopping_) return false;
      auto launched = launch();
      if (launched) break;
      log::error("containerd", "{}", launched.error());
    }
    fill_images();
    return true;
  }

  const ContainerdOptions options_;
  const std::string binary_;
  const ContainerdPaths paths_;
  const int wake_;
  std::string snapshotter_;
  pid_t pid_ = -1;
  int pidfd_ = -1;  // the monitor thread's, once it runs
  std::chrono::steady_clock::time_point started_{};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Containerd>, std::string> Containerd::start(
    Env&, const ContainerdOptions& options) {
  auto binary = find_program(options.binary);
  if (!binary) {
    return Err(fmt::format("{} not found in PATH; install it or give --container-runtime-endpoint",
                           options.binary));
  }
  auto supervisor = std::make_unique<Supervisor>(options, *binary);
  ORCH_CHECK(supervisor->prepare());
  return std::unique_ptr<Containerd>(std::move(supervisor));
}

}  // namespace orch::agent
