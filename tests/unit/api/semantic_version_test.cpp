#include "orch/api/semantic_version.h"

#include <catch2/catch.hpp>

#include "orch/api/on_request.h"
#include "orch/api/scheme.h"

namespace orch::api {
namespace {

SemanticVersion parsed(const char* text) {
  auto out = SemanticVersion::parse(text);
  INFO(text);
  REQUIRE(out);
  return *out;
}

TEST_CASE("semantic versions are in the order of semver.org") {
  const char* kOrder[] = {"1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
                          "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",       "1.0.0",
                          "1.0.1",        "1.9.0",         "1.10.0",           "2.0.0"};
  for (size_t i = 1; i < std::size(kOrder); ++i) {
    INFO(kOrder[i]);
    CHECK(parsed(kOrder[i - 1]) < parsed(kOrder[i]));
  }
  CHECK(parsed("1.2.3+build.5") == parsed("1.2.3"));
}

TEST_CASE("what is no semantic version") {
  for (const char* text : {"", "1", "1.2", "1.2.3.4", "v1.2.3", "1.02.3", "1.2.x", "1.2.3-",
                           "1.2.3-a..b", "1.2.3-ä", "99999999999999999999.0.0", "-1.2.3"}) {
    INFO(text);
    CHECK_FALSE(SemanticVersion::parse(text));
  }
}

TEST_CASE("alpha APIs are there on request only") {
  CHECK(find_resource("coordination.k8s.io", "v1alpha2", "leasecandidates") == nullptr);
  CHECK(find_resource("internal.apiserver.k8s.io", "v1alpha1", "storageversions") == nullptr);
  CHECK(apis_on_request() == std::vector<std::string>{"coordination.k8s.io/v1alpha2",
                                                      "internal.apiserver.k8s.io/v1alpha1"});
  CHECK_FALSE(serve_api("coordination.k8s.io/v9"));
}

}  // namespace
}  // namespace orch::api
