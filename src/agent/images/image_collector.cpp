#include "agent/images/image_collector.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/wait_for.h"
#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr Millis kRemoveTimeout{120'000};

}  // namespace

std::optional<FsSpace> fs_space(const std::string& path) {
  struct statvfs fs {};
  struct stat st {};
  if (::statvfs(path.c_str(), &fs) != 0 || ::stat(path.c_str(), &st) != 0) return std::nullopt;
  return FsSpace{fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize, fs.f_files, fs.f_favail,
                 st.st_dev};
}

std::optional<FsSpace> ImageCollector::space() {
  if (mountpoint_.empty()) {
    const auto found = wait_for<std::vector<FilesystemView>>(
        [this](auto done) { deps_.runtime.image_fs(std::move(done)); });
    if (!found || found->empty()) return std::nullopt;
    mountpoint_ = found->front().mountpoint;
  }
  auto space = fs_space(mountpoint_);
  if (!space) mountpoint_.clear();
  return space;
}

Result<Unit, std::string> ImageCollector::detect() {
  ImagesSeen seen;
  auto images = wait_for<std::vector<ImageView>>(
      [this](auto done) { deps_.runtime.list_images(std::move(done)); });
  if (!images) return Err(images.error().message);
  auto containers =
      wait_for<RuntimeView>([this](auto done) { deps_.runtime.list(std::move(done)); });
  if (!containers) return Err(containers.error().message);
  seen.images = std::move(*images);
  for (const auto& c : containers->containers) {
    seen.used.insert(c.image);
    seen.used.insert(c.image_ref);
  }
  seen.used.erase("");
  seen.kept = deps_.kept();
  // Sandboxes do not tell their image, and older runtimes do not pin it.
  for (const auto& image : seen.images) {
    for (const auto& tag : image.tags) {
      if (tag.find("/pause:") != std::string::npos) seen.kept.insert(tag);
    }
  }
  history_.observe(seen, deps_.clock.mono());
  return Unit{};
}

Result<uint64_t, std::string> ImageCollector::remove(const std::vector<UnusedImage>& images,
                                                     uint64_t wanted, const char* reason) {
  uint64_t freed = 0;
  std::vector<std::string> errors;
  for (const auto& image : images) {
    if (freed >= wanted) break;
    log::info("images", "removing image {} of {} bytes: {}", image.id, image.size_bytes, reason);
    auto gone = wait_for<Unit>(
        [&](auto done) { deps_.runtime.remove_image(image.id, std::move(done)); }, kRemoveTimeout);
    if (!gone) {
      errors.push_back(gone.error().message);
      continue;
    }
    history_.removed(image.id);
    freed += image.size_bytes;
    metrics::counter("kubelet_image_garbage_collected_total",
                     "Total number of images garbage collected by the kubelet, whether through "
                     "disk usage or image age.",
                     fmt::format("reason=\"{}\"", reason))
        .add();
  }
  if (errors.empty()) return freed;
  return Err(fmt::format(
      "wanted to free {} bytes, but freed {} bytes space with errors in image deletion: [{}]",
      wanted, freed, join(errors, ", ")));
}

Result<Unit, std::string> ImageCollector::collect_once() {
  ORCH_CHECK(detect());
  const MonoTime now = deps_.clock.mono();
  ORCH_CHECK(remove(outdated(history_.unused(), deps_.policy, now, began_), UINT64_MAX, "age"));
  const auto disk = space();
  if (!disk) return Err(std::string("the images' file system is not known"));
  if (disk->capacity == 0) {
    std::string why = "invalid capacity 0 on image filesystem";
    deps_.warn("InvalidDiskCapacity", why);
    return Err(std::move(why));
  }
  const uint64_t wanted = bytes_to_free(deps_.policy, disk->capacity, disk->available);
  if (wanted == 0) return Unit{};
  ORCH_TRY(const uint64_t freed,
           remove(removable(history_.unused(), deps_.policy, now), wanted, "space"));
  if (freed >= wanted) return Unit{};
  std::string why = fmt::format(
      "Failed to garbage collect required amount of images. Attempted to free {} bytes, but only "
      "found {} bytes eligible to free.",
      wanted, freed);
  deps_.warn("FreeDiskSpaceFailed", why);
  return Err(std::move(why));
}

bool ImageCollector::collect() {
  const auto done = deps_.policy.off() ? detect() : collect_once();
  if (done) {
    failed_before_ = false;
    return true;
  }
  log::warn("images", "image garbage collection failed: {}", done.error());
  // The first failure may be a runtime that just starts.
  if (failed_before_) deps_.warn("ImageGCFailed", done.error());
  return std::exchange(failed_before_, true);
}

Result<Unit, std::string> ImageCollector::remove_unused() {
  ORCH_CHECK(detect());
  ORCH_CHECK(
      remove(removable(history_.unused(), deps_.policy, deps_.clock.mono()), UINT64_MAX, "space"));
  return Unit{};
}

}  // namespace orch::agent
