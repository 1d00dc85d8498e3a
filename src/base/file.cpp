#include "orch/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

namespace orch {
namespace {

struct Fd {
  int fd;
  explicit Fd(int f) : fd(f) {}
  Fd(const Fd&) = delete;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

FileError failure(const std::string& path, int error) { return path + ": " + strerror(error); }

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<Unit, FileError> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Err(failure(path, errno));
    content.remove_prefix(static_cast<size_t>(n));
  }
  return Unit{};
}

Result<Unit, FileError> write_and_rename(const std::string& temporary, const std::string& path,
                                         std::string_view content, mode_t mode) {
  {
    Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.fd < 0) return Err(failure(temporary, errno));
    if (::fchmod(file.fd, mode) != 0) return Err(failure(temporary, errno));  // beyond the umask
    ORCH_CHECK(write_all(file.fd, content, temporary));
    if (::fsync(file.fd) != 0) return Err(failure(temporary, errno));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return Err(failure(path, errno));
  Fd directory(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd < 0 || ::fsync(directory.fd) != 0) return Err(failure(parent_of(path), errno));
  return Unit{};
}

}  // namespace

Result<std::string, FileError> read_file(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return Err(failure(path, errno));
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Err(failure(path, errno));
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

Result<Unit, FileError> write_file_atomic(const std::string& path, std::string_view content,
                                          mode_t mode) {
  static std::atomic<unsigned> serial{0};
  const std::string temporary =
      path + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(serial++);
  auto written = write_and_rename(temporary, path, content, mode);
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<Unit, FileError> make_directories(const std::string& path, mode_t mode) {
  for (size_t at = 1; at != std::string::npos && at <= path.size();) {
    at = path.find('/', at);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return Err(failure(part, errno));
    if (at != std::string::npos) ++at;
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Err(failure(path, errno));
  if (!S_ISDIR(info.st_mode)) return Err(failure(path, ENOTDIR));
  return Unit{};
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace orch
