// RBAC's rules: what covers a rule allows all it allows, and covering is complete.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "orch/api/codec.h"
#include "server/auth/rbac.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace orch;
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto role = api::from_json<api::rbacv1::ClusterRole>(text);
  if (!role || role->rules.size() > 8) return 0;
  const auto& rules = role->rules;
  for (const auto& rule : rules) {
    if (rule.verbs.size() * rule.apiGroups.size() * rule.resources.size() > 4096) return 0;
  }
  // Every role covers itself.
  if (!server::uncovered(rules, rules).empty()) std::abort();
  const auto joined = server::compacted(server::uncovered({}, rules));
  if (!server::uncovered(joined, rules).empty()) std::abort();
  for (const auto& rule : rules) {
    (void)server::shown(rule);
    for (const auto& verb : rule.verbs) {
      for (const auto& url : rule.nonResourceURLs) {
        server::Attributes asked;
        asked.resource_request = false;
        asked.verb = verb;
        asked.path = url;
        if (!server::rule_allows(rule, asked)) std::abort();
      }
    }
  }
  return 0;
}
