#include "agent/pod/image_name.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using orch::agent::image_name_error;

TEST_CASE("Image names that a registry could know") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const std::string& name : std::vector<std::string>{
           "busybox", "busybox:1.36", "library/busybox", "docker.io/library/orch-test:1",
           "localhost/a", "localhost:5000/a/b:c", "127.0.0.1:1/absent:1", "REGISTRY/a",
           "a__b/c-d--e.f", "[::1]:5000/a", "registry.example.com/team/app:V1_x.y-z"}) {
    INFO(name);
    CHECK(image_name_error(name) == "");
    CHECK(image_name_error(name + "@" + digest) == "");
  }
  // As the runtime names an image without a tag.
  CHECK(image_name_error(digest) == "");
}

TEST_CASE("Image names that are none") {
  for (const std::string& name :
       std::vector<std::string>{"", "a:", "a b", "/a", "a/", "a//b", "a..b", "a___b", "-a", "a-",
                                "a:b:c", "a:-b", "a@b", "a@sha256:12", "-x.io/a", "x.io:port/a",
                                "a:" + std::string(129, 't'), std::string(256, 'a')}) {
    INFO(name);
    CHECK(image_name_error(name) == "invalid reference format");
  }
  CHECK(image_name_error("UPPER/CASE") ==
        "invalid reference format: repository name (CASE) must be lowercase");
}
