#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "orch/base/file.h"
#include "orch/net/netlink.h"

namespace orch::net {

namespace {

NetError failed(std::string_view what, const std::string& path) {
  return fmt::format("network namespace {}: {}: {}", path, what, std::strerror(errno));
}

Result<Unit, NetError> on_helper_thread(const std::function<Result<Unit, NetError>()>& fn) {
  std::optional<Result<Unit, NetError>> result;
  std::thread([&] { result.emplace(fn()); }).join();
  return *std::move(result);
}

}  // namespace

Result<Unit, NetError> run_in_netns(const std::string& path,
                                    const std::function<Result<Unit, NetError>()>& fn) {
  return on_helper_thread([&]() -> Result<Unit, NetError> {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Err(failed("open", path));
    int moved = setns(fd, CLONE_NEWNET);
    int reason = errno;
    close(fd);
    errno = reason;
    if (moved != 0) return Err(failed("setns", path));
    return fn();
  });
}

Result<Unit, NetError> make_netns(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) ORCH_CHECK(make_directories(path.substr(0, slash)));
  int fd = ::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0) return Err(failed("create", path));
  close(fd);
  auto made = on_helper_thread([&]() -> Result<Unit, NetError> {
    if (unshare(CLONE_NEWNET) != 0) return Err(failed("unshare", path));
    if (mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0) {
      return Err(failed("mount", path));
    }
    ORCH_TRY(auto netlink, Netlink::open());
    return netlink->set_up("lo");
  });
  if (!made) (void)remove_netns(path);
  return made;
}

Result<Unit, NetError> remove_netns(const std::string& path) {
  if (umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) {
    return Err(failed("unmount", path));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Err(failed("remove", path));
  return Unit{};
}

Result<Unit, NetError> write_sysctl(const std::string& name, std::string_view value) {
  std::string path = "/proc/sys/" + name;
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Err(fmt::format("sysctl {}: {}", name, std::strerror(errno)));
  ssize_t written = write(fd, value.data(), value.size());
  int reason = errno;
  close(fd);
  if (written != static_cast<ssize_t>(value.size())) {
    return Err(fmt::format("sysctl {}: write {}: {}", name, value, std::strerror(reason)));
  }
  return Unit{};
}

Result<Unit, NetError> enable_forwarding() {
  // Writing it, even unchanged, resets other per-link settings: only write a change.
  if (auto now = read_file("/proc/sys/net/ipv4/ip_forward");
      now && !now->empty() && now->front() == '1') {
    return Unit{};
  }
  return write_sysctl("net/ipv4/ip_forward", "1");
}

}  // namespace orch::net
