#include "orch/base/faults.h"

namespace orch {

void Faults::arm(std::string point, std::function<bool()> action) {
  std::lock_guard lock(mutex_);
  actions_[std::move(point)] = std::move(action);
  any_.store(true, std::memory_order_relaxed);
}

void Faults::disarm(std::string_view point) {
  std::lock_guard lock(mutex_);
  if (auto it = actions_.find(point); it != actions_.end()) actions_.erase(it);
  any_.store(!actions_.empty(), std::memory_order_relaxed);
}

bool Faults::hit_slow(std::string_view point) {
  std::function<bool()> action;
  {
    std::lock_guard lock(mutex_);
    auto it = actions_.find(point);
    if (it == actions_.end()) return false;
    action = it->second;
  }
  return action();
}

Faults& no_faults() {
  static Faults faults;
  return faults;
}

}  // namespace orch
