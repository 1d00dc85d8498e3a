#include "agent/storage/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <deque>
#include <memory>

#include "agent/storage/fd.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

constexpr int kDepthMax = 64;  // as many descriptors; what is deeper is moved up first

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

bool is_dots(const char* name) {
  return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

// Empties the folder of `dir`. Folders too deep down are moved into `top`; `moved` counts them.
Result<Unit, Error> empty_folder(DIR* dir, int top, int depth, uint64_t& moved) {
  const int self = ::dirfd(dir);
  while (const dirent* entry = ::readdir(dir)) {
    if (is_dots(entry->d_name)) continue;
    const std::string name = entry->d_name;
    if (::unlinkat(self, name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return Err(errno_error("remove " + name));
    if (depth >= kDepthMax) {
      // Names that are taken up there are passed over.
      while (::renameat(self, name.c_str(), top, fmt::format(".orch-{}", moved++).c_str()) != 0) {
        if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
          return Err(errno_error("remove " + name));
        }
      }
      continue;
    }
    Fd child(open_in_tree(self, name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, false));
    if (!child) return Err(errno_error("remove " + name));
    Dir opened(::fdopendir(child.get()));
    if (!opened) return Err(errno_error("remove " + name));
    child.release();
    ORCH_CHECK(empty_folder(opened.get(), top, depth + 1, moved));
    if (::unlinkat(self, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return Err(errno_error("remove " + name));
    }
  }
  return Unit{};
}

// Through the descriptor: the file that was looked at, whatever its name means by now.
Result<Unit, Error> give_file(int fd, const std::string& shown, gid_t gid, mode_t bits,
                              bool& folder) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return Err(errno_error(shown));
  folder = S_ISDIR(st.st_mode);
  if (st.st_gid != gid && ::fchownat(fd, "", static_cast<uid_t>(-1), gid, AT_EMPTY_PATH) != 0) {
    return Err(errno_error("chown " + shown));
  }
  if (S_ISLNK(st.st_mode)) return Unit{};
  mode_t mode = (st.st_mode & 07777) | bits;
  if (folder) mode |= S_ISGID | 0110;
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  // chown may have taken setuid and setgid away.
  if (::chmod(path.c_str(), mode) != 0) return Err(errno_error("chmod " + shown));
  return Unit{};
}

}  // namespace

int open_in_tree(int root, const std::string& path, int flags, bool cross_mounts) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // O_PATH with O_NOFOLLOW opens a link itself as the last part.
  if ((flags & O_PATH) == 0) how.resolve |= RESOLVE_NO_SYMLINKS;
  if (!cross_mounts) how.resolve |= RESOLVE_NO_XDEV;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

Result<Unit, Error> remove_tree(int parent, const std::string& name) {
  Fd top(open_in_tree(parent, name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, false));
  if (!top) {
    if (errno == ENOENT) return Unit{};
    const bool is_file = errno == ENOTDIR || errno == ELOOP;
    if (is_file && ::unlinkat(parent, name.c_str(), 0) == 0) return Unit{};
    return Err(errno_error("remove " + name));
  }
  uint64_t moved = 0, before = 0;
  do {
    before = moved;
    Fd again(open_in_tree(parent, name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, false));
    if (!again) return Err(errno_error("remove " + name));
    Dir dir(::fdopendir(again.get()));
    if (!dir) return Err(errno_error("remove " + name));
    again.release();
    ORCH_CHECK(empty_folder(dir.get(), top.get(), 0, moved));
  } while (moved != before);
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return Err(errno_error("remove " + name));
  }
  return Unit{};
}

Result<Unit, Error> give_tree_to_group(const std::string& path, gid_t gid, mode_t bits) {
  Fd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Err(errno_error(path));
  bool folder = false;
  ORCH_CHECK(give_file(root.get(), path, gid, bits, folder));
  std::deque<std::string> folders{"."};
  while (!folders.empty()) {
    const std::string here = std::move(folders.front());
    folders.pop_front();
    Fd opened(open_in_tree(root.get(), here, O_RDONLY | O_DIRECTORY | O_NONBLOCK, true));
    if (!opened) continue;  // removed or replaced meanwhile, or deeper than paths are long
    Dir dir(::fdopendir(opened.get()));
    if (!dir) return Err(errno_error(path));
    const int self = opened.release();
    while (const dirent* entry = ::readdir(dir.get())) {
      if (is_dots(entry->d_name)) continue;
      Fd file(open_in_tree(self, entry->d_name, O_PATH, true));
      if (!file) continue;
      const std::string below = here + "/" + entry->d_name;
      ORCH_CHECK(give_file(file.get(), path + "/" + below, gid, bits, folder));
      if (folder) folders.push_back(below);
    }
  }
  return Unit{};
}

}  // namespace orch::agent
