// What webhook configurations and admission policies share: which requests they concern.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "api/kinds/common.h"
#include "orch/api/admissionregistrationv1.h"

namespace orch::api {

void default_rule(admissionregistrationv1::Rule& rule);
void validate_rule(const admissionregistrationv1::RuleWithOperations& rule, const std::string& path,
                   FieldErrors& errors);
void validate_match_conditions(
    const std::vector<admissionregistrationv1::MatchCondition>& conditions, const std::string& path,
    FieldErrors& errors);
void default_match_resources(admissionregistrationv1::MatchResources& match);
void validate_match_resources(const admissionregistrationv1::MatchResources& match,
                              const std::string& path, FieldErrors& errors);

// Generation counts changes of what `part` shows; there is no status, or it is kept elsewhere.
template <class List>
bool same_list(const List& a, const List& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace orch::api
