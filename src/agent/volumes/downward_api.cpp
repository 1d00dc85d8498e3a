#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

class DownwardApiVolume final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "downward-api"; }
  bool refreshes() const override { return true; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.downwardAPI);
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    VolumeFiles files;
    ORCH_CHECK(add_downward(context, volume.downwardAPI->items,
                            volume.downwardAPI->defaultMode.value_or(0644), files));
    ORCH_CHECK(write_atomically(context.directory, files, fs_group_of(context.pod), context.now));
    return context.directory;
  }
};

}  // namespace

const VolumeDriver& downward_api_volume() {
  static const DownwardApiVolume driver;
  return driver;
}

}  // namespace orch::agent
