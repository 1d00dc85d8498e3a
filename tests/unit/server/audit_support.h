// What tests of the audit share.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "server/audit/policy.h"

namespace orch::server::test {

struct TempDir {
  TempDir() {
    char name[] = "/tmp/orch-audit-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

inline std::string policy_text(const std::string& rules, const std::string& more = "") {
  return "apiVersion: audit.k8s.io/v1\nkind: Policy\n" + more + "rules:\n" + rules;
}
inline AuditPolicy policy(const std::string& rules, const std::string& more = "") {
  auto parsed = AuditPolicy::parse(policy_text(rules, more));
  INFO((parsed ? "" : parsed.error()));
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace orch::server::test
