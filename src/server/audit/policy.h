// Which requests are audited, and how much of them: an audit.k8s.io/v1 Policy. Pure and constant
// once made; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::server {

struct UserInfo;
struct RequestInfo;

enum class AuditLevel : uint8_t { kNone, kMetadata, kRequest, kRequestResponse };
enum class AuditStage : uint8_t { kRequestReceived, kResponseStarted, kResponseComplete, kPanic };

std::string_view to_text(AuditLevel level);
std::string_view to_text(AuditStage stage);

struct AuditResources {
  std::string group;
  std::vector<std::string> resources, names;
};
struct AuditRule {
  AuditLevel level = AuditLevel::kNone;
  std::vector<std::string> users, groups, verbs, namespaces, paths;
  std::vector<AuditResources> resources;
  std::vector<AuditStage> omit_stages;
  std::optional<bool> omit_managed_fields;
};

struct AuditDecision {
  AuditLevel level = AuditLevel::kNone;
  bool omit_managed_fields = false;
  uint8_t omitted_stages = 0;  // a bit a stage
  bool omits(AuditStage stage) const {
    return (omitted_stages >> static_cast<int>(stage) & 1) != 0;
  }
};

class AuditPolicy {
 public:
  // YAML or JSON. Unknown fields are errors. Error: a sentence naming the field.
  static Result<AuditPolicy, std::string> parse(std::string_view text);
  // By the first rule that fits; none: not audited.
  AuditDecision decide(const RequestInfo& info, const UserInfo& user) const;
  const std::vector<AuditRule>& rules() const { return rules_; }

 private:
  std::vector<AuditRule> rules_;
  std::vector<AuditStage> omit_stages_;
  bool omit_managed_fields_ = false;
};

}  // namespace orch::server
