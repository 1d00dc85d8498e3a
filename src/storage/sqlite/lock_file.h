// Keeps two processes out of one data directory: an flock()ed file with the holder's pid in it.
// The lock dies with its process.
#pragma once

#include <string>
#include <utility>

#include "orch/storage/kv_store.h"

namespace orch::storage {

class LockFile {
 public:
  // kUnavailable, naming the other process, when it is held.
  static StoreResult<LockFile> acquire(const std::string& file);
  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~LockFile() { release(); }
  void release();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace orch::storage
