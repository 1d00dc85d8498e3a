// Fair queuing of requests within and between priority levels: shuffle sharding deals each flow a
// hand of queues, the shortest takes its request; the queue that was served least comes next; seats
// that one level has no use for are lent to others. Pure: no clock, no thread; one caller at a
// time. Source: KEP-1040, KEP-3331 (borrowing).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "server/http/flow_rules.h"

namespace orch::server {

// The cards a flow is dealt: `hand` different numbers below `deck`.
std::vector<uint32_t> deal(uint64_t hash, uint32_t deck, uint32_t hand);

enum class FlowVerdict : uint8_t { kRun, kWait, kFull };

// The queues of one level.
class FlowQueues {
 public:
  // What an update of the level changes; requests that wait stay where they are.
  void configure(const FlowLevel& level);
  void set_limit(int seats) { limit_ = seats; }

  FlowVerdict arrive(uint64_t id, uint64_t hash, int seats);
  // Takes back a request that waits. False: it does not wait.
  bool leave(uint64_t id);
  // A request that ran is done, `seconds` after it began.
  void finish(int seats, double seconds, uint32_t queue);
  // The next request that may run, 0 = none; `queue` is where it waited.
  uint64_t next(int& seats, uint32_t& queue);

  int limit() const { return limit_; }
  int seats_used() const { return seats_used_; }
  int seats_waiting() const { return seats_waiting_; }
  size_t waiting() const { return waiting_; }
  size_t running() const { return running_; }
  struct Queue {
    struct Item {
      uint64_t id;
      int seats;
    };
    std::deque<Item> items;
    double served = 0;  // virtual time at which it was served last
    int running = 0;
    int seats_waiting = 0;
  };
  const std::vector<Queue>& queues() const { return queues_; }
  static constexpr uint32_t kNoQueue = UINT32_MAX;

 private:
  bool fits(int seats) const { return seats_used_ == 0 || seats_used_ + seats <= limit_; }
  void take(int seats, uint32_t queue);

  int hand_size_ = 0, queue_length_ = 0;
  bool exempt_ = false;
  int limit_ = 1;
  int seats_used_ = 0, seats_waiting_ = 0;
  size_t waiting_ = 0, running_ = 0;
  double virtual_time_ = 0;
  size_t turn_ = 0;  // among queues that are alike
  std::vector<Queue> queues_;
};

// How the seats of the server are shared out.
struct SeatShare {
  int nominal = 0, minimum = 0, maximum = 0;
};
std::vector<SeatShare> seat_shares(const std::vector<FlowLevel>& levels, int server_seats);
// The limit of each level, from what each wanted of late: between its minimum and its maximum, and
// together the server's seats.
std::vector<int> lend_seats(const std::vector<FlowLevel>& levels,
                            const std::vector<SeatShare>& shares, const std::vector<double>& demand,
                            int server_seats);

}  // namespace orch::server
