#include "storage/sqlite/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::storage {

StoreResult<LockFile> LockFile::acquire(const std::string& file) {
  const auto failed = [&] {
    const auto code = errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kUnavailable;
    return Err(Error{code, fmt::format("{}: {}", file, std::strerror(errno))});
  };
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed();
  LockFile lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failed();
    char text[32] = {};
    const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
    const std::string_view pid =
        trim(std::string_view(text, size > 0 ? static_cast<size_t>(size) : 0));
    return Err(
        Error{ErrorCode::kUnavailable, fmt::format("{}: the data directory is in use by {}", file,
                                                   pid.empty() ? std::string("another process")
                                                               : fmt::format("process {}", pid))});
  }
  // The pid only serves the message above: a failure to write it does no harm.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) == 0) (void)!::pwrite(fd, pid.data(), pid.size(), 0);
  return lock;
}

void LockFile::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace orch::storage
