// The audit log: a line of JSON an event; renamed to NAME-TIME.EXT when it grows too long.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "server/audit/sink.h"

namespace orch::server {
namespace {

class File final : public AuditSink {
 public:
  File(const AuditFileOptions& options, Clock& clock) : options_(options), clock_(clock) {
    const size_t slash = options.path.rfind('/');
    folder_ = slash == std::string::npos ? "." : options.path.substr(0, slash);
    const std::string name =
        slash == std::string::npos ? options.path : options.path.substr(slash + 1);
    const size_t dot = name.rfind('.');
    stem_ = name.substr(0, dot);
    extension_ = dot == std::string::npos ? "" : name.substr(dot);
  }
  ~File() override {
    if (fd_ > STDOUT_FILENO) ::close(fd_);
  }

  Result<Unit, std::string> open() {
    if (options_.path == "-") {
      fd_ = STDOUT_FILENO;
      return Unit{};
    }
    if (auto made = make_directories(folder_, 0700); !made) return Err(made.error());
    fd_ = ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd_ < 0) return Err(fmt::format("{}: {}", options_.path, std::strerror(errno)));
    struct stat status {};
    size_ = ::fstat(fd_, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
    return Unit{};
  }

  bool write(const std::vector<std::string>& events) override {
    std::lock_guard lock(mutex_);
    bool kept = true;
    for (const auto& event : events) kept = append(event + "\n") && kept;
    return kept;
  }

 private:
  bool append(const std::string& line) {
    if (fd_ < 0 && !open()) return false;
    if (options_.bytes_max != 0 && size_ > 0 && size_ + line.size() > options_.bytes_max) rotate();
    if (fd_ < 0) return false;
    size_t done = 0;
    while (done < line.size()) {
      const ssize_t put = ::write(fd_, line.data() + done, line.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) break;
      done += static_cast<size_t>(put);
    }
    if (done == line.size()) {
      size_ += done;
      complained_ = false;
      return true;
    }
    if (!complained_) {
      log::error("audit", "writing {}: {}", options_.path, std::strerror(errno));
    }
    complained_ = true;
    // Half a line would spoil the next one too.
    if (done > 0 && (fd_ == STDOUT_FILENO || ::ftruncate(fd_, static_cast<off_t>(size_)) != 0)) {
      size_ += done;
    }
    return false;
  }

  void rotate() {
    if (fd_ == STDOUT_FILENO) return;
    ::close(fd_);
    fd_ = -1;
    const auto now = clock_.now();
    const time_t seconds = std::chrono::floor<Seconds>(now).time_since_epoch().count();
    tm parts{};
    gmtime_r(&seconds, &parts);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M-%S", &parts);
    const int64_t millis =
        std::chrono::duration_cast<Millis>(now - std::chrono::floor<Seconds>(now)).count();
    std::string renamed;
    // Two within a millisecond: none overwrites the other.
    for (int64_t n = millis; renamed.empty() || file_exists(renamed); ++n) {
      renamed = fmt::format("{}/{}-{}.{:03}{}", folder_, stem_, stamp, n, extension_);
    }
    if (::rename(options_.path.c_str(), renamed.c_str()) != 0) {
      log::error("audit", "renaming {}: {}", options_.path, std::strerror(errno));
    }
    if (auto opened = open(); !opened) log::error("audit", "{}", opened.error());
    remove_old(seconds);
  }

  void remove_old(time_t now) {
    std::vector<std::string> backups;
    if (DIR* dir = ::opendir(folder_.c_str())) {
      while (const dirent* entry = ::readdir(dir)) {
        const std::string name = entry->d_name;
        // "audit-2026-01-02T03-04-05.678.log", not the log itself nor another's.
        constexpr size_t kStamp = 24;
        if (name.size() >= stem_.size() + kStamp + extension_.size() &&
            name.starts_with(stem_ + "-") && name.ends_with(extension_) &&
            name[stem_.size() + 11] == 'T') {
          backups.push_back(name);
        }
      }
      ::closedir(dir);
    }
    std::sort(backups.rbegin(), backups.rend());  // the newest first
    for (size_t i = 0; i < backups.size(); ++i) {
      const std::string path = folder_ + "/" + backups[i];
      struct stat status {};
      const bool many = options_.backups_max > 0 && i >= static_cast<size_t>(options_.backups_max);
      const bool old = options_.days_max > 0 && ::stat(path.c_str(), &status) == 0 &&
                       now - status.st_mtime > static_cast<time_t>(options_.days_max) * 86400;
      if (many || old) ::unlink(path.c_str());
    }
  }

  const AuditFileOptions options_;
  Clock& clock_;
  std::string folder_, stem_, extension_;
  std::mutex mutex_;
  int fd_ = -1;
  uint64_t size_ = 0;
  bool complained_ = false;
};

}  // namespace

Result<std::unique_ptr<AuditSink>, std::string> make_audit_file(const AuditFileOptions& options,
                                                                Clock& clock) {
  auto file = std::make_unique<File>(options, clock);
  ORCH_CHECK(file->open());
  return std::unique_ptr<AuditSink>(std::move(file));
}

}  // namespace orch::server
