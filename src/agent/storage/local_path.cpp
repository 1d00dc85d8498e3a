#include "agent/storage/local_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "agent/storage/fd.h"
#include "agent/storage/project_quota.h"
#include "agent/storage/tree.h"
#include "agent/volumes/volume.h"
#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::agent {
namespace {

constexpr std::string_view kPrefix = "pvc-";

}  // namespace

Result<std::string, Error> LocalPathStore::name_of(const std::string& path) const {
  const std::string prefix = root_ + "/";
  std::string name = path.starts_with(prefix) ? path.substr(prefix.size()) : "";
  const bool good = name.size() > kPrefix.size() && name.size() < 64 && name.starts_with(kPrefix) &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
                    });
  if (good) return name;
  return Err(Error{Error::Code::kConfig,
                   fmt::format("path \"{}\" is no local-path volume of this node", path)});
}

Result<Unit, Error> LocalPathStore::ensure(const std::string& path, uint64_t bytes) const {
  ORCH_TRY(const std::string name, name_of(path));
  if (auto made = make_directories(root_, 0755); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  Fd root(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Err(errno_error(root_));
  const bool fresh = ::mkdirat(root.get(), name.c_str(), 0755) == 0;
  if (!fresh && errno != EEXIST) return Err(errno_error(path));
  Fd directory(open_in_tree(root.get(), name, O_RDONLY | O_DIRECTORY, false));
  if (!directory) return Err(errno_error(path));
  if (!fresh) return Unit{};
  if (::fchmod(directory.get(), 0777) != 0) return Err(errno_error(path));
  if (bytes > 0 && !limit_directory(directory.get(), name, bytes)) {
    log::debug("agent", "{}: no project quota here, its size is not limited", path);
  }
  return Unit{};
}

Result<Unit, Error> LocalPathStore::remove(const std::string& path) const {
  ORCH_TRY(const std::string name, name_of(path));
  Fd root(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    if (errno == ENOENT) return Unit{};
    return Err(errno_error(root_));
  }
  uint32_t project = 0;
  if (Fd directory(open_in_tree(root.get(), name, O_RDONLY | O_DIRECTORY, false)); directory) {
    project = project_of(directory.get());
  }
  ORCH_CHECK(remove_tree(root.get(), name));
  release_project(root.get(), project);
  return Unit{};
}

}  // namespace orch::agent
