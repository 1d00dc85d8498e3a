// Which images this node no longer needs: what is known of each, and the choice. Pure; one thread.
// Source: the kubelet's image garbage collection (imageGCHighThresholdPercent and its relatives).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/runtime.h"
#include "orch/base/clock.h"

namespace orch::agent {

struct ImagePolicy {
  int high_percent = 85;  // collected when more of the file system is used than this
  int low_percent = 80;   // and until so much is
  Micros min_age = Seconds{120};
  Micros max_age{0};  // unused for longer than this: removed, full disk or not; 0 = never
  bool off() const { return high_percent == 100 && max_age.count() == 0; }
};

// Error: names the flag, in the kubelet's words.
Result<Unit, std::string> check_image_policy(const ImagePolicy& policy);

struct UnusedImage {
  std::string id;
  uint64_t size_bytes = 0;
  MonoTime first_seen{}, last_used{};
};

// What the runtime shows at one time.
struct ImagesSeen {
  std::vector<ImageView> images;
  std::set<std::string> used;  // ids and names that containers, running or ended, were made from
  std::set<std::string> kept;  // ids and names that are never removed
};

class ImageHistory {
 public:
  // Images that were there before this agent started count as seen long ago: `now` must be later
  // than the machine's start.
  void observe(const ImagesSeen& seen, MonoTime now);
  // Neither used by a container nor pinned nor kept; least recently used first.
  std::vector<UnusedImage> unused() const;
  void removed(const std::string& id) { records_.erase(id); }

 private:
  struct Record {
    uint64_t size_bytes = 0;
    MonoTime first_seen{}, last_used{};
    bool in_use = false, stays = false;
  };
  std::map<std::string, Record> records_;
  bool observed_ = false;
};

// Of the unused images, those that may go to free space: old enough, in the order given.
std::vector<UnusedImage> removable(const std::vector<UnusedImage>& unused,
                                   const ImagePolicy& policy, MonoTime now);
// Those unused for longer than max_age, once the agent has looked for that long.
std::vector<UnusedImage> outdated(const std::vector<UnusedImage>& unused, const ImagePolicy& policy,
                                  MonoTime now, MonoTime began);
// How many bytes the images' file system has too few; 0 = it is below the high threshold.
uint64_t bytes_to_free(const ImagePolicy& policy, uint64_t capacity, uint64_t available);

}  // namespace orch::agent
