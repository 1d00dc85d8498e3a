// Alpha APIs of coordination, served on request: the pure core of coordinated elections (KEP-4355),
// and what StorageVersions say in common (KEP-2339).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/apiserverinternalv1alpha1.h"
#include "orch/api/coordinationv1.h"
#include "orch/api/coordinationv1alpha2.h"
#include "orch/client/reconciler.h"

namespace orch::server {

using CandidatePtr = std::shared_ptr<const api::coordinationv1alpha2::LeaseCandidate>;

// A candidate that has not renewed for half an hour is none.
bool is_candidate_expired(const api::coordinationv1alpha2::LeaseCandidate& candidate, WallTime now);

struct Election {
  std::vector<api::coordinationv1alpha2::LeaseCandidate> candidates;  // to update
  // To create (without a resourceVersion) or update.
  std::optional<api::coordinationv1::Lease> lease;
  std::optional<Micros> look_again;
  std::string error;  // nobody can be elected
};
// One step of the election of the Lease ns/name: those who do not answer are asked first, then the
// oldest emulation version wins, of these the oldest binary, of these the oldest candidate. Others'
// Leases get a preferredHolder, expired ones the new holder. `candidates` are those of this Lease
// that are not expired; `lease` may be null.
Election plan_election(const std::string& ns, const std::string& name,
                       const std::vector<CandidatePtr>& candidates,
                       const api::coordinationv1::Lease* lease, WallTime now);

// Sets commonEncodingVersion and the condition AllEncodingVersionsEqual by what the servers say.
void set_common_version(api::apiserverinternalv1alpha1::StorageVersion& version, WallTime now);

// Of controllers whose API is not served.
std::unique_ptr<client::Reconciler> idle_reconciler(client::ControllerContext& context);

}  // namespace orch::server
