// Which images are collected, when, and in what order.
#include <catch2/catch.hpp>

#include "agent/containerd/image_importer.h"
#include "agent/images/image_collector.h"
#include "agent/images/image_plan.h"

namespace orch::agent {
namespace {

constexpr MonoTime kStart{std::chrono::hours{1}};

ImageView image(std::string id, uint64_t size, std::vector<std::string> tags = {}) {
  ImageView out;
  out.id = std::move(id);
  out.size_bytes = size;
  out.tags = std::move(tags);
  return out;
}

std::string ids(const std::vector<UnusedImage>& images) {
  std::string out;
  for (const auto& i : images) out += i.id + " ";
  return out;
}

TEST_CASE("images: used, pinned and kept ones stay, by id, tag or digest") {
  ImageHistory history;
  ImagesSeen seen;
  seen.images = {
      image("by-id", 1),  image("by-tag", 1, {"docker.io/library/a:1"}), image("by-digest", 1),
      image("pinned", 1), image("kept", 1, {"orch.local/pause:1"}),      image("free", 1, {"b:1"})};
  seen.images[2].digests = {"a@sha256:1"};
  seen.images[3].pinned = true;
  seen.used = {"by-id", "docker.io/library/a:1", "a@sha256:1"};
  seen.kept = {"orch.local/pause:1"};
  history.observe(seen, kStart);
  CHECK(ids(history.unused()) == "free ");
  seen.used.clear();
  history.observe(seen, kStart + Seconds{300});
  // What was used lately comes last.
  CHECK(ids(history.unused()) == "free by-digest by-id by-tag ");
  history.removed("free");
  CHECK(ids(history.unused()) == "by-digest by-id by-tag ");
}

TEST_CASE("images: a young image is spared, one that was there at the start is not") {
  ImageHistory history;
  ImagesSeen seen;
  seen.images = {image("old", 10)};
  history.observe(seen, kStart);
  seen.images.push_back(image("young", 10));
  history.observe(seen, kStart + Seconds{60});
  const ImagePolicy policy;
  CHECK(ids(history.unused()) == "old young ");
  CHECK(ids(removable(history.unused(), policy, kStart + Seconds{179})) == "old ");
  CHECK(ids(removable(history.unused(), policy, kStart + Seconds{180})) == "old young ");
}

TEST_CASE("images: maximum age counts from the last use, and from the agent's start") {
  ImagePolicy policy;
  policy.max_age = Seconds{3600};
  ImageHistory history;
  ImagesSeen seen;
  seen.images = {image("never", 1), image("was-used", 1)};
  seen.used = {"was-used"};
  history.observe(seen, kStart);
  seen.used.clear();
  history.observe(seen, kStart + Seconds{60});
  const auto at = [&](int seconds) {
    return ids(outdated(history.unused(), policy, kStart + Seconds{seconds}, kStart));
  };
  CHECK(at(3600).empty());
  CHECK(at(3601) == "never was-used ");
  seen.used = {"was-used"};
  history.observe(seen, kStart + Seconds{600});
  seen.used.clear();
  history.observe(seen, kStart + Seconds{700});
  CHECK(at(3601) == "never ");
  policy.max_age = Micros{0};
  CHECK(at(1'000'000).empty());
}

TEST_CASE("images: how much to free") {
  const ImagePolicy policy;
  CHECK(bytes_to_free(policy, 1000, 160) == 0);
  CHECK(bytes_to_free(policy, 1000, 151) == 49);  // whole percents of what is free count
  CHECK(bytes_to_free(policy, 1000, 150) == 50);  // 85 %: down to 80 %
  CHECK(bytes_to_free(policy, 1000, 0) == 200);
  CHECK(bytes_to_free(policy, 1000, 5000) == 0);
  CHECK(bytes_to_free(policy, 0, 0) == 0);
  ImagePolicy off;
  off.high_percent = 100;
  CHECK(off.off());
  off.max_age = Seconds{300};
  CHECK_FALSE(off.off());
  const uint64_t huge = uint64_t{1} << 62;
  CHECK(bytes_to_free(policy, huge, 0) == huge / 5);
}

TEST_CASE("images: wrong flags are named") {
  const auto refused = [](ImagePolicy policy) {
    auto checked = check_image_policy(policy);
    return checked ? std::string() : checked.error();
  };
  CHECK(refused({}).empty());
  CHECK(refused({.high_percent = 101}) ==
        "imageGCHighThresholdPercent (--image-gc-high-threshold) 101 must be between 0 and 100, "
        "inclusive");
  CHECK(refused({.high_percent = 80, .low_percent = 80}) ==
        "imageGCLowThresholdPercent (--image-gc-low-threshold) 80 must be less than "
        "imageGCHighThresholdPercent (--image-gc-high-threshold) 80");
  CHECK(refused({.max_age = Seconds{60}}).starts_with("imageMaximumGCAge"));
}

// A runtime that has images and nothing else.
class Images final : public ContainerRuntime {
 public:
  std::vector<ImageView> images;
  RuntimeView view;
  std::vector<std::string> removed;
  std::string stuck;  // cannot be removed
  bool down = false;

  void list(Done<RuntimeView> done) override { done(view); }
  void list_images(Done<std::vector<ImageView>> done) override {
    if (down) return done(Err(Error{Error::Code::kUnavailable, "down"}));
    done(images);
  }
  void remove_image(const std::string& id, Done<Unit> done) override {
    if (id == stuck) return done(Err(Error{Error::Code::kInternal, "stuck"}));
    removed.push_back(id);
    std::erase_if(images, [&](const auto& i) { return i.id == id; });
    done(Unit{});
  }
  void image_fs(Done<std::vector<FilesystemView>> done) override {
    done(std::vector<FilesystemView>{{"/", 0, 0}});
  }
  // Not asked for.
  void status(Done<RuntimeInfo>) override { FAIL(); }
  void run_sandbox(const SandboxSpec&, Done<std::string>) override { FAIL(); }
  void stop_sandbox(const std::string&, Done<Unit>) override { FAIL(); }
  void remove_sandbox(const std::string&, Done<Unit>) override { FAIL(); }
  void sandbox_status(const std::string&, Done<SandboxView>) override { FAIL(); }
  void create_container(const ContainerSpec&, Done<std::string>) override { FAIL(); }
  void start_container(const std::string&, Done<Unit>) override { FAIL(); }
  void stop_container(const std::string&, Seconds, Done<Unit>) override { FAIL(); }
  void remove_container(const std::string&, Done<Unit>) override { FAIL(); }
  void container_status(const std::string&, Done<ContainerView>) override { FAIL(); }
  void update_resources(const std::string&, const LinuxResources&, Done<Unit>) override { FAIL(); }
  void reopen_log(const std::string&, Done<Unit>) override { FAIL(); }
  void exec_sync(const std::string&, const std::vector<std::string>&, Seconds,
                 Done<ExecOutput>) override {
    FAIL();
  }
  void exec(const std::string&, const ExecOptions&, Done<std::string>) override { FAIL(); }
  void attach(const std::string&, const ExecOptions&, Done<std::string>) override { FAIL(); }
  void port_forward(const std::string&, const std::vector<int32_t>&, Done<std::string>) override {
    FAIL();
  }
  void container_stats(Done<std::vector<UsageView>>) override { FAIL(); }
  void sandbox_stats(Done<std::vector<UsageView>>) override { FAIL(); }
  void image_status(const std::string&, Done<std::optional<ImageView>>) override { FAIL(); }
  void pull_image(const std::string&, const std::optional<ImageAuth>&, Done<std::string>) override {
    FAIL();
  }
};

struct Collecting {
  ManualClock clock;
  Images runtime;
  std::string told;
  ImagePolicy policy{.high_percent = 1, .low_percent = 0};  // every disk is over it
  ImageCollector make() {
    clock.advance(Seconds{100'000});
    return ImageCollector({.clock = clock,
                           .runtime = runtime,
                           .policy = policy,
                           .kept = [] { return std::set<std::string>{"kept"}; },
                           .warn =
                               [this](const char* reason, const std::string& m) {
                                 told += std::string(reason) + ": " + m.substr(0, 60) + "\n";
                               }});
  }
};

TEST_CASE("images: a collection that frees too little says so; the second time it is a failure") {
  Collecting c;
  c.runtime.images = {image("a", 5), image("kept", 6), image("used", 7),
                      image("sandboxes'", 8, {"registry.k8s.io/pause:3.10"})};
  ContainerView container;
  container.image_ref = "used";
  c.runtime.view.containers = {container};
  auto collector = c.make();
  CHECK_FALSE(collector.collect());
  CHECK(c.runtime.removed == std::vector<std::string>{"a"});
  CHECK(c.told ==
        "FreeDiskSpaceFailed: Failed to garbage collect required amount of images. Attempt\n");
  c.told.clear();
  CHECK(collector.collect());
  CHECK(c.told.find("ImageGCFailed: Failed to garbage collect") != std::string::npos);
  CHECK(c.runtime.images.size() == 3);
}

TEST_CASE("images: one that cannot be removed stops neither the others nor the agent") {
  Collecting c;
  c.runtime.images = {image("a", 5), image("b", 5)};
  c.runtime.stuck = "a";
  auto collector = c.make();
  const auto result = collector.remove_unused();
  REQUIRE_FALSE(result);
  CHECK(result.error().find("freed 5 bytes space with errors in image deletion: [stuck]") !=
        std::string::npos);
  CHECK(c.runtime.removed == std::vector<std::string>{"b"});
  c.runtime.down = true;
  CHECK_FALSE(collector.collect());
  CHECK(c.told.empty());
}

TEST_CASE("images: with both thresholds off nothing is removed") {
  Collecting c;
  c.policy.high_percent = 100;
  c.runtime.images = {image("a", 5)};
  auto collector = c.make();
  CHECK(collector.collect());
  CHECK(c.runtime.removed.empty());
}

TEST_CASE("images: what an import brought is read from either containerd's words") {
  CHECK(images_of_import("unpacking docker.io/library/a:1 (sha256:12)...done\n"
                         "unpacking b:2 (sha256:34)...done\n") ==
        std::vector<std::string>{"docker.io/library/a:1", "b:2"});
  CHECK(images_of_import("docker.io/library/a:1    \tsaved\nImporting\telapsed: 0.1 s\n") ==
        std::vector<std::string>{"docker.io/library/a:1"});
}

}  // namespace
}  // namespace orch::agent
