#include "agent/images/image_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace orch::agent {
namespace {

constexpr Micros kLongAgo = std::chrono::hours{24 * 365};

bool named_in(const ImageView& image, const std::set<std::string>& names) {
  if (names.contains(image.id)) return true;
  for (const auto* list : {&image.tags, &image.digests}) {
    for (const auto& name : *list) {
      if (names.contains(name)) return true;
    }
  }
  return false;
}

}  // namespace

Result<Unit, std::string> check_image_policy(const ImagePolicy& policy) {
  const auto percent = [](const char* field, const char* flag,
                          int value) -> Result<Unit, std::string> {
    if (value >= 0 && value <= 100) return Unit{};
    return Err(fmt::format("{} ({}) {} must be between 0 and 100, inclusive", field, flag, value));
  };
  ORCH_CHECK(
      percent("imageGCHighThresholdPercent", "--image-gc-high-threshold", policy.high_percent));
  ORCH_CHECK(percent("imageGCLowThresholdPercent", "--image-gc-low-threshold", policy.low_percent));
  if (policy.low_percent >= policy.high_percent) {
    return Err(
        fmt::format("imageGCLowThresholdPercent (--image-gc-low-threshold) {} must be less than "
                    "imageGCHighThresholdPercent (--image-gc-high-threshold) {}",
                    policy.low_percent, policy.high_percent));
  }
  if (policy.min_age.count() < 0) {
    return Err(
        std::string("imageMinimumGCAge (--minimum-image-ttl-duration) must not be negative"));
  }
  if (policy.max_age.count() < 0) {
    return Err(std::string("imageMaximumGCAge (--image-maximum-gc-age) must not be negative"));
  }
  if (policy.max_age.count() > 0 && policy.max_age <= policy.min_age) {
    return Err(
        std::string("imageMaximumGCAge (--image-maximum-gc-age) must be greater than "
                    "imageMinimumGCAge (--minimum-image-ttl-duration)"));
  }
  return Unit{};
}

void ImageHistory::observe(const ImagesSeen& seen, MonoTime now) {
  const MonoTime first_seen = observed_ ? now : now - kLongAgo;
  observed_ = true;
  std::map<std::string, Record> next;
  for (const auto& image : seen.images) {
    const auto known = records_.find(image.id);
    Record& record = next[image.id];
    if (known == records_.end()) {
      record.first_seen = first_seen;
      record.last_used = first_seen;
    } else {
      record = known->second;
    }
    record.size_bytes = image.size_bytes;
    record.in_use = named_in(image, seen.used);
    record.stays = image.pinned || named_in(image, seen.kept);
    if (record.in_use) record.last_used = now;
  }
  records_ = std::move(next);
}

std::vector<UnusedImage> ImageHistory::unused() const {
  std::vector<UnusedImage> out;
  for (const auto& [id, record] : records_) {
    if (record.in_use || record.stays) continue;
    out.push_back({id, record.size_bytes, record.first_seen, record.last_used});
  }
  std::sort(out.begin(), out.end(), [](const UnusedImage& a, const UnusedImage& b) {
    return std::tie(a.last_used, a.first_seen, a.id) < std::tie(b.last_used, b.first_seen, b.id);
  });
  return out;
}

std::vector<UnusedImage> removable(const std::vector<UnusedImage>& unused,
                                   const ImagePolicy& policy, MonoTime now) {
  std::vector<UnusedImage> out;
  for (const auto& image : unused) {
    if (now - image.first_seen >= policy.min_age) out.push_back(image);
  }
  return out;
}

std::vector<UnusedImage> outdated(const std::vector<UnusedImage>& unused, const ImagePolicy& policy,
                                  MonoTime now, MonoTime began) {
  std::vector<UnusedImage> out;
  // Use before the agent started is not known.
  if (policy.max_age.count() == 0 || now - began <= policy.max_age) return out;
  for (const auto& image : unused) {
    if (now - image.last_used > policy.max_age) out.push_back(image);
  }
  return out;
}

uint64_t bytes_to_free(const ImagePolicy& policy, uint64_t capacity, uint64_t available) {
  available = std::min(available, capacity);
  if (capacity == 0) return 0;
  const auto part = [capacity](uint64_t percent) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(capacity) * percent / 100);
  };
  const auto free_percent =
      static_cast<int>(static_cast<unsigned __int128>(available) * 100 / capacity);
  if (100 - free_percent < policy.high_percent) return 0;
  const uint64_t wanted = part(static_cast<uint64_t>(100 - policy.low_percent));
  return wanted - std::min(wanted, available);
}

}  // namespace orch::agent
