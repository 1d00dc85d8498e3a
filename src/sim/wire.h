// The network of the simulation: what lies between a component and the API server. Requests and
// answers take virtual time, may be lost, refused or cut short by a seeded choice; watch events
// come late, each watch in its own order. Every request is shown to whoever listens.
//
// A component crashes by its Line being cut: requests under way are answered with an error at once
// (whether they were carried out is open), later ones never leave, no event arrives any more.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/client/transport.h"
#include "sim/executor.h"

namespace orch::sim {

// Probabilities are parts of 10,000.
struct WireFaults {
  unsigned refused = 0;      // 500, 503 or 429; not carried out
  unsigned conflicts = 0;    // 409 Conflict to an update or a patch; not carried out
  unsigned lost = 0;         // 504 after a while; not carried out
  unsigned unanswered = 0;   // 504 after a while; carried out all the same
  unsigned watch_drops = 0;  // an event is the last of its watch
  unsigned watch_gone = 0;   // ... and the watch says 410
};

struct WireOptions {
  // One way. Both zero: requests do not even give way to other tasks.
  Micros latency_min{0}, latency_max{0};
  Micros watch_latency_max{0};
  // The API server's capacity: so many requests at once, each as long as its kind takes; others
  // wait. Zero: it answers in no time.
  unsigned servers = 0;
  Micros write_cost{0}, read_cost{0}, list_cost_per_kb{0};
};

struct CallSeen {
  const std::string& component;
  const client::Request& request;
  int code = 0;       // 0: never carried out
  std::string error;  // the message, where there was one
  Micros virtual_took{0};
  std::chrono::nanoseconds real_took{0};  // of the handler
};

class Wire {
 public:
  Wire(Env& env, SimExecutor& executor, Random& random, WireOptions options)
      : env_(env), executor_(executor), random_(random), options_(options) {
    busy_until_.resize(options.servers);
  }

  using Observer = std::function<void(const CallSeen&)>;
  // Before a request is carried out, and after it was (or failed).
  std::function<void(const std::string& component, const client::Request&)> before;
  Observer after;
  WireFaults faults;

  class Line;
  // `inner` carries requests out; `component` names them.
  std::unique_ptr<Line> connect(std::string component, std::unique_ptr<client::Transport> inner);

 private:
  friend class Line;
  bool strikes(unsigned parts) { return parts > 0 && random_below(random_, 10'000) < parts; }
  Micros latency(Micros min, Micros max);
  // How long a request of this cost takes, with waiting for its turn.
  Micros serve(Micros cost);

  Env& env_;
  SimExecutor& executor_;
  Random& random_;
  const WireOptions options_;
  std::vector<MonoTime> busy_until_;
};

class Wire::Line final : public client::Transport {
 public:
  Line(Wire& wire, std::string component, std::unique_ptr<client::Transport> inner);
  ~Line() override;
  api::ApiResult<client::Response> call(const client::Request& request) override;
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const client::Request& request, client::WatchCallbacks callbacks) override;

  void cut() { cut_ = true; }
  void mend() { cut_ = false; }  // for a node that was only away
  void slow_down(unsigned factor) { slowness_ = factor; }
  unsigned in_flight() const { return in_flight_; }

 private:
  api::ApiResult<client::Response> carry_out(const client::Request& request, CallSeen& seen);
  void wait(Micros delay);

  struct Watch;
  Wire& wire_;
  const std::string component_;
  const std::unique_ptr<client::Transport> inner_;
  bool cut_ = false;
  unsigned slowness_ = 1;
  unsigned in_flight_ = 0;
};

}  // namespace orch::sim
