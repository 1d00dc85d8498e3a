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

}  // namespace orch::api
