// Time, injected. Decide and step code takes `now` or a Clock&; it never asks the system.
#pragma once

#include <chrono>

namespace orch {

using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
// UTC wall time; what API objects carry.
using WallTime = std::chrono::sys_time<Micros>;
// Monotonic time; what timers, back-offs and leases count in.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Micros>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
  virtual MonoTime mono() const = 0;
};

// The machine's clocks. Any thread.
Clock& system_clock();

// A clock that a test moves. Not thread-safe against concurrent advance().
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{std::chrono::hours{481800}}) : wall_(start) {}
  WallTime now() const override { return wall_; }
  MonoTime mono() const override { return mono_; }
  void advance(Micros by) {
    wall_ += by;
    mono_ += by;
  }

 private:
  WallTime wall_;
  MonoTime mono_{};
};

}  // namespace orch
