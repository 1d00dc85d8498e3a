#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

class ConfigMapVolume final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "configmap"; }
  bool refreshes() const override { return true; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.configMap);
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    const auto& source = *volume.configMap;
    const bool optional = source.optional.value_or(false);
    VolumeFiles files;
    auto map = context.objects.config_map(context.pod.metadata.namespace_, source.name);
    if (map) {
      auto data = (*map)->data;
      data.insert((*map)->binaryData.begin(), (*map)->binaryData.end());
      ORCH_CHECK(add_keys(data, source.items, source.defaultMode.value_or(0644), optional, "config",
                          files));
    } else if (!optional || map.error().code != Error::Code::kNotFound) {
      return Err(std::move(map).error());
    }
    ORCH_CHECK(write_atomically(context.directory, files, fs_group_of(context.pod), context.now));
    return context.directory;
  }
};

}  // namespace

const VolumeDriver& config_map_volume() {
  static const ConfigMapVolume driver;
  return driver;
}

}  // namespace orch::agent
