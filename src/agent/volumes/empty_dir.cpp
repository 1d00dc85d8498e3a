#include <sys/stat.h>

#include "agent/volumes/volume.h"
#include "orch/base/file.h"

namespace orch::agent {
namespace {

class EmptyDir final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "empty-dir"; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.emptyDir);
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    const auto& source = *volume.emptyDir;
    const std::string& dir = context.directory;
    const bool fresh = !file_exists(dir);
    if (source.medium == "Memory") {
      ORCH_CHECK(mount_tmpfs(dir, source.sizeLimit ? source.sizeLimit->value() : 0));
    } else if (!source.medium.empty()) {
      return Err(Error{Error::Code::kConfig,
                       "emptyDir medium \"" + source.medium + "\" is not supported"});
    } else if (auto made = make_directories(dir, 0755); !made) {
      return Err(Error{Error::Code::kInternal, made.error()});
    }
    // A folder that containers used already is left as they made it.
    if (!fresh) return dir;
    if (::chmod(dir.c_str(), 0777) != 0) return Err(errno_error(dir));
    if (auto gid = fs_group_of(context.pod)) ORCH_CHECK(set_group(dir, *gid, true));
    return dir;
  }
};

}  // namespace

const VolumeDriver& empty_dir_volume() {
  static const EmptyDir driver;
  return driver;
}

}  // namespace orch::agent
