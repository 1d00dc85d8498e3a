#include "agent/eviction/disk_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <vector>

namespace orch::agent {
namespace {

constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the file system's is

struct Folder {
  dev_t device;
  ino_t inode;
  std::vector<std::string> todo;  // folders in it
};

class Walk {
 public:
  Walk(const std::atomic<bool>& stop, Millis budget)
      : stop_(stop), deadline_(std::chrono::steady_clock::now() + budget) {}
  ~Walk() {
    if (fd_ >= 0) ::close(fd_);
  }

  DiskUse run(const std::string& folder) {
    fd_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st {};
    if (fd_ < 0 || ::fstat(fd_, &st) != 0) return {};
    device_ = st.st_dev;
    count(st);
    if (!enter(st)) return out_;
    while (!path_.empty() && !ended()) {
      if (path_.back().todo.empty()) {
        path_.pop_back();
        if (path_.empty() || !up()) break;
        continue;
      }
      const std::string name = std::move(path_.back().todo.back());
      path_.back().todo.pop_back();
      if (!down(name)) break;
    }
    return out_;
  }

 private:
  bool ended() {
    if ((++looks_ & 1023) == 0) late_ = std::chrono::steady_clock::now() >= deadline_;
    return late_ || stop_;
  }

  void count(const struct stat& st) {
    if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !linked_.insert(st.st_ino).second) return;
    out_.bytes += static_cast<uint64_t>(st.st_blocks) * kBlock;
    ++out_.inodes;
  }

  // Reads the folder that fd_ is. False: it cannot be read.
  bool enter(const struct stat& st) {
    Folder folder{st.st_dev, st.st_ino, {}};
    const int own = ::openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* dir = own < 0 ? nullptr : ::fdopendir(own);
    if (dir == nullptr) {
      if (own >= 0) ::close(own);
      return false;
    }
    while (const dirent* entry = ::readdir(dir)) {
      if (ended()) break;
      const char* name = entry->d_name;
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      struct stat child {};
      if (::fstatat(fd_, name, &child, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (child.st_dev != device_) continue;
      count(child);
      if (S_ISDIR(child.st_mode)) folder.todo.emplace_back(name);
    }
    ::closedir(dir);
    path_.push_back(std::move(folder));
    return true;
  }

  // A folder that is gone or another now is passed over. False: we do not know where we are.
  bool down(const std::string& name) {
    const int next = ::openat(fd_, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) return true;
    struct stat st {};
    if (::fstat(next, &st) != 0 || st.st_dev != device_) {
      ::close(next);
      return true;
    }
    ::close(fd_);
    fd_ = next;
    return enter(st) || up();
  }

  // To the folder that path_ ends with; only if it is still the one we came from.
  bool up() {
    const int parent = ::openat(fd_, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st {};
    if (parent < 0) return false;
    ::close(fd_);
    fd_ = parent;
    return ::fstat(fd_, &st) == 0 && st.st_dev == path_.back().device &&
           st.st_ino == path_.back().inode;
  }

  const std::atomic<bool>& stop_;
  const std::chrono::steady_clock::time_point deadline_;
  uint64_t looks_ = 0;
  bool late_ = false;
  int fd_ = -1;
  dev_t device_ = 0;
  std::vector<Folder> path_;
  std::set<ino_t> linked_;
  DiskUse out_;
};

}  // namespace

DiskUse disk_usage(const std::string& folder, const std::atomic<bool>& stop, Millis budget) {
  return Walk(stop, budget).run(folder);
}

std::optional<DiskUse> disk_usage_of_file(const std::string& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) != 0) return std::nullopt;
  return DiskUse{static_cast<uint64_t>(st.st_blocks) * kBlock, 1};
}

}  // namespace orch::agent
