#include "server/registry/claim_repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orch/api/corev1.h"  // generated
#include "orch/base/log.h"
#include "server/registry/service_allocator.h"

namespace orch::server {
namespace {

constexpr Seconds kPeriod{180};

using api::corev1::Service;

struct Seen {
  std::vector<ClaimingService> services;
  std::vector<HeldClaim> held;
};

Result<Seen, std::string> look(Registry& registry) {
  const api::ResourceInfo& resource = api::resource_of<Service>();
  auto page = registry.list_all(resource);
  if (!page) return Err(page.error().message);
  Seen seen;
  for (const Stored& item : page->items) {
    auto object = Registry::decode(resource, item);
    if (!object) continue;  // damaged: it is there, and keeps what it has
    const auto& service = static_cast<const Service&>(**object);
    seen.services.push_back(
        {Registry::key(resource, service.metadata.namespace_, service.metadata.name),
         item.revision(), ServiceAllocator::claim_keys(service)});
  }
  storage::RangeRequest request;
  request.key = kClaimPrefix;
  request.range_end = storage::prefix_end(kClaimPrefix);
  request.revision = page->revision;
  auto answer = registry.store().range(request);
  if (!answer) return Err(answer.error().message);
  for (const auto& kv : answer->kvs) seen.held.push_back({*kv.key, *kv.value, kv.mod_revision});
  return seen;
}

storage::TxnRequest step(const ClaimFix& fix) {
  using storage::Compare;
  storage::TxnRequest txn;
  const auto unchanged = [&](const std::string& key, storage::Revision revision) {
    txn.compares.push_back({key, "", Compare::Target::kMod, Compare::Op::kEqual, revision, ""});
  };
  unchanged(fix.claim, fix.revision);
  unchanged(fix.owner, fix.owner_revision);
  txn.success.push_back(
      fix.erase ? storage::Op::erase(fix.claim)
                : storage::Op::put(fix.claim, std::make_shared<const std::string>(fix.owner)));
  return txn;
}

}  // namespace

ClaimPlan plan_claims(const std::vector<ClaimingService>& services,
                      const std::vector<HeldClaim>& held) {
  std::map<std::string, std::vector<const ClaimingService*>> wanted;
  std::map<std::string, const ClaimingService*> by_key;
  for (const ClaimingService& service : services) {
    by_key[service.key] = &service;
    for (const std::string& claim : service.claims) wanted[claim].push_back(&service);
  }
  ClaimPlan plan;
  const auto tell_doubles = [&](const std::string& claim, const ClaimingService& owner) {
    for (const ClaimingService* other : wanted[claim]) {
      if (other == &owner) continue;
      plan.doubles.push_back(fmt::format("{} has what belongs to {} ({}): create it anew",
                                         other->key, owner.key, claim));
    }
  };
  for (const HeldClaim& one : held) {
    const auto who = wanted.find(one.claim);
    if (who == wanted.end()) {
      const auto owner = by_key.find(one.owner);
      plan.fixes.push_back({one.claim, one.revision, one.owner,
                            owner == by_key.end() ? 0 : owner->second->revision, true});
      continue;
    }
    const auto rightful =
        std::find_if(who->second.begin(), who->second.end(),
                     [&](const ClaimingService* service) { return service->key == one.owner; });
    const ClaimingService& owner =
        rightful == who->second.end() ? *who->second.front() : **rightful;
    if (rightful == who->second.end()) {
      plan.fixes.push_back({one.claim, one.revision, owner.key, owner.revision, false});
    }
    tell_doubles(one.claim, owner);
    wanted.erase(who);
  }
  for (const auto& [claim, by] : wanted) {
    plan.fixes.push_back({claim, 0, by.front()->key, by.front()->revision, false});
    tell_doubles(claim, *by.front());
  }
  return plan;
}

std::shared_ptr<ClaimRepair> ClaimRepair::create(Env& env, Registry& registry) {
  return std::shared_ptr<ClaimRepair>(new ClaimRepair(env, registry));
}

Result<Unit, std::string> ClaimRepair::run() {
  ORCH_TRY(const Seen seen, look(registry_));
  const ClaimPlan plan = plan_claims(seen.services, seen.held);
  size_t done = 0;
  for (const ClaimFix& fix : plan.fixes) {
    auto answer = registry_.store().txn(step(fix));
    if (!answer) return Err(answer.error().message);
    done += answer->succeeded ? 1 : 0;
  }
  if (done > 0) log::info("services", "{} addresses and node ports put right", done);
  for (const std::string& text : plan.doubles) {
    if (told_.insert(text).second) log::warn("services", "{}", text);
  }
  return Unit{};
}

void ClaimRepair::start() {
  strand_ = env_.executor.make_strand("service-claims");
  later();
}

void ClaimRepair::later() {
  strand_->post_after(kPeriod, [self = shared_from_this()] {
    std::lock_guard lock(self->mutex_);
    if (self->stopped_) return;
    if (auto done = self->run(); !done) log::warn("services", "repair: {}", done.error());
    self->later();
  });
}

void ClaimRepair::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
}

}  // namespace orch::server
