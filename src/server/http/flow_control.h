// API Priority and Fairness: which requests run now, which wait, which are refused. Requests that
// wait hold no thread: their ticket wakes them. Any thread.
//
// Seats say how much the server takes on. What has only a few cores must also not let long lists
// follow each other on all of them: requests over one seat wait, one flow's after another's, for
// one of few lanes besides; so short requests are answered whatever others list.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/metrics.h"
#include "server/http/flow_queues.h"
#include "server/http/flow_rules.h"

namespace orch::server {

struct FlowOptions {
  int seats = 600;               // --max-requests-inflight and --max-mutating-requests-inflight
  Micros wait_max{Seconds{15}};  // a quarter of --request-timeout
  int lanes = 0;                 // 0 = cores
};

class FlowControl {
 public:
  class Ticket;
  using TicketPtr = std::shared_ptr<Ticket>;

  FlowControl(Env& env, const FlowOptions& options);
  ~FlowControl();
  FlowControl(const FlowControl&) = delete;

  // The rules from now on; before the first call upstream's defaults hold.
  void configure(const std::vector<api::flowcontrolv1::FlowSchema>& schemas,
                 const std::vector<api::flowcontrolv1::PriorityLevelConfiguration>& levels);
  // `seats`: how much work the request is, 1 or more.
  TicketPtr enter(const RequestInfo& info, const UserInfo& user, int seats);
  // Refuses all that waits, now and later. Idempotent.
  void stop();

  // As upstream's /debug/api_priority_and_fairness/dump_*: priority_levels, queues, requests; ""
  // for another name.
  std::string dump(std::string_view what) const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

// A request's place. The last reference ends the request, or takes it out of its queue.
class FlowControl::Ticket : public std::enable_shared_from_this<Ticket> {
 public:
  enum class State : uint8_t { kWaits, kRuns, kRefused };
  ~Ticket();
  State state() const;
  // Over one seat: to be run apart from short requests.
  bool wide() const { return wide_; }
  // `fn` runs once, as soon as the request does not wait any more; at once if so already.
  void on_decided(std::function<void()> fn);
  const std::string& schema_uid() const { return schema_uid_; }
  const std::string& level_uid() const { return level_uid_; }

 private:
  friend class FlowControl;
  friend struct FlowControl::Core;
  std::shared_ptr<Core> core_;
  std::shared_ptr<struct FlowLevelState> level_;
  uint64_t id_ = 0;
  State state_ = State::kWaits;
  bool seated_ = false, laned_ = false, wide_ = false, exempt_ = false;
  int seats_ = 1;
  uint32_t queue_ = FlowQueues::kNoQueue, lane_ = FlowQueues::kNoQueue;
  uint64_t user_hash_ = 0;
  MonoTime arrived_{}, began_{};
  std::string schema_, schema_uid_, level_uid_, who_;
  std::function<void()> wake_;
  metrics::Histogram* waited_ = nullptr;
};

}  // namespace orch::server
