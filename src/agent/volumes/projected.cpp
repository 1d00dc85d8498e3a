#include <fmt/format.h>

#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

// The user that all containers run as, if there is one: it owns the token.
std::optional<int64_t> common_user(const corev1::Pod& pod) {
  std::optional<int64_t> pod_user, found;
  if (pod.spec.securityContext) pod_user = pod.spec.securityContext->runAsUser;
  bool first = true;
  for (const auto& c : all_containers(pod)) {
    auto user = pod_user;
    if (c.spec.securityContext && c.spec.securityContext->runAsUser) {
      user = c.spec.securityContext->runAsUser;
    }
    if (!user || (!first && user != found)) return std::nullopt;
    found = user;
    first = false;
  }
  return found;
}

bool is_optional(const Error& error, const std::optional<bool>& optional) {
  return error.code == Error::Code::kNotFound && optional.value_or(false);
}

class ProjectedVolume final : public VolumeDriver {
 public:
  std::string_view kind() const override { return "projected"; }
  bool refreshes() const override { return true; }
  bool handles(const corev1::Volume& volume) const override {
    return static_cast<bool>(volume.projected);
  }

  Result<std::string, Error> set_up(const VolumeContext& context,
                                    const corev1::Volume& volume) const override {
    const int32_t mode = volume.projected->defaultMode.value_or(0644);
    VolumeFiles files;
    for (const auto& source : volume.projected->sources) {
      ORCH_CHECK(add(context, source, mode, files));
    }
    ORCH_CHECK(mount_tmpfs(context.directory, 0));  // never on disk
    ORCH_CHECK(write_atomically(context.directory, files, fs_group_of(context.pod), context.now));
    return context.directory;
  }

 private:
  static Result<Unit, Error> add(const VolumeContext& context,
                                 const corev1::VolumeProjection& source, int32_t mode,
                                 VolumeFiles& files) {
    const std::string& ns = context.pod.metadata.namespace_;
    if (source.secret) {
      auto secret = context.objects.secret(ns, source.secret->name);
      if (!secret && is_optional(secret.error(), source.secret->optional)) return Unit{};
      if (!secret) return Err(std::move(secret).error());
      return add_keys((*secret)->data, source.secret->items, mode,
                      source.secret->optional.value_or(false), "secret", files);
    }
    if (source.configMap) {
      auto map = context.objects.config_map(ns, source.configMap->name);
      if (!map && is_optional(map.error(), source.configMap->optional)) return Unit{};
      if (!map) return Err(std::move(map).error());
      auto data = (*map)->data;
      data.insert((*map)->binaryData.begin(), (*map)->binaryData.end());
      return add_keys(data, source.configMap->items, mode,
                      source.configMap->optional.value_or(false), "config", files);
    }
    if (source.downwardAPI) return add_downward(context, source.downwardAPI->items, mode, files);
    if (source.serviceAccountToken) return add_token(context, source, mode, files);
    return Err(Error{Error::Code::kConfig, "this kind of projected source is not supported"});
  }

  static Result<Unit, Error> add_token(const VolumeContext& context,
                                       const corev1::VolumeProjection& source, int32_t mode,
                                       VolumeFiles& files) {
    const auto& token = *source.serviceAccountToken;
    ORCH_CHECK(check_relative(token.path));
    ORCH_TRY(auto text, context.objects.service_account_token(
                            context.pod, token.audience, token.expirationSeconds.value_or(3600)));
    const auto user = common_user(context.pod);
    if (user || fs_group_of(context.pod)) mode = 0600;
    files[token.path] = {std::move(text), mode, user};
    return Unit{};
  }
};

}  // namespace

const VolumeDriver& projected_volume() {
  static const ProjectedVolume driver;
  return driver;
}

}  // namespace orch::agent
