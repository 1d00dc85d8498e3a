// Keeps the claims of a shared store (claims.h) and its Services in agreement: Services of before
// there were claims, written beside the API, or restored get theirs; claims without their Service
// go. As kube-apiserver's repair: at the start and every three minutes, on every server; each step
// is a compare-and-swap, so that they do not disturb each other.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "server/registry/registry.h"

namespace orch::server {

struct ClaimingService {
  std::string key;
  storage::Revision revision = 0;
  std::vector<std::string> claims;  // that it should have
};
struct HeldClaim {
  std::string claim, owner;
  storage::Revision revision = 0;
};
struct ClaimFix {
  std::string claim;
  storage::Revision revision = 0;  // the claim's, as it was seen; 0 = it was not there
  std::string owner;
  storage::Revision owner_revision = 0;
  bool erase = false;  // else it becomes the owner's
};
struct ClaimPlan {
  std::vector<ClaimFix> fixes;
  std::vector<std::string> doubles;  // "KEY: also KEY's": sentences for the log
};
// Pure. Both as of one revision.
ClaimPlan plan_claims(const std::vector<ClaimingService>& services,
                      const std::vector<HeldClaim>& held);

class ClaimRepair : public std::enable_shared_from_this<ClaimRepair> {
 public:
  // The registry lives until stop().
  static std::shared_ptr<ClaimRepair> create(Env& env, Registry& registry);
  // Once, now. Error: a sentence.
  Result<Unit, std::string> run();
  void start();  // from now on, every three minutes
  void stop();   // waits for what is under way

 private:
  ClaimRepair(Env& env, Registry& registry) : env_(env), registry_(registry) {}
  void later();

  Env& env_;
  Registry& registry_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::set<std::string> told_;  // doubles, said once
  std::shared_ptr<Strand> strand_;
};

}  // namespace orch::server
