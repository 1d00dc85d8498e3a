#include "orch/client/leader_election.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "orch/api/coordinationv1.h"  // generated
#include "orch/api/error.h"
#include "orch/base/log.h"

namespace orch::client {

namespace {

namespace coordinationv1 = api::coordinationv1;

class Election final : public LeaderElection {
 public:
  Election(Env& env, const Client& client, LeaderElectionOptions options)
      : env_(env), client_(client), options_(std::move(options)) {}
  ~Election() override { stop(); }
  void begin() {
    campaign_ = std::thread([this] { campaign(); });
  }
  bool leading() const override { return leading_; }
  void stop() override;

 private:
  bool pause(Micros time);  // false: stopped
  bool try_once();
  bool write(const std::optional<coordinationv1::Lease>& found, LeaderMove move);
  void complain(const api::Error& error);
  void campaign();
  void term();
  void work_through_term();
  void release();

  Env& env_;
  const Client& client_;
  const LeaderElectionOptions options_;
  std::thread campaign_;
  std::atomic<bool> leading_{false};
  std::string complaint_;  // the last one, said once
  std::string stamp_;  // of the Lease when last looked at, and since when
  MonoTime seen_at_{};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  bool over_ = false;   // the term
  MonoTime renewed_{};  // in this term, last
};

bool Election::pause(Micros time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopped_; });
}

bool Election::write(const std::optional<coordinationv1::Lease>& found, LeaderMove move) {
  coordinationv1::Lease lease = found.value_or(coordinationv1::Lease{});
  lease.metadata.namespace_ = options_.ns;
  lease.metadata.name = options_.name;
  const api::MicroTime now{env_.clock.now()};
  lease.spec.holderIdentity = options_.identity;
  lease.spec.leaseDurationSeconds = static_cast<int32_t>(options_.times.lease_duration.count());
  lease.spec.renewTime = now;
  if (move == LeaderMove::kTake) {
    lease.spec.acquireTime = now;
    if (found) lease.spec.leaseTransitions = lease.spec.leaseTransitions.value_or(0) + 1;
  }
  // With the version that was read: of two candidates one succeeds.
  const auto written = found ? client_.update(lease) : client_.create(lease);
  if (!written && written.error().code != 409) complain(written.error());
  if (written) complaint_.clear();
  return written.has_value();
}

void Election::complain(const api::Error& error) {
  if (std::exchange(complaint_, error.message) == error.message) return;
  log::warn("leader-election", "{}/{}: {}", options_.ns, options_.name, error.message);
}

bool Election::try_once() {
  auto lease = client_.get<coordinationv1::Lease>(options_.ns, options_.name);
  if (!lease && lease.error().code != 404) {
    complain(lease.error());
    return false;
  }
  std::optional<LeaderRecord> record;
  if (lease) {
    const auto& spec = lease->spec;
    record = LeaderRecord{spec.holderIdentity.value_or(""), spec.leaseDurationSeconds.value_or(0),
                          spec.leaseTransitions.value_or(0), lease->metadata.resourceVersion};
  }
  const MonoTime now = env_.clock.mono();
  const std::string stamp = record ? record->stamp : "";
  if (std::exchange(stamp_, stamp) != stamp || seen_at_ == MonoTime{}) seen_at_ = now;
  const LeaderMove move = plan_leader_move(record, seen_at_, now, options_.identity);
  if (move == LeaderMove::kWait) return false;
  return write(lease ? std::optional(*lease) : std::nullopt, move);
}

void Election::campaign() {
  do {
    if (try_once()) {
      log::info("leader-election", "{} leads ({}/{})", options_.identity, options_.ns,
                options_.name);
      term();
    }
  } while (pause(options_.times.retry_period));
}

void Election::term() {
  {
    std::lock_guard lock(mutex_);
    renewed_ = env_.clock.mono();
    over_ = false;
  }
  leading_ = true;
  std::thread work([this] { work_through_term(); });
  bool on = true;
  while (leading_) {
    on = pause(options_.times.retry_period);
    if (!on) break;
    // Counts from before the attempt: what a renewal took is time the others count, too.
    const MonoTime before = env_.clock.mono();
    if (!leading_ || !try_once()) continue;
    std::lock_guard lock(mutex_);
    renewed_ = before;
  }
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  work.join();
  if (!on) release();
}

// On a thread of its own, so that a renewal that hangs does not prolong the term.
void Election::work_through_term() {
  options_.began();
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const MonoTime end = renewed_ + options_.times.renew_deadline;
      const MonoTime now = env_.clock.mono();
      if (over_ || now >= end) break;
      changed_.wait_for(lock, end - now);
    }
    if (!over_) {
      log::error("leader-election", "{} could not renew {}/{} in time and leads no more",
                 options_.identity, options_.ns, options_.name);
    }
  }
  leading_ = false;
  options_.ended();
}

void Election::release() {
  auto lease = client_.get<coordinationv1::Lease>(options_.ns, options_.name);
  if (!lease || lease->spec.holderIdentity.value_or("") != options_.identity) return;
  lease->spec.holderIdentity = "";
  lease->spec.leaseDurationSeconds = 1;
  (void)client_.update(*lease);
}

void Election::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (campaign_.joinable()) campaign_.join();
}

}  // namespace

LeaderMove plan_leader_move(const std::optional<LeaderRecord>& record, MonoTime seen_at,
                            MonoTime now, const std::string& identity) {
  if (!record || record->holder.empty()) return LeaderMove::kTake;
  if (record->holder == identity) return LeaderMove::kRenew;
  return now - seen_at >= Seconds(record->duration_seconds) ? LeaderMove::kTake : LeaderMove::kWait;
}

std::unique_ptr<LeaderElection> LeaderElection::start(Env& env, const Client& client,
                                                      LeaderElectionOptions options) {
  auto election = std::make_unique<Election>(env, client, std::move(options));
  election->begin();
  return election;
}

}  // namespace orch::client
