#include <algorithm>
#include <tuple>

#include "orch/api/semantic_version.h"
#include "server/controllers/coordination.h"

namespace orch::server {

using namespace api;
using coordinationv1::Lease;
using coordinationv1alpha2::LeaseCandidate;

namespace {

constexpr Seconds kElection{5};     // to answer in, and how long an elected holder has
constexpr Seconds kLookAgain{5};    // does the holder renew?
constexpr Seconds kValid{30 * 60};  // a candidate without renewal
constexpr const char* kOldest = "OldestEmulationVersion";
constexpr const char* kElectedBy = "coordination.k8s.io/elected-by";
constexpr const char* kElector = "leader-election-controller";

SemanticVersion version_of(const std::string& text) {
  return SemanticVersion::parse(text).value_or(SemanticVersion{});
}

// The smallest is the one to elect.
bool is_better(const LeaseCandidate& a, const LeaseCandidate& b) {
  const auto emulation =
      version_of(a.spec.emulationVersion) <=> version_of(b.spec.emulationVersion);
  if (emulation != 0) return emulation < 0;
  const auto binary = version_of(a.spec.binaryVersion) <=> version_of(b.spec.binaryVersion);
  if (binary != 0) return binary < 0;
  return std::tie(a.metadata.creationTimestamp.unix_seconds, a.metadata.name) <
         std::tie(b.metadata.creationTimestamp.unix_seconds, b.metadata.name);
}

const LeaseCandidate& best_of(const std::vector<CandidatePtr>& candidates) {
  return **std::min_element(candidates.begin(), candidates.end(),
                            [](const auto& a, const auto& b) { return is_better(*a, *b); });
}

// What those of the newest binary want. False = they differ.
bool agreed_strategy(const std::vector<CandidatePtr>& candidates, std::string& out,
                     std::string& error) {
  const LeaseCandidate* newest = candidates.front().get();
  for (const auto& candidate : candidates) {
    const auto order =
        version_of(candidate->spec.binaryVersion) <=> version_of(newest->spec.binaryVersion);
    if (order == 0 && candidate->spec.strategy != newest->spec.strategy) {
      error = "candidates \"" + newest->metadata.name + "\", \"" + candidate->metadata.name +
              "\" at same binary version but received differing strategies " +
              newest->spec.strategy + ", " + candidate->spec.strategy;
      return false;
    }
    if (order > 0) newest = candidate.get();
  }
  out = newest->spec.strategy;
  return true;
}

bool is_lease_expired(const Lease& lease, WallTime now) {
  const auto& spec = lease.spec;
  return !spec.renewTime || !spec.leaseDurationSeconds ||
         spec.renewTime->wall() + Seconds{*spec.leaseDurationSeconds} < now;
}

// Whether there is a reason to look at the candidates at all.
bool is_needed(const std::vector<CandidatePtr>& candidates, const Lease* lease, WallTime now,
               std::string& error) {
  if (lease == nullptr || is_lease_expired(*lease, now)) return true;
  const std::string holder = lease->spec.holderIdentity.value_or("");
  if (holder.empty()) return true;
  // Now and then all are asked, before they count as gone.
  if (std::any_of(candidates.begin(), candidates.end(), [&](const auto& candidate) {
        return candidate->spec.renewTime && candidate->spec.renewTime->wall() + kValid / 2 < now;
      })) {
    return true;
  }
  std::string strategy;
  if (!agreed_strategy(candidates, strategy, error) || strategy != kOldest) return false;
  return best_of(candidates).metadata.name != holder;
}

bool is_fresh(const LeaseCandidate& candidate, WallTime now) {
  return candidate.spec.renewTime && candidate.spec.renewTime->wall() + kElection > now;
}

// Asks who has not been heard of. False = the election goes on after the answers.
bool have_answered(const std::vector<CandidatePtr>& candidates, WallTime now, Election& out) {
  for (const auto& candidate : candidates) {
    const auto& asked = candidate->spec.pingTime;
    if (!asked) continue;
    if (asked->wall() + kElection > now) {
      out.look_again = asked->wall() + kElection - now;
      return false;
    }
    // No answer in time: the others decide.
    out.candidates.push_back(*candidate);
    out.candidates.back().spec.pingTime.reset();
  }
  if (!out.candidates.empty()) return true;
  if (std::all_of(candidates.begin(), candidates.end(),
                  [&](const auto& candidate) { return is_fresh(*candidate, now); })) {
    return true;
  }
  for (const auto& candidate : candidates) {
    out.candidates.push_back(*candidate);
    out.candidates.back().spec.pingTime = MicroTime(now);
  }
  out.look_again = kElection;
  return false;
}

// The Lease as it has to be for `elected` to hold it next; nullopt = as it is.
std::optional<Lease> give(const std::string& ns, const std::string& name, const Lease* lease,
                          const std::string& elected, WallTime now) {
  Lease out;
  if (lease == nullptr) {
    out.metadata.namespace_ = ns;
    out.metadata.name = name;
  } else {
    out = *lease;
  }
  const std::string holder = out.spec.holderIdentity.value_or("");
  if (!holder.empty() && (holder == elected || !is_lease_expired(out, now))) {
    if (holder == elected || out.spec.preferredHolder.value_or("") == elected) return std::nullopt;
    out.spec.preferredHolder = elected;
    out.spec.strategy = kOldest;
    return out;
  }
  out.metadata.annotations[kElectedBy] = kElector;
  out.spec.strategy = kOldest;
  out.spec.preferredHolder.reset();
  out.spec.holderIdentity = elected;
  out.spec.renewTime = MicroTime(now);
  out.spec.leaseDurationSeconds = static_cast<int32_t>(kElection.count());
  if (lease != nullptr) out.spec.acquireTime = MicroTime(now);
  return out;
}

}  // namespace

bool is_candidate_expired(const LeaseCandidate& candidate, WallTime now) {
  return !candidate.spec.renewTime || candidate.spec.renewTime->wall() + kValid < now;
}

Election plan_election(const std::string& ns, const std::string& name,
                       const std::vector<CandidatePtr>& candidates, const Lease* lease,
                       WallTime now) {
  Election out;
  if (candidates.empty()) return out;
  out.look_again = kLookAgain;
  if (!is_needed(candidates, lease, now, out.error)) return out;
  if (!have_answered(candidates, now, out)) return out;
  std::vector<CandidatePtr> alive;
  for (const auto& candidate : candidates) {
    if (is_fresh(*candidate, now)) alive.push_back(candidate);
  }
  std::string strategy;
  if (alive.empty()) {
    out.error = "no available candidates";
  } else if (agreed_strategy(alive, strategy, out.error) && strategy == kOldest) {
    out.lease = give(ns, name, lease, best_of(alive).metadata.name, now);
  }
  return out;
}

}  // namespace orch::server
