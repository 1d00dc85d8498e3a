// Programs and temporary files of the user's own machine: editors, diff.
#pragma once

#include <string>
#include <vector>

#include "ctl/failure.h"

namespace orch::ctl {

// Runs it on this terminal and waits; its exit code, 128 + signal when killed. argv[0] is looked up
// in $PATH.
Outcome<int> run_program(const std::vector<std::string>& argv);

// A folder below $TMPDIR that goes with this object.
class TempFolder {
 public:
  // "LIVE-" gives /tmp/LIVE-aB3x9Q.
  static Outcome<TempFolder> make(const std::string& prefix);
  ~TempFolder();
  TempFolder(TempFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempFolder& operator=(TempFolder&&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit TempFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace orch::ctl
