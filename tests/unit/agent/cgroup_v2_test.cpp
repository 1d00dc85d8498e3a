// Cgroup v2 alone, as a container sees it: a cgroup namespace whose root holds the container's own
// processes. The controllers that a machine with v1 leaves to v2 are few; those are passed on.
#include <catch2/catch.hpp>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/containerd/process.h"
#include "agent/pod/cgroups.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace orch::agent;
namespace fs = std::filesystem;

namespace {

constexpr const char* kMount = "/sys/fs/cgroup";

std::string content(const std::string& file) {
  return std::string(trim(read_file(file).value_or("")));
}

void put(const std::string& file, const std::string& text) {
  FILE* out = std::fopen(file.c_str(), "we");
  if (out == nullptr) return;
  std::fputs(text.c_str(), out);
  std::fclose(out);
}

}  // namespace

// Run by the test below, in a process of its own.
TEST_CASE("cgroup v2 inside", "[.][cgroup-v2-inside]") {
  const char* group = std::getenv("ORCH_TEST_CGROUP");
  REQUIRE(group != nullptr);
  put(std::string(group) + "/cgroup.procs", std::to_string(::getpid()));
  REQUIRE(::unshare(CLONE_NEWNS | CLONE_NEWCGROUP) == 0);
  REQUIRE(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  REQUIRE(::mount("none", kMount, "cgroup2", 0, nullptr) == 0);
  const std::string root = kMount;
  REQUIRE(content(root + "/cgroup.procs") == std::to_string(::getpid()));
  const auto controllers = content(root + "/cgroup.controllers");
  REQUIRE_FALSE(controllers.empty());

  CHECK(cgroup_is_v2());
  const auto made = make_cgroup("/orch/test/kubepods/podu1", {});
  CHECK((made ? "" : made.error()) == "");
  CHECK(content(root + "/cgroup.procs").empty());
  CHECK(content(root + "/init/cgroup.procs") == std::to_string(::getpid()));
  CHECK(content(root + "/orch/test/kubepods/podu1/cgroup.controllers") == controllers);
  CHECK(cgroup_processes("/init").contains(::getpid()));
  CHECK(cgroup_processes("/orch").empty());
  CHECK(cgroup_usage("/orch/test"));
  CHECK_FALSE(cgroup_usage("/none"));
  CHECK(make_cgroup("/orch/test/kubepods/podu1", {}));
  const auto limited = make_cgroup("/orch/test", {.cpu_shares = 512});
  const auto all = split(controllers, ' ');
  if (std::find(all.begin(), all.end(), "cpu") != all.end()) {
    CHECK(limited);
    CHECK(content(root + "/orch/test/cpu.weight") == "20");
  } else {
    REQUIRE_FALSE(limited);
    CHECK(limited.error() ==
          "/sys/fs/cgroup/orch/test/cpu.weight: the cgroup controller cpu is not available (see "
          "/sys/fs/cgroup/cgroup.controllers)");
  }
  CHECK(remove_cgroups("/orch").empty());
  CHECK_FALSE(file_exists(root + "/orch"));
}

TEST_CASE("cgroup v2: in a container, where the root group is not empty") {
  const std::string unified = cgroup_is_v2() ? kMount : std::string(kMount) + "/unified";
  const std::string group = unified + "/orch-test-" + std::to_string(::getpid());
  std::error_code ec;
  if (::getuid() != 0 || !fs::create_directory(group, ec)) {
    WARN("no cgroup v2 to make groups in here");
    return;
  }
  // The parent passes on what it can; on this machine that may be next to nothing.
  const std::string passed_on = unified + "/cgroup.subtree_control";
  const auto before = split(content(passed_on), ' ');
  const auto now = split(content(unified + "/cgroup.controllers"), ' ');
  for (const auto& name : now) put(passed_on, "+" + name);
  if (content(group + "/cgroup.controllers").empty()) {
    WARN("cgroup v2 has no controller here");
  } else {
    ::setenv("ORCH_TEST_CGROUP", group.c_str(), 1);
    const auto inside = run_program(
        {fs::read_symlink("/proc/self/exe").string(), "[cgroup-v2-inside]"}, Millis{60'000});
    ::unsetenv("ORCH_TEST_CGROUP");
    CHECK((inside ? "" : inside.error()) == "");
  }
  fs::remove(group + "/init", ec);
  for (int i = 0; i < 100 && !fs::remove(group, ec); ++i) ::usleep(10'000);
  CHECK_FALSE(fs::exists(group));
  for (const auto& name : now) {
    if (std::find(before.begin(), before.end(), name) == before.end()) put(passed_on, "-" + name);
  }
}
