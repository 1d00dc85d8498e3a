// Named fault points. Production has none armed and hit() is one relaxed load.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace orch {

class Faults {
 public:
  // True if the point is armed and its action says the fault strikes now. Any thread.
  bool hit(std::string_view point) {
    if (!any_.load(std::memory_order_relaxed)) return false;
    return hit_slow(point);
  }
  // Arms `point`: at each pass `action()` runs (it may sleep or kill) and says whether the fault
  // strikes.
  void arm(std::string point, std::function<bool()> action);
  void disarm(std::string_view point);

 private:
  bool hit_slow(std::string_view point);
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::map<std::string, std::function<bool()>, std::less<>> actions_;
};

Faults& no_faults();

}  // namespace orch
