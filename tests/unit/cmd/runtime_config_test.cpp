#include "cmd/runtime_config.h"

#include <catch2/catch.hpp>

namespace orch::cmd {
namespace {

TEST_CASE("--runtime-config: what it refuses, by name") {
  CHECK(serve_apis({}));
  CHECK(serve_apis({"coordination.k8s.io/v1alpha2=false", "api/alpha=false"}));
  CHECK(serve_apis({"apps/v1=true"}).error() ==
        "--runtime-config: \"apps/v1\" is no API to be turned on or off; these are: "
        "coordination.k8s.io/v1alpha2, internal.apiserver.k8s.io/v1alpha1");
  CHECK(serve_apis({"api/all=maybe"}).error() ==
        "--runtime-config: api/all: \"maybe\" is neither true nor false");
}

}  // namespace
}  // namespace orch::cmd
