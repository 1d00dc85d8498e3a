#include "server/http/flow_queues.h"

#include <algorithm>
#include <cmath>

namespace orch::server {
namespace {

// What a request is charged with when it starts; the rest when it is done.
constexpr double kFirstSeconds = 0.003;

}  // namespace

std::vector<uint32_t> deal(uint64_t hash, uint32_t deck, uint32_t hand) {
  std::vector<uint32_t> sorted, out;
  for (uint32_t i = 0; i < hand && i < deck; ++i) {
    const uint64_t left = deck - i;
    auto card = static_cast<uint32_t>(hash % left);
    hash /= left;
    // The card of that number among those not dealt yet.
    auto at = sorted.begin();
    for (; at != sorted.end() && *at <= card; ++at) ++card;
    sorted.insert(at, card);
    out.push_back(card);
  }
  return out;
}

void FlowQueues::configure(const FlowLevel& level) {
  exempt_ = level.exempt;
  hand_size_ = level.hand_size;
  queue_length_ = level.queue_length;
  // Queues that are no longer wanted go once nothing is in them.
  const auto wanted = static_cast<size_t>(level.queues);
  while (queues_.size() > wanted && queues_.back().items.empty() && queues_.back().running == 0) {
    queues_.pop_back();
  }
  if (queues_.size() < wanted) queues_.resize(wanted);
}

void FlowQueues::take(int seats, uint32_t queue) {
  seats_used_ += seats;
  ++running_;
  if (queue == kNoQueue) return;
  auto& q = queues_[queue];
  ++q.running;
  virtual_time_ = std::max(virtual_time_, q.served);
  q.served = std::max(q.served, virtual_time_) + seats * kFirstSeconds;
}

FlowVerdict FlowQueues::arrive(uint64_t id, uint64_t hash, int seats) {
  if (exempt_ || queues_.empty()) {
    if (!exempt_ && !fits(seats)) return FlowVerdict::kFull;
    take(seats, kNoQueue);
    return FlowVerdict::kRun;
  }
  uint32_t best = 0;
  int least = INT32_MAX;
  for (const uint32_t card :
       deal(hash, static_cast<uint32_t>(queues_.size()), static_cast<uint32_t>(hand_size_))) {
    const int load = queues_[card].seats_waiting + queues_[card].running;
    if (load >= least) continue;
    least = load;
    best = card;
  }
  auto& queue = queues_[best];
  if (static_cast<int>(queue.items.size()) >= queue_length_) return FlowVerdict::kFull;
  if (queue.items.empty()) queue.served = std::max(queue.served, virtual_time_);
  queue.items.push_back({id, seats});
  queue.seats_waiting += seats;
  seats_waiting_ += seats;
  ++waiting_;
  return FlowVerdict::kWait;
}

bool FlowQueues::leave(uint64_t id) {
  for (auto& queue : queues_) {
    const auto it = std::find_if(queue.items.begin(), queue.items.end(),
                                 [&](const auto& item) { return item.id == id; });
    if (it == queue.items.end()) continue;
    queue.seats_waiting -= it->seats;
    seats_waiting_ -= it->seats;
    --waiting_;
    queue.items.erase(it);
    return true;
  }
  return false;
}

void FlowQueues::finish(int seats, double seconds, uint32_t queue) {
  seats_used_ -= seats;
  --running_;
  if (queue == kNoQueue || queue >= queues_.size()) return;
  --queues_[queue].running;
  queues_[queue].served += seats * std::max(0.0, seconds - kFirstSeconds);
}

uint64_t FlowQueues::next(int& seats, uint32_t& queue) {
  if (waiting_ == 0) return 0;
  size_t best = queues_.size();
  for (size_t n = 1; n <= queues_.size(); ++n) {
    const size_t i = (turn_ + n) % queues_.size();
    if (queues_[i].items.empty()) continue;
    if (best == queues_.size() || queues_[i].served < queues_[best].served) best = i;
  }
  auto& q = queues_[best];
  const auto item = q.items.front();
  // Whoever is next waits for room, and all behind it: a wide request is not passed by for ever.
  if (!fits(item.seats)) return 0;
  q.items.pop_front();
  q.seats_waiting -= item.seats;
  seats_waiting_ -= item.seats;
  --waiting_;
  turn_ = best;
  queue = static_cast<uint32_t>(best);
  seats = item.seats;
  take(item.seats, queue);
  return item.id;
}

std::vector<SeatShare> seat_shares(const std::vector<FlowLevel>& levels, int server_seats) {
  int64_t sum = 0;
  for (const auto& level : levels) sum += level.shares;
  std::vector<SeatShare> out;
  for (const auto& level : levels) {
    SeatShare share;
    if (sum > 0) {
      share.nominal = static_cast<int>(
          std::ceil(static_cast<double>(server_seats) * level.shares / static_cast<double>(sum)));
    }
    share.minimum = share.nominal -
                    static_cast<int>(std::lround(share.nominal * level.lendable_percent / 100.0));
    share.maximum = server_seats;
    if (level.borrowing_percent >= 0) {
      share.maximum = std::min(
          server_seats, share.nominal + static_cast<int>(std::lround(
                                            share.nominal * level.borrowing_percent / 100.0)));
    }
    out.push_back(share);
  }
  return out;
}

std::vector<int> lend_seats(const std::vector<FlowLevel>& levels,
                            const std::vector<SeatShare>& shares, const std::vector<double>& demand,
                            int server_seats) {
  const size_t n = levels.size();
  std::vector<double> least(n), target(n);
  for (size_t i = 0; i < n; ++i) {
    // Nobody gets less than what it wants of what it was promised.
    least[i] = std::max<double>(shares[i].minimum,
                                std::min<double>(shares[i].nominal, std::ceil(demand[i])));
    target[i] = std::max({demand[i], least[i], 1.0});
  }
  const auto seats = [&](double part, size_t i) {
    return std::clamp<double>(part * target[i], least[i],
                              std::max<double>(least[i], shares[i].maximum));
  };
  double low = 0, high = server_seats + 1.0;
  for (int step = 0; step < 50; ++step) {
    const double middle = (low + high) / 2;
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      if (!levels[i].exempt) sum += seats(middle, i);
    }
    (sum > server_seats ? high : low) = middle;
  }
  std::vector<int> out;
  for (size_t i = 0; i < n; ++i) {
    out.push_back(std::max(1, static_cast<int>(std::lround(seats(low, i)))));
  }
  return out;
}

}  // namespace orch::server
