#include "sim/wire.h"

#include <algorithm>
#include <chrono>

#include "orch/base/assert.h"

namespace orch::sim {
namespace {

constexpr Seconds kPatience{30};  // until a client gives a request up

bool is_write(std::string_view verb) { return verb != "get" && verb != "list" && verb != "watch"; }

api::Error unreachable() { return api::service_unavailable("connect: connection refused"); }

api::Error timed_out() {
  return api::timeout("request did not complete within the requested timeout", 0);
}

}  // namespace

Micros Wire::latency(Micros min, Micros max) {
  if (max <= min) return min;
  const auto span = static_cast<uint64_t>((max - min).count()) + 1;
  return min + Micros{static_cast<int64_t>(random_below(random_, span))};
}

Micros Wire::serve(Micros cost) {
  if (busy_until_.empty()) return Micros{0};
  const MonoTime now = env_.clock.mono();
  auto& first_free = *std::min_element(busy_until_.begin(), busy_until_.end());
  first_free = std::max(first_free, now) + cost;
  return first_free - now;
}

std::unique_ptr<Wire::Line> Wire::connect(std::string component,
                                          std::unique_ptr<client::Transport> inner) {
  return std::make_unique<Line>(*this, std::move(component), std::move(inner));
}

Wire::Line::Line(Wire& wire, std::string component, std::unique_ptr<client::Transport> inner)
    : wire_(wire), component_(std::move(component)), inner_(std::move(inner)) {}
Wire::Line::~Line() { ORCH_ASSERT(in_flight_ == 0); }

void Wire::Line::wait(Micros delay) {
  if (wire_.executor_.in_task() && delay > Micros{0}) wire_.executor_.sleep(delay);
}

api::ApiResult<client::Response> Wire::Line::call(const client::Request& request) {
  if (cut_) return Err(unreachable());
  const MonoTime begin = wire_.env_.clock.mono();
  CallSeen seen{component_, request};
  ++in_flight_;
  auto answer = carry_out(request, seen);
  --in_flight_;
  if (cut_) answer = Err(unreachable());
  if (!answer) seen.error = answer.error().message;
  seen.virtual_took = wire_.env_.clock.mono() - begin;
  if (wire_.after) wire_.after(seen);
  return answer;
}

api::ApiResult<client::Response> Wire::Line::carry_out(const client::Request& request,
                                                       CallSeen& seen) {
  const WireOptions& options = wire_.options_;
  const WireFaults& faults = wire_.faults;
  const bool writes = is_write(request.verb);
  wait(wire_.latency(options.latency_min, options.latency_max) * slowness_);
  if (cut_) return Err(unreachable());
  if (wire_.strikes(faults.refused)) {
    switch (random_below(wire_.random_, 3)) {
      case 0:
        return Err(api::internal_error("etcdserver: leader changed"));
      case 1:
        return Err(
            api::service_unavailable("the server is currently unable to handle the request"));
      default:
        return Err(api::too_many_requests("too many requests, please try again later", 1));
    }
  }
  if ((request.verb == "update" || request.verb == "patch") && wire_.strikes(faults.conflicts)) {
    return Err(api::conflict({request.group, request.resource}, request.name,
                             "the object has been modified; please apply your changes to the "
                             "latest version and try again"));
  }
  if (wire_.strikes(faults.lost)) {
    wait(kPatience);
    return Err(timed_out());
  }
  if (wire_.before) wire_.before(component_, request);
  const auto real = std::chrono::steady_clock::now();
  auto answer = inner_->call(request);
  seen.real_took = std::chrono::steady_clock::now() - real;
  seen.code = answer ? answer->code : answer.error().code;
  Micros cost = writes ? options.write_cost : options.read_cost;
  if (request.verb == "list" && answer) {
    cost += options.list_cost_per_kb * static_cast<int64_t>(answer->body.size() / 1024);
  }
  const bool unanswered = wire_.strikes(faults.unanswered);
  wait(wire_.serve(cost) + wire_.latency(options.latency_min, options.latency_max) * slowness_);
  if (unanswered) {
    wait(kPatience);
    return Err(timed_out());
  }
  return answer;
}

// Events in the order of the server, each after a delay of its own; nothing after the end.
struct Wire::Line::Watch final : client::WatchStream {
  struct State : std::enable_shared_from_this<State> {
    Wire& wire;
    Line& line;
    client::WatchCallbacks callbacks;
    std::shared_ptr<Strand> strand;
    std::unique_ptr<client::WatchStream> inner;
    MonoTime last_due{};
    bool ending = false;  // nothing further is taken from the server
    bool ended = false;   // nothing further is delivered

    State(Wire& w, Line& l, client::WatchCallbacks c)
        : wire(w), line(l), callbacks(std::move(c)), strand(w.env_.executor.make_strand("wire")) {}

    void later(std::function<void(State&)> what) {
      const MonoTime now = wire.env_.clock.mono();
      const Micros delay = wire.latency(Micros{0}, wire.options_.watch_latency_max);
      last_due = std::max(last_due, now + delay * line.slowness_);
      strand->post_after(last_due - now, [weak = weak_from_this(), what = std::move(what)] {
        if (auto self = weak.lock(); self && !self->ended) what(*self);
      });
    }
    void event(client::WatchEvent event) {
      if (ending || ended) return;
      if (wire.options_.watch_latency_max <= Micros{0}) {
        callbacks.event(std::move(event));
        return;
      }
      later([event = std::move(event)](State& self) { self.callbacks.event(event); });
      const WireFaults& faults = wire.faults;
      const bool gone = wire.strikes(faults.watch_gone);
      if (!gone && !wire.strikes(faults.watch_drops)) return;
      const auto error = api::expired("too old resource version");
      end(gone ? &error : nullptr);
    }
    void end(const api::Error* error) {
      if (ending || ended) return;
      ending = true;
      std::optional<api::Error> why;
      if (error != nullptr) why = *error;
      later([why](State& self) {
        self.ended = true;
        const auto keep = self.shared_from_this();
        self.inner.reset();
        self.callbacks.ended(why ? &*why : nullptr);
      });
    }
  };

  explicit Watch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Watch() override {
    state_->ended = true;
    state_->inner.reset();
  }
  const std::shared_ptr<State> state_;
};

api::ApiResult<std::unique_ptr<client::WatchStream>> Wire::Line::watch(
    const client::Request& request, client::WatchCallbacks callbacks) {
  if (cut_) return Err(unreachable());
  ++in_flight_;
  wait(wire_.latency(wire_.options_.latency_min, wire_.options_.latency_max) * slowness_);
  --in_flight_;
  if (cut_ || wire_.strikes(wire_.faults.refused)) return Err(unreachable());
  auto state = std::make_shared<Watch::State>(wire_, *this, std::move(callbacks));
  client::WatchCallbacks mine;
  mine.event = [state](client::WatchEvent event) { state->event(std::move(event)); };
  mine.ended = [state](const api::Error* error) { state->end(error); };
  auto inner = inner_->watch(request, std::move(mine));
  if (!inner) return Err(std::move(inner).error());
  state->inner = std::move(*inner);
  return std::unique_ptr<client::WatchStream>(std::make_unique<Watch>(std::move(state)));
}

}  // namespace orch::sim
