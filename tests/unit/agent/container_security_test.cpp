// What a pod asks for its safety either holds in what the runtime is told, or nothing is started.
#include <catch2/catch.hpp>

#include "agent/pod/container_config.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;

namespace {

struct Asked {
  std::string pod_context = "{}", container_context = "{}";
  ImageView image;

  Result<ContainerSpec, Error> run() const {
    const auto pod =
        pod_of(R"({"securityContext":)" + pod_context +
               R"(,"containers":[{"name":"c","securityContext":)" + container_context + "}]}");
    REQUIRE_FALSE(pod.spec.containers.empty());
    const SandboxSpec sandbox;
    return make_container_spec({.pod = pod,
                                .container = pod.spec.containers[0],
                                .kind = ContainerKind::kMain,
                                .restart_count = 3,
                                .sandbox = sandbox,
                                .sandbox_id = "s0",
                                .image_reference = "i",
                                .image = image,
                                .seccomp_default = true});
  }
  std::string refusal() const {
    const auto spec = run();
    if (spec) return "";
    CHECK(spec.error().code == Error::Code::kConfig);
    return spec.error().message;
  }
};

}  // namespace

TEST_CASE("runAsNonRoot: no run is ever root's, the first or a later one") {
  Asked asked{.container_context = R"({"runAsNonRoot":true})"};
  const std::string where = R"x((pod: "web_default(u1)", container: c))x";
  CHECK(asked.refusal() == "container has runAsNonRoot and image will run as root " + where);
  asked.image.uid = 0;
  CHECK(asked.refusal() == "container has runAsNonRoot and image will run as root " + where);
  asked.image.uid.reset();
  asked.image.username = "nobody";
  CHECK(asked.refusal() ==
        "container has runAsNonRoot and image has non-numeric user (nobody), cannot verify user "
        "is non-root " +
            where);
  asked.image.username.clear();
  asked.image.uid = 1000;
  CHECK(asked.refusal().empty());
  asked.container_context = R"({"runAsNonRoot":true,"runAsUser":0})";
  CHECK(asked.refusal() == "container's runAsUser breaks non-root policy " + where);
  asked.container_context = R"({"runAsUser":0})";
  asked.pod_context = R"({"runAsNonRoot":true,"runAsUser":5})";
  CHECK(asked.refusal() == "container's runAsUser breaks non-root policy " + where);
  asked.container_context = R"({"runAsNonRoot":false,"runAsUser":0})";
  CHECK(asked.refusal().empty());
  // A named user of the image is none once the pod says a number.
  asked.image.username = "root";
  asked.container_context = R"({"runAsNonRoot":true})";
  REQUIRE(asked.run());
  CHECK(asked.run()->run_as_user == 5);
}

TEST_CASE("seccomp: a Localhost profile is a file of its folder or nothing is started") {
  const auto with = [](const std::string& profile) {
    return Asked{.container_context = R"({"seccompProfile":)" + profile + "}"};
  };
  for (const char* bad : {"", "../x", "/etc/passwd", "a/../../x", "a/.."}) {
    INFO(bad);
    CHECK(with(R"({"type":"Localhost","localhostProfile":")" + std::string(bad) + R"("})")
              .refusal()
              .starts_with("localhostProfile \""));
  }
  CHECK(with(R"({"type":"Localhost"})").refusal().starts_with("localhostProfile \"\""));
  CHECK(with(R"({"type":"None"})").refusal() == "unknown seccomp profile type \"None\"");
  const auto good = with(R"({"type":"Localhost","localhostProfile":"a/b.json"})").run();
  REQUIRE(good);
  CHECK(good->seccomp.type == SeccompProfile::Type::kLocalhost);
  CHECK(good->seccomp.localhost_path.ends_with("/seccomp/a/b.json"));
  // Nothing said: the default. The container's word counts before the pod's.
  CHECK(Asked{}.run()->seccomp.type == SeccompProfile::Type::kRuntimeDefault);
  Asked both = with(R"({"type":"RuntimeDefault"})");
  both.pod_context = R"({"seccompProfile":{"type":"Unconfined"}})";
  CHECK(both.run()->seccomp.type == SeccompProfile::Type::kRuntimeDefault);
}
