#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/volumes/volume.h"
#include "orch/base/file.h"

namespace orch::agent {
namespace {

Error failed(const std::string& path, const char* what) {
  return {Error::Code::kConfig,
          fmt::format("hostPath type check failed: {} is not {}", path, what)};
}

class HostPath final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "host-path"; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.hostPath);
  }

  Result<std::string, Error> set_up(const VolumeContext&,
                                    const corev1::Volume& volume) const override {
    const std::string& path = volume.hostPath->path;
    const std::string type = volume.hostPath->type.value_or("");
    if (type.empty()) return path;
    struct stat st {};
    bool present = ::stat(path.c_str(), &st) == 0;
    if (!present && type == "DirectoryOrCreate") {
      if (auto made = make_directories(path, 0755); !made) {
        return Err(Error{Error::Code::kInternal, made.error()});
      }
      return path;
    }
    if (!present && type == "FileOrCreate") {
      int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      if (fd < 0) return Err(errno_error(path));
      ::close(fd);
      return path;
    }
    const mode_t format = present ? st.st_mode & S_IFMT : 0;
    if (type.starts_with("Directory")) {
      if (format != S_IFDIR) return Err(failed(path, "a directory"));
    } else if (type.starts_with("File")) {
      if (format != S_IFREG) return Err(failed(path, "a file"));
    } else if (type == "Socket") {
      if (format != S_IFSOCK) return Err(failed(path, "a socket file"));
    } else if (type == "CharDevice") {
      if (format != S_IFCHR) return Err(failed(path, "a character device"));
    } else if (type == "BlockDevice") {
      if (format != S_IFBLK) return Err(failed(path, "a block device"));
    } else {
      return Err(Error{Error::Code::kConfig, fmt::format("{} is an invalid volume type", type)});
    }
    return path;
  }
};

}  // namespace

const VolumeDriver& host_path_volume() {
  static const HostPath driver;
  return driver;
}

}  // namespace orch::agent
