// Audit policies: any text is a policy or an error, and every policy decides about any request.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/api/call.h"
#include "server/audit/policy.h"

using namespace orch::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto policy = AuditPolicy::parse(input);
  if (!policy) {
    if (policy.error().empty()) std::abort();
    return 0;
  }
  if (policy->rules().empty()) std::abort();
  static const UserInfo kUsers[] = {{"", "", {}, {}}, {"system:node:n", "", {"system:nodes"}, {}}};
  for (const char* target : {"/", "/healthz", "/api/v1/pods", "/api/v1/namespaces/a/pods/p/log",
                             "/apis/apps/v1/namespaces/a/deployments/d/status"}) {
    for (const char* method : {"GET", "DELETE", "OPTIONS"}) {
      for (const auto& user : kUsers) {
        const auto decision = policy->decide(parse_request(method, target, {}), user);
        if (decision.level > AuditLevel::kRequestResponse) std::abort();
      }
    }
  }
  return 0;
}
