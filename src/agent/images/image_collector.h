// Removes images that no container uses when their file system fills, or when they are too old.
// Owned by the eviction manager; its thread calls, and every call blocks for the runtime.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "agent/images/image_plan.h"
#include "agent/runtime.h"
#include "orch/base/env.h"

namespace orch::agent {

struct FsSpace {
  uint64_t capacity = 0, available = 0, inodes = 0, inodes_free = 0;
  uint64_t device = 0;
};
// nullopt: it cannot be asked. `path` is any file or folder there.
std::optional<FsSpace> fs_space(const std::string& path);

class ImageCollector {
 public:
  // An event of the node: reason, message.
  using Tell = std::function<void(const char* reason, const std::string& message)>;
  struct Deps {
    Clock& clock;
    ContainerRuntime& runtime;
    ImagePolicy policy;
    std::function<std::set<std::string>()> kept;  // names and ids that stay
    Tell warn;
  };
  explicit ImageCollector(Deps deps) : deps_(std::move(deps)), began_(deps_.clock.mono()) {}

  // Looks which images are used. So often that a use is not missed: about every 5 minutes.
  Result<Unit, std::string> detect();
  // The periodic collection. Tells FreeDiskSpaceFailed and InvalidDiskCapacity of one run,
  // ImageGCFailed of the second that failed in a row. False: to be tried again soon.
  bool collect();
  // Under disk pressure: all that are unused and old enough. Error: what could not be removed.
  Result<Unit, std::string> remove_unused();
  // Where images are; asked again when it is not known.
  std::optional<FsSpace> space();

 private:
  Result<Unit, std::string> collect_once();
  // The bytes that went.
  Result<uint64_t, std::string> remove(const std::vector<UnusedImage>& images, uint64_t wanted,
                                       const char* reason);

  Deps deps_;
  ImageHistory history_;
  MonoTime began_;
  std::string mountpoint_;
  bool failed_before_ = false;
};

}  // namespace orch::agent
