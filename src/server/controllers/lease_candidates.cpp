// Coordinated elections: who of the LeaseCandidates holds a Lease, and the end of candidates that
// renew no more. Idle unless coordination.k8s.io/v1alpha2 is served.
#include <algorithm>

#include "server/controllers/coordination.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using coordinationv1::Lease;
using coordinationv1alpha2::LeaseCandidate;

constexpr Seconds kCollectEvery{30 * 60};

class Idle final : public client::Reconciler {
 public:
  client::ReconcileResult reconcile(const ObjectKey&) override { return client::done(); }
};

bool is_served() {
  return find_resource("coordination.k8s.io", "v1alpha2", "leasecandidates") != nullptr;
}

// Keys are Leases that somebody stands for.
class Elections final : public client::Reconciler {
 public:
  explicit Elections(client::ControllerContext& context)
      : context_(context),
        candidates_(context.informers.lister<LeaseCandidate>()),
        leases_(context.informers.lister<Lease>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const WallTime now = context_.env.clock.now();
    std::vector<CandidatePtr> candidates;
    for (const auto& candidate : candidates_.list(key.namespace_)) {
      if (candidate->spec.leaseName == key.name && !is_candidate_expired(*candidate, now)) {
        candidates.push_back(candidate);
      }
    }
    const auto lease = leases_.get(key.namespace_, key.name);
    const Election plan = plan_election(key.namespace_, key.name, candidates, lease.get(), now);
    for (const auto& candidate : plan.candidates) {
      auto updated = context_.client.update(candidate);
      if (!updated && !updated.error().is("NotFound")) return Err(updated.error());
    }
    if (plan.lease) ORCH_CHECK(write(*plan.lease));
    if (!plan.error.empty()) return Err(client::ReconcileError(plan.error));
    return plan.look_again ? client::requeue_after(*plan.look_again) : client::done();
  }

 private:
  Result<Unit, client::ReconcileError> write(const Lease& lease) {
    auto written = lease.metadata.resourceVersion.empty() ? context_.client.create(lease)
                                                          : context_.client.update(lease);
    if (!written) return Err(client::ReconcileError(written.error()));
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<LeaseCandidate> candidates_;
  client::Lister<Lease> leases_;
};

class CandidateCollector final : public client::Reconciler {
 public:
  explicit CandidateCollector(client::ControllerContext& context)
      : context_(context), candidates_(context.informers.lister<LeaseCandidate>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    const WallTime now = context_.env.clock.now();
    for (const auto& candidate : candidates_.list()) {
      if (!is_candidate_expired(*candidate, now)) continue;
      client::DeleteOptions options;  // of what was seen: it may have renewed meanwhile
      options.uid = candidate->metadata.uid;
      options.resource_version = candidate->metadata.resourceVersion;
      auto removed = context_.client.remove<LeaseCandidate>(candidate->metadata.namespace_,
                                                            candidate->metadata.name, options);
      if (!removed && !removed.error().is("NotFound") && !removed.error().is("Conflict")) {
        return Err(removed.error());
      }
    }
    return client::requeue_after(kCollectEvery);
  }

 private:
  client::ControllerContext context_;
  client::Lister<LeaseCandidate> candidates_;
};

}  // namespace

std::unique_ptr<client::Reconciler> idle_reconciler(client::ControllerContext&) {
  return std::make_unique<Idle>();
}

client::ControllerSpec lease_elections(client::ControllerContext& context,
                                       const ControllersConfig&) {
  client::ControllerSpec spec{.name = "leader-election-controller",
                              .watches = {},
                              .strands = 1,
                              .make = idle_reconciler,
                              .initial_keys = {}};
  if (!is_served()) return spec;
  spec.make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    return std::make_unique<Elections>(c);
  };
  auto candidates = context.informers.lister<LeaseCandidate>();
  spec.watches = {
      client::mapped<LeaseCandidate>([](const LeaseCandidate& candidate) {
        return std::vector<ObjectKey>{{candidate.metadata.namespace_, candidate.spec.leaseName}};
      }),
      client::mapped<Lease>([candidates](const Lease& lease) {
        const auto all = candidates.list(lease.metadata.namespace_);
        const bool wanted = std::any_of(all.begin(), all.end(), [&](const auto& candidate) {
          return candidate->spec.leaseName == lease.metadata.name;
        });
        return wanted ? std::vector<ObjectKey>{key_of(lease)} : std::vector<ObjectKey>{};
      })};
  return spec;
}

client::ControllerSpec lease_candidate_collector(client::ControllerContext& context,
                                                 const ControllersConfig&) {
  client::ControllerSpec spec{.name = "leasecandidate-garbage-collector-controller",
                              .watches = {},
                              .strands = 1,
                              .make = idle_reconciler,
                              .initial_keys = {}};
  if (!is_served()) return spec;
  context.informers.get<LeaseCandidate>();
  spec.make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    return std::make_unique<CandidateCollector>(c);
  };
  spec.initial_keys = {{"", "all"}};
  return spec;
}

}  // namespace orch::server
