// A SQLite VFS over the default one, which can run out of space or fail to sync. While one lives
// it is SQLite's default, so the store under test needs to know nothing of it.
#pragma once

#include <atomic>

namespace orch::storage::test {

class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();

  // Files may not grow any more, nor be written.
  void fill_disk(bool full) { full_ = full; }
  // Bytes that may still be written before the disk is full; < 0: no limit.
  void space_left(long bytes) { space_ = bytes; }
  void fail_sync(bool fail) { fail_sync_ = fail; }
  long syncs() const { return syncs_; }
  long writes() const { return writes_; }
  long bytes_written() const { return bytes_; }

  // For the C functions of the shim.
  bool refuses(long bytes);
  bool sync_fails() {
    ++syncs_;
    return fail_sync_;
  }

 private:
  std::atomic<bool> full_{false}, fail_sync_{false};
  std::atomic<long> space_{-1}, syncs_{0}, writes_{0}, bytes_{0};
};

}  // namespace orch::storage::test
