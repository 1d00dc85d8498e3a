// The single filters. Each looks at or completes a Call; an error ends the request.
#pragma once

#include <atomic>
#include <memory>

#include "orch/api/error.h"
#include "orch/net/http.h"
#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

// Fills call.user from certificate or bearer token.
api::ApiResult<Unit> authenticate(const Hooks& hooks, const net::HttpRequest& request, Call& call);
// Impersonate-User, -Group, -Uid, -Extra-*: 403 unless each is allowed; replaces call.user.
api::ApiResult<Unit> impersonate(const Hooks& hooks, const net::HttpRequest& request, Call& call);
// Watches, logs, execs and proxies: not counted, not timed.
bool long_running(const Call& call);

// Counts requests in flight, by kind; 429 beyond the limit.
class InFlight {
 public:
  InFlight(int read_max, int mutating_max) : read_max_(read_max), mutating_max_(mutating_max) {}
  class Slot {
   public:
    Slot() = default;
    explicit Slot(std::atomic<int>* count) : count_(count) {}
    Slot(Slot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }
    ~Slot() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    std::atomic<int>* count_ = nullptr;
  };
  api::ApiResult<Slot> enter(const Call& call);

 private:
  const int read_max_, mutating_max_;
  std::atomic<int> reading_{0}, mutating_{0};
};

// apiserver_request_total and its kin, with bounded labels.
void count_request(const Call& call, int status, double seconds);

}  // namespace orch::server
