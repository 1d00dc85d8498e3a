// Brings image archives into a containerd: the pause image, and every archive in a folder. Used by
// one thread. Remembers in a state file (size and time of each archive) what is in already.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/containerd/containerd.h"
#include "agent/runtime.h"
#include "orch/base/result.h"

namespace orch::agent {

class ImageImporter {
 public:
  ImageImporter(ContainerdPaths paths, std::string snapshotter);

  // Imports the pause image if `runtime` does not have it. Blocks.
  Result<Unit, std::string> ensure_pause_image(ContainerRuntime& runtime, Millis timeout);
  // Imports archives in images_dir that are new or changed; one that fails is logged, and tried
  // again when it changes.
  void import_folder();

 private:
  struct Archive {
    std::string mark;                 // "size mtime_ns"
    std::vector<std::string> images;  // what came of it
  };
  // The images that it held.
  Result<std::vector<std::string>, std::string> import_file(const std::string& file);
  void load_state();
  void save_state();

  ContainerdPaths paths_;
  std::string snapshotter_, state_file_;
  std::map<std::string, Archive> imported_;  // by file name
};

// Names of the images that `ctr images import` said it imported, of containerd 1.x and 2.x.
std::vector<std::string> images_of_import(const std::string& output);
// The images of the archives that lie in the folder now.
std::set<std::string> imported_images(const ContainerdPaths& paths);

}  // namespace orch::agent
