#include "agent/volumes/atomic_writer.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "orch/base/file.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kData = "..data";

Result<Unit, Error> write_one(const std::string& path, const VolumeFile& file) {
  if (auto made = make_directories(fs::path(path).parent_path().string(), 0755); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Err(errno_error(path));
  size_t done = 0;
  bool ok = true;
  while (ok && done < file.content.size()) {
    ssize_t n = ::write(fd, file.content.data() + done, file.content.size() - done);
    ok = n >= 0 || errno == EINTR;
    if (n > 0) done += static_cast<size_t>(n);
  }
  // The umask does not apply to fchmod.
  ok = ok && ::fchmod(fd, static_cast<mode_t>(file.mode) & 0777) == 0;
  if (ok && file.uid) ok = ::fchown(fd, static_cast<uid_t>(*file.uid), static_cast<gid_t>(-1)) == 0;
  Error error = ok ? Error{} : errno_error(path);
  ::close(fd);
  if (!ok) return Err(std::move(error));
  return Unit{};
}

bool is_current(const std::string& data, const VolumeFiles& files) {
  std::error_code ec;
  if (!fs::exists(data, ec)) return false;
  std::set<std::string> present;
  for (const auto& entry : fs::recursive_directory_iterator(data, ec)) {
    if (entry.is_regular_file(ec)) present.insert(fs::relative(entry.path(), data, ec).string());
  }
  if (present.size() != files.size()) return false;
  for (const auto& [name, file] : files) {
    if (!present.contains(name)) return false;
    auto content = read_file(data + "/" + name);
    if (!content || *content != file.content) return false;
  }
  return true;
}

std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

Result<Unit, Error> point(const std::string& link, const std::string& target) {
  const std::string fresh = link + "_tmp";
  ::unlink(fresh.c_str());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) return Err(errno_error(fresh));
  if (::rename(fresh.c_str(), link.c_str()) != 0) return Err(errno_error(link));
  return Unit{};
}

// Removes links of names that are gone, and folders of earlier versions.
void clean(const std::string& directory, const std::string& version, const VolumeFiles& files) {
  std::set<std::string> tops;
  for (const auto& [name, file] : files) tops.insert(top_of(name));
  std::error_code ec;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(directory, ec)) {
    const std::string name = entry.path().filename().string();
    if (name == kData || name == version) continue;
    if (name.starts_with("..") || (entry.is_symlink(ec) && !tops.contains(name))) {
      stale.push_back(entry.path());
    }
  }
  for (const auto& path : stale) fs::remove_all(path, ec);
}

}  // namespace

Result<Unit, Error> write_atomically(const std::string& directory, const VolumeFiles& files,
                                     std::optional<int64_t> gid, WallTime now) {
  if (auto made = make_directories(directory, 0755); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  const std::string data = directory + "/" + kData;
  if (is_current(data, files)) return Unit{};
  auto seconds = std::chrono::floor<Seconds>(now);
  std::string version =
      fmt::format("..{:%Y_%m_%d_%H_%M_%S}.{:09}", seconds, (now - seconds).count() * 1000);
  std::error_code ec;
  if (fs::exists(directory + "/" + version, ec)) version += "_";
  const std::string root = directory + "/" + version;
  if (auto made = make_directories(root, 0755); !made) {
    return Err(Error{Error::Code::kInternal, made.error()});
  }
  for (const auto& [name, file] : files) {
    if (auto written = write_one(root + "/" + name, file); !written) {
      fs::remove_all(root, ec);
      return written;
    }
  }
  ::chmod(root.c_str(), 0755);
  if (gid) ORCH_CHECK(set_group(root, *gid, false));
  ORCH_CHECK(point(data, version));
  for (const auto& [name, file] : files) {
    const std::string top = top_of(name), link = directory + "/" + top;
    if (!fs::is_symlink(link, ec)) ORCH_CHECK(point(link, std::string(kData) + "/" + top));
  }
  clean(directory, version, files);
  return Unit{};
}

}  // namespace orch::agent
