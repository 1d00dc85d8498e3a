// The directories of this node's local-path volumes: <data dir>/storage/<volume>. Stateless; calls
// block; one at a time for a volume.
#pragma once

#include <cstdint>
#include <string>

#include "agent/error.h"

namespace orch::agent {

class LocalPathStore {
 public:
  explicit LocalPathStore(std::string root) : root_(std::move(root)) {}

  // `path` must be a direct child of the root, named as local-path volumes are. The directory is
  // made if it is missing, with a limit of `bytes` where the file system can.
  Result<Unit, Error> ensure(const std::string& path, uint64_t bytes) const;
  // Removes the directory and all that is in it; nothing else, ever.
  Result<Unit, Error> remove(const std::string& path) const;

  const std::string& root() const { return root_; }

 private:
  // The name below the root. Error: the path is not one of ours.
  Result<std::string, Error> name_of(const std::string& path) const;

  std::string root_;
};

}  // namespace orch::agent
