#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

class SecretVolume final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "secret"; }
  bool refreshes() const override { return true; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.secret);
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    const auto& source = *volume.secret;
    const bool optional = source.optional.value_or(false);
    VolumeFiles files;
    auto secret = context.objects.secret(context.pod.metadata.namespace_, source.secretName);
    if (secret) {
      ORCH_CHECK(add_keys((*secret)->data, source.items, source.defaultMode.value_or(0644),
                          optional, "secret", files));
    } else if (!optional || secret.error().code != Error::Code::kNotFound) {
      return Err(std::move(secret).error());
    }
    ORCH_CHECK(mount_tmpfs(context.directory, 0));  // never on disk
    ORCH_CHECK(write_atomically(context.directory, files, fs_group_of(context.pod), context.now));
    return context.directory;
  }
};

}  // namespace

const VolumeDriver& secret_volume() {
  static const SecretVolume driver;
  return driver;
}

}  // namespace orch::agent
