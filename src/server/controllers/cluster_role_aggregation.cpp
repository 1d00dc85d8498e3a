// ClusterRole aggregation: a role with an aggregationRule holds the rules of all roles it selects.
#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/rbacv1.h"
#include "orch/api/selector.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using rbacv1::ClusterRole;
using rbacv1::PolicyRule;
using RolePtr = std::shared_ptr<const ClusterRole>;

bool selects(const ClusterRole& role, const ClusterRole& other) {
  const auto& selectors = role.aggregationRule->clusterRoleSelectors;
  return std::any_of(selectors.begin(), selectors.end(), [&](const auto& selector) {
    auto parsed = LabelSelector::from(selector);
    return parsed && parsed->matches(other.metadata.labels);
  });
}

// The union of the selected roles' rules, in the order of the roles' names.
std::vector<PolicyRule> aggregated_rules(const ClusterRole& role, const std::vector<RolePtr>& all) {
  std::vector<PolicyRule> rules;
  for (const auto& other : all) {
    if (other->metadata.name == role.metadata.name || !selects(role, *other)) continue;
    for (const auto& rule : other->rules) {
      const bool there = std::any_of(rules.begin(), rules.end(),
                                     [&](const auto& have) { return equal(have, rule); });
      if (!there) rules.push_back(rule);
    }
  }
  return rules;
}

class AggregationReconciler final : public client::Reconciler {
 public:
  explicit AggregationReconciler(client::ControllerContext& context)
      : context_(context), roles_(context.informers.lister<ClusterRole>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto role = roles_.get("", key.name);
    if (!role || !role->aggregationRule) return client::done();
    ClusterRole changed = *role;
    changed.rules = aggregated_rules(*role, roles_.list());
    if (equal(changed, *role)) return client::done();
    auto written = context_.client.update(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<ClusterRole> roles_;
};

}  // namespace

client::ControllerSpec cluster_role_aggregation(client::ControllerContext& context,
                                                const ControllersConfig&) {
  auto roles = context.informers.lister<ClusterRole>();
  return {.name = "clusterrole-aggregation-controller",
          .watches = {client::mapped<ClusterRole>([roles](const ClusterRole&) {
            std::vector<ObjectKey> keys;
            for (const auto& role : roles.list()) {
              if (role->aggregationRule) keys.push_back(key_of(*role));
            }
            return keys;
          })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<AggregationReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
