// What the node is short of. Set by the eviction manager; read by what reports the Node and by
// what admits pods. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace orch::agent {

struct Pressure {
  bool memory = false, disk = false, pid = false;
  bool any() const { return memory || disk || pid; }
  bool operator==(const Pressure&) const = default;
};

class PressureBoard {
 public:
  Pressure get() const {
    const uint8_t bits = bits_;
    return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
  }
  void set(const Pressure& p) {
    bits_ = static_cast<uint8_t>((p.memory ? 1 : 0) | (p.disk ? 2 : 0) | (p.pid ? 4 : 0));
  }

 private:
  std::atomic<uint8_t> bits_{0};
};

}  // namespace orch::agent
