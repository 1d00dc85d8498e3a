// A shared mutex at which nobody starves: whoever waits to write stops new readers.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace orch::storage {

class FairSharedMutex {
 public:
  void lock() {
    std::lock_guard gate(gate_);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    std::lock_guard gate(gate_);
    mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  std::mutex gate_;
  std::shared_mutex mutex_;
};

}  // namespace orch::storage
