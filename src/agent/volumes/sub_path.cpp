#include "agent/volumes/sub_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "agent/storage/fd.h"
#include "agent/volumes/volume.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

int open_beneath(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

// Opens root/path, making missing folders, never leaving root.
Result<Fd, Error> open_or_make(int root, const std::string& path) {
  int whole = open_beneath(root, path, O_PATH);
  if (whole >= 0) return Fd(whole);
  if (errno != ENOENT) return Err(errno_error("subPath " + path));
  std::string prefix = ".";
  for (const auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    const std::string next = prefix + "/" + part;
    int fd = open_beneath(root, next, O_PATH);
    if (fd < 0 && errno == ENOENT) {
      Fd parent(open_beneath(root, prefix, O_RDONLY | O_DIRECTORY));
      if (parent.get() < 0) return Err(errno_error("subPath " + path));
      if (::mkdirat(parent.get(), part.c_str(), 0755) != 0 && errno != EEXIST) {
        return Err(errno_error("subPath " + path));
      }
      fd = open_beneath(root, next, O_PATH);
    }
    if (fd < 0) return Err(errno_error("subPath " + path));
    ::close(fd);
    prefix = next;
  }
  whole = open_beneath(root, path, O_PATH);
  if (whole < 0) return Err(errno_error("subPath " + path));
  return Fd(whole);
}

Result<Unit, Error> make_target(const std::string& target, bool directory) {
  struct stat st {};
  if (::lstat(target.c_str(), &st) == 0 && S_ISDIR(st.st_mode) == directory) return Unit{};
  std::error_code ec;
  std::filesystem::remove(target, ec);
  const std::string parent = std::filesystem::path(target).parent_path().string();
  if (auto made = make_directories(directory ? target : parent, 0750); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  if (!directory) {
    int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return Err(errno_error(target));
    ::close(fd);
  }
  return Unit{};
}

std::string unescape_mount(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Result<Unit, Error> unmount_below(const std::string& path) {
  auto text = read_file("/proc/self/mountinfo");
  if (!text) return Err(Error{Error::Code::kInternal, text.error()});
  std::vector<std::string> targets;
  for (const auto& line : split(*text, '\n')) {
    auto fields = split(line, ' ');
    if (fields.size() < 5) continue;
    std::string target = unescape_mount(fields[4]);
    if (target == path || target.starts_with(path + "/")) targets.push_back(std::move(target));
  }
  std::reverse(targets.begin(), targets.end());
  Result<Unit, Error> result = Unit{};
  for (const auto& target : targets) {
    if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && result) {
      result = Err(errno_error("unmount " + target));
    }
  }
  return result;
}

Result<Unit, Error> bind_sub_path(const std::string& volume, const std::string& sub_path,
                                  const std::string& target) {
  ORCH_CHECK(check_relative(sub_path));
  Fd root(::open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return Err(errno_error(volume));
  ORCH_TRY(Fd opened, open_or_make(root.get(), sub_path));
  struct stat st {};
  if (::fstat(opened.get(), &st) != 0) return Err(errno_error("subPath " + sub_path));
  ORCH_CHECK(unmount_below(target));
  ORCH_CHECK(make_target(target, S_ISDIR(st.st_mode)));
  const std::string source = fmt::format("/proc/self/fd/{}", opened.get());
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return Err(errno_error("bind subPath " + sub_path));
  }
  return Unit{};
}

}  // namespace orch::agent
