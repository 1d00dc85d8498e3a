#include "orch/base/clock.h"

namespace orch {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime now() const override {
    return std::chrono::floor<Micros>(std::chrono::system_clock::now());
  }
  MonoTime mono() const override {
    return std::chrono::floor<Micros>(std::chrono::steady_clock::now());
  }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

}  // namespace orch
