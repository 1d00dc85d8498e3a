#include "server/http/flow_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "orch/api/flow_defaults.h"

namespace orch::server {

using api::flowcontrolv1::FlowSchema;
using api::flowcontrolv1::PriorityLevelConfiguration;
using State = FlowControl::Ticket::State;

namespace {

constexpr Seconds kAdjustPeriod{10};
constexpr Millis kSweepPeriod{250};
constexpr int kSeatsMax = 10;         // of one request
constexpr double kWidthPart = 0.15;   // and of its level's seats
constexpr double kSmoothing = 0.977;  // of the demand, a period
constexpr int kLaneQueues = 128, kLaneHand = 6, kLaneLength = 1000;

double seconds_between(MonoTime from, MonoTime to) {
  return static_cast<double>((to - from).count()) / 1e6;
}

}  // namespace

// A priority level that lives on while its rules change.
struct FlowLevelState {
  FlowLevel level;
  FlowQueues queues;
  SeatShare share;
  // Seats wanted since the last adjustment: weighted by time, the most at once; and smoothed over
  // all adjustments.
  double demand_area = 0, demand_most = 0, smoothed = 0;
  MonoTime demand_since{}, period_since{};
  metrics::Gauge *in_queue, *executing, *seats, *limit;

  explicit FlowLevelState(const std::string& name) {
    const std::string labels = fmt::format("priority_level=\"{}\"", name);
    in_queue = &metrics::gauge("apiserver_flowcontrol_current_inqueue_requests",
                               "Requests that wait in queues.", labels);
    executing = &metrics::gauge("apiserver_flowcontrol_current_executing_requests",
                                "Requests that run.", labels);
    seats = &metrics::gauge("apiserver_flowcontrol_current_executing_seats",
                            "Seats of requests that run.", labels);
    limit = &metrics::gauge("apiserver_flowcontrol_current_limit_seats", "Seats the level has now.",
                            labels);
  }
  void demand_changes(MonoTime now) {
    const double wanted = queues.seats_used() + queues.seats_waiting();
    demand_area += wanted * seconds_between(demand_since, now);
    demand_since = now;
    demand_most = std::max(demand_most, wanted);
  }
  void show() const {
    in_queue->set(static_cast<double>(queues.waiting()));
    executing->set(static_cast<double>(queues.running()));
    seats->set(queues.seats_used());
  }
};

struct FlowControl::Core : std::enable_shared_from_this<Core> {
  using LevelPtr = std::shared_ptr<FlowLevelState>;
  // What is to be woken, and references that may be the last: a ticket ends outside of the lock.
  struct Decisions {
    std::vector<TicketPtr> woken, held;
  };
  struct SchemaStats {
    metrics::Counter* dispatched;
    metrics::Histogram* waited;
  };

  Core(Env& e, const FlowOptions& o) : env(e), options(o) {}

  void configure(const std::vector<FlowSchema>& schemas,
                 const std::vector<PriorityLevelConfiguration>& levels);
  void share_seats();
  void adjust(MonoTime now);
  // Lets run what may; what is decided is woken after the lock is gone.
  void pump(FlowLevelState& level, Decisions& out);
  void pump_lanes(Decisions& out);
  void seated(const TicketPtr& ticket, Decisions& out);
  void runs(const TicketPtr& ticket, Decisions& out);
  void refuse(const TicketPtr& ticket, const char* reason, Decisions& out);
  void leave(Ticket& ticket, Decisions& out);
  static void wake(Decisions& out);
  void schedule();
  void tick();

  Env& env;
  const FlowOptions options;
  std::shared_ptr<Strand> strand;
  mutable std::mutex mutex;
  bool stopping = false;
  uint64_t last_id = 0;
  std::shared_ptr<const FlowRules> rules;
  std::vector<LevelPtr> states;  // beside rules->levels()
  std::vector<SchemaStats> stats;
  std::map<uint64_t, std::weak_ptr<Ticket>> waiting;
  FlowQueues lanes;
  MonoTime adjusted{};
  bool sweeping = false;
  uint64_t timer = 0;
};

void FlowControl::Core::configure(const std::vector<FlowSchema>& schemas,
                                  const std::vector<PriorityLevelConfiguration>& levels) {
  auto made = std::make_shared<FlowRules>(schemas, levels);
  Decisions out;
  {
    std::lock_guard lock(mutex);
    std::vector<LevelPtr> now;
    for (const auto& level : made->levels()) {
      LevelPtr state;
      for (const auto& old : states) {
        if (old->level.name == level.name) state = old;
      }
      if (!state) {
        state = std::make_shared<FlowLevelState>(level.name);
        state->demand_since = state->period_since = env.clock.mono();
      }
      state->level = level;
      state->queues.configure(level);
      now.push_back(std::move(state));
    }
    for (const auto& old : states) {
      if (std::find(now.begin(), now.end(), old) == now.end()) old->limit->set(0);
    }
    states = std::move(now);
    stats.clear();
    for (const auto& schema : made->schemas()) {
      const std::string labels =
          fmt::format("flow_schema=\"{}\",priority_level=\"{}\"", schema.object.metadata.name,
                      made->levels()[schema.level].name);
      stats.push_back({&metrics::counter("apiserver_flowcontrol_dispatched_requests_total",
                                         "Requests that were let run.", labels),
                       &metrics::histogram("apiserver_flowcontrol_request_wait_duration_seconds",
                                           "How long requests waited to run.", labels)});
    }
    rules = std::move(made);
    share_seats();
    for (const auto& state : states) pump(*state, out);
  }
  wake(out);
}

void FlowControl::Core::share_seats() {
  const auto shares = seat_shares(rules->levels(), options.seats);
  std::vector<double> demand;
  for (size_t i = 0; i < states.size(); ++i) {
    states[i]->share = shares[i];
    demand.push_back(states[i]->smoothed);
    const auto set = [&](const char* name, const char* help, int value) {
      metrics::gauge(name, help, fmt::format("priority_level=\"{}\"", states[i]->level.name))
          .set(value);
    };
    set("apiserver_flowcontrol_nominal_limit_seats", "Seats the level has by its shares.",
        shares[i].nominal);
    set("apiserver_flowcontrol_lower_limit_seats", "Seats the level never lends.",
        shares[i].minimum);
    set("apiserver_flowcontrol_upper_limit_seats", "Seats the level may have by borrowing.",
        shares[i].maximum);
  }
  const auto limits = lend_seats(rules->levels(), shares, demand, options.seats);
  for (size_t i = 0; i < states.size(); ++i) {
    states[i]->queues.set_limit(limits[i]);
    states[i]->limit->set(limits[i]);
  }
}

void FlowControl::Core::adjust(MonoTime now) {
  for (const auto& state : states) {
    state->demand_changes(now);
    const double period = std::max(1e-3, seconds_between(state->period_since, now));
    const double wanted = std::max(state->demand_area / period, state->demand_most);
    state->smoothed = std::max(wanted, kSmoothing * state->smoothed + (1 - kSmoothing) * wanted);
    state->demand_area = state->demand_most = 0;
    state->period_since = now;
  }
  share_seats();
}

void FlowControl::Core::runs(const TicketPtr& ticket, Decisions& out) {
  ticket->state_ = State::kRuns;
  ticket->began_ = env.clock.mono();
  ticket->waited_->observe(seconds_between(ticket->arrived_, ticket->began_));
  waiting.erase(ticket->id_);
  out.woken.push_back(ticket);
}

void FlowControl::Core::refuse(const TicketPtr& ticket, const char* reason, Decisions& out) {
  metrics::counter("apiserver_flowcontrol_rejected_requests_total", "Requests that were refused.",
                   fmt::format("flow_schema=\"{}\",priority_level=\"{}\",reason=\"{}\"",
                               ticket->schema_, ticket->level_->level.name, reason))
      .add();
  ticket->state_ = State::kRefused;
  waiting.erase(ticket->id_);
  out.woken.push_back(ticket);
}

// It has its seats; a wide one needs a lane besides.
void FlowControl::Core::seated(const TicketPtr& ticket, Decisions& out) {
  ticket->seated_ = true;
  if (!ticket->wide_) return runs(ticket, out);
  switch (lanes.arrive(ticket->id_, ticket->user_hash_, 1)) {
    case FlowVerdict::kFull:  // of requests that are never refused, or more than anyone sends
      return runs(ticket, out);
    case FlowVerdict::kRun:
    case FlowVerdict::kWait:
      waiting[ticket->id_] = ticket;
      return pump_lanes(out);
  }
}

void FlowControl::Core::pump_lanes(Decisions& out) {
  int seats = 0;
  uint32_t queue = 0;
  while (const uint64_t id = lanes.next(seats, queue)) {
    const auto it = waiting.find(id);
    const auto ticket = it == waiting.end() ? nullptr : it->second.lock();
    if (!ticket) {  // it is being given up
      lanes.finish(seats, 0, queue);
      continue;
    }
    ticket->laned_ = true;
    ticket->lane_ = queue;
    runs(ticket, out);
  }
}

void FlowControl::Core::pump(FlowLevelState& level, Decisions& out) {
  int seats = 0;
  uint32_t queue = 0;
  while (const uint64_t id = level.queues.next(seats, queue)) {
    const auto it = waiting.find(id);
    const auto ticket = it == waiting.end() ? nullptr : it->second.lock();
    if (!ticket) {
      level.queues.finish(seats, 0, queue);
      continue;
    }
    out.held.push_back(ticket);
    ticket->queue_ = queue;
    seated(ticket, out);
  }
  level.show();
}

void FlowControl::Core::leave(Ticket& ticket, Decisions& out) {
  auto& level = *ticket.level_;
  const MonoTime now = env.clock.mono();
  waiting.erase(ticket.id_);
  level.demand_changes(now);
  const double took = ticket.state_ == State::kRuns ? seconds_between(ticket.began_, now) : 0;
  if (ticket.laned_) {
    lanes.finish(1, took, ticket.lane_);
  } else if (ticket.seated_ && ticket.wide_) {
    lanes.leave(ticket.id_);
  }
  if (ticket.seated_) {
    level.queues.finish(ticket.seats_, took, ticket.queue_);
  } else if (ticket.state_ == State::kWaits) {
    level.queues.leave(ticket.id_);
  }
  if (ticket.laned_) pump_lanes(out);
  pump(level, out);
}

void FlowControl::Core::wake(Decisions& out) {
  for (const auto& ticket : out.woken) {
    std::function<void()> fn;
    {
      std::lock_guard lock(ticket->core_->mutex);
      fn = std::exchange(ticket->wake_, nullptr);
    }
    if (fn) fn();
  }
  out.woken.clear();
  out.held.clear();
}

void FlowControl::Core::schedule() {
  if (stopping) return;
  const Micros after = waiting.empty() ? Micros(kAdjustPeriod) : Micros(kSweepPeriod);
  sweeping = !waiting.empty();
  strand->cancel_timer(timer);
  timer = strand->post_after(after, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->tick();
  });
}

void FlowControl::Core::tick() {
  Decisions out;
  {
    std::lock_guard lock(mutex);
    const MonoTime now = env.clock.mono();
    if (now - adjusted >= kAdjustPeriod) {
      adjusted = now;
      adjust(now);
      for (const auto& state : states) pump(*state, out);
    }
    std::vector<TicketPtr> late;
    for (const auto& [id, weak] : waiting) {
      auto ticket = weak.lock();
      if (ticket && now - ticket->arrived_ > options.wait_max) late.push_back(std::move(ticket));
    }
    for (const auto& ticket : late) {
      if (!ticket->seated_) ticket->level_->queues.leave(ticket->id_);
      if (ticket->seated_) lanes.leave(ticket->id_);
      refuse(ticket, "time-out", out);
    }
    out.held.insert(out.held.end(), late.begin(), late.end());
    schedule();
  }
  wake(out);
}

FlowControl::FlowControl(Env& env, const FlowOptions& options)
    : core_(std::make_shared<Core>(env, options)) {
  FlowLevel lanes;
  lanes.queues = kLaneQueues;
  lanes.hand_size = kLaneHand;
  lanes.queue_length = kLaneLength;
  core_->lanes.configure(lanes);
  core_->lanes.set_limit(options.lanes > 0
                             ? options.lanes
                             : static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  core_->strand = env.executor.make_strand("flow-control");
  core_->adjusted = env.clock.mono();
  configure(api::suggested_flow_schemas(), api::suggested_priority_levels());
  std::lock_guard lock(core_->mutex);
  core_->schedule();
}

FlowControl::~FlowControl() { stop(); }

void FlowControl::configure(const std::vector<FlowSchema>& schemas,
                            const std::vector<PriorityLevelConfiguration>& levels) {
  core_->configure(schemas, levels);
}

void FlowControl::stop() {
  Core::Decisions out;
  {
    std::lock_guard lock(core_->mutex);
    core_->stopping = true;
    for (const auto& [id, weak] : core_->waiting) {
      if (auto ticket = weak.lock()) out.held.push_back(std::move(ticket));
    }
    for (const auto& ticket : out.held) core_->refuse(ticket, "cancelled", out);
  }
  Core::wake(out);
}

FlowControl::TicketPtr FlowControl::enter(const RequestInfo& info, const UserInfo& user,
                                          int seats) {
  auto ticket = std::make_shared<Ticket>();
  Core::Decisions out;
  {
    std::lock_guard lock(core_->mutex);
    auto& core = *core_;
    const FlowClass found = core.rules->classify(info, user);
    const auto& level = core.states[found.level];
    ticket->core_ = core_;
    ticket->level_ = level;
    ticket->id_ = ++core.last_id;
    ticket->arrived_ = core.env.clock.mono();
    ticket->schema_ = *found.schema;
    ticket->schema_uid_ = *found.schema_uid;
    ticket->level_uid_ = level->level.uid;
    ticket->who_ = user.name;
    ticket->waited_ = core.stats[found.rule].waited;
    ticket->user_hash_ = flow_hash("", user.name);
    const int most = std::max(1, static_cast<int>(std::ceil(level->share.nominal * kWidthPart)));
    ticket->wide_ = seats > 1;
    ticket->seats_ = std::clamp(seats, 1, std::min(kSeatsMax, most));
    if (core.stopping) {
      core.refuse(ticket, "cancelled", out);
      return ticket;
    }
    level->demand_changes(ticket->arrived_);
    switch (level->queues.arrive(ticket->id_, found.hash, ticket->seats_)) {
      case FlowVerdict::kFull:
        core.refuse(ticket, level->level.queues == 0 ? "concurrency-limit" : "queue-full", out);
        break;
      case FlowVerdict::kRun:
        core.seated(ticket, out);
        level->show();
        break;
      case FlowVerdict::kWait:
        core.waiting[ticket->id_] = ticket;
        core.pump(*level, out);
        break;
    }
    level->demand_changes(ticket->arrived_);
    if (ticket->state_ != State::kRefused) core.stats[found.rule].dispatched->add();
    if (ticket->state_ == State::kWaits && !core.sweeping) core.schedule();
  }
  Core::wake(out);
  return ticket;
}

std::string FlowControl::dump(std::string_view what) const {
  std::vector<TicketPtr> held;  // let go of outside of the lock
  std::lock_guard lock(core_->mutex);
  std::string out;
  if (what == "priority_levels") {
    out =
        "PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, "
        "ExecutingRequests, CurrentCL, ExecutingSeats\n";
    for (const auto& state : core_->states) {
      const auto& queues = state->queues;
      const auto active =
          std::count_if(queues.queues().begin(), queues.queues().end(),
                        [](const auto& q) { return !q.items.empty() || q.running > 0; });
      out += fmt::format("{}, {}, {}, false, {}, {}, {}, {}\n", state->level.name, active,
                         queues.waiting() + queues.running() == 0, queues.waiting(),
                         queues.running(), queues.limit(), queues.seats_used());
    }
  } else if (what == "queues") {
    out = "PriorityLevelName, Index, PendingRequests, ExecutingRequests, SeatsWaiting\n";
    for (const auto& state : core_->states) {
      const auto& queues = state->queues.queues();
      for (size_t i = 0; i < queues.size(); ++i) {
        if (queues[i].items.empty() && queues[i].running == 0) continue;
        out += fmt::format("{}, {}, {}, {}, {}\n", state->level.name, i, queues[i].items.size(),
                           queues[i].running, queues[i].seats_waiting);
      }
    }
  } else if (what == "requests") {
    out = "PriorityLevelName, FlowSchemaName, UserName, Seats, WaitSeconds\n";
    const MonoTime now = core_->env.clock.mono();
    for (const auto& [id, weak] : core_->waiting) {
      auto ticket = weak.lock();
      if (!ticket) continue;
      held.push_back(ticket);
      out += fmt::format("{}, {}, {}, {}, {:.3f}\n", ticket->level_->level.name, ticket->schema_,
                         ticket->who_, ticket->seats_, seconds_between(ticket->arrived_, now));
    }
  }
  return out;
}

FlowControl::Ticket::~Ticket() {
  if (!level_) return;
  Core::Decisions out;
  {
    std::lock_guard lock(core_->mutex);
    core_->leave(*this, out);
  }
  Core::wake(out);
}

State FlowControl::Ticket::state() const {
  std::lock_guard lock(core_->mutex);
  return state_;
}

void FlowControl::Ticket::on_decided(std::function<void()> fn) {
  {
    std::lock_guard lock(core_->mutex);
    if (state_ == State::kWaits) {
      wake_ = std::move(fn);
      return;
    }
  }
  fn();
}

}  // namespace orch::server
