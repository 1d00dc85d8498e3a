// ServiceAccount: a Pod runs as an existing ServiceAccount ("default" if it names none), takes its
// image pull secrets, and gets a token, the cluster's CA and its namespace mounted (KEP-1205).
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/base/random.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

constexpr std::string_view kMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::string_view kVolumePrefix = "kube-api-access-";
constexpr int64_t kTokenSeconds = 3607;  // what upstream's admission asks for

corev1::Volume token_volume(const std::string& name) {
  corev1::Volume volume;
  volume.name = name;
  auto& projected = volume.projected.emplace();
  projected.defaultMode = 0644;

  corev1::VolumeProjection token;
  auto& source = token.serviceAccountToken.emplace();
  source.expirationSeconds = kTokenSeconds;
  source.path = "token";
  projected.sources.push_back(std::move(token));

  corev1::VolumeProjection ca;
  auto& config_map = ca.configMap.emplace();
  config_map.name = "kube-root-ca.crt";
  corev1::KeyToPath ca_item;
  ca_item.key = ca_item.path = "ca.crt";
  config_map.items.push_back(ca_item);
  projected.sources.push_back(std::move(ca));

  corev1::VolumeProjection ns;
  corev1::DownwardAPIVolumeFile file;
  file.path = "namespace";
  auto& field = file.fieldRef.emplace();
  field.apiVersion = "v1";
  field.fieldPath = "metadata.namespace";
  ns.downwardAPI.emplace().items.push_back(std::move(file));
  projected.sources.push_back(std::move(ns));
  return volume;
}

bool mounts_token(const corev1::Container& container) {
  return std::any_of(container.volumeMounts.begin(), container.volumeMounts.end(),
                     [](const auto& mount) { return mount.mountPath == kMountPath; });
}

void mount_token(corev1::PodSpec& spec, Random& random) {
  // The name of a volume someone already prepared in the template (a Pod dumped and created again).
  std::string name;
  for (const auto& volume : spec.volumes) {
    if (volume.name.starts_with(kVolumePrefix)) name = volume.name;
  }
  const bool present = !name.empty();
  if (!present) name = std::string(kVolumePrefix) + random_name_suffix(random);
  bool used = false;
  const auto add_to = [&](std::vector<corev1::Container>& containers) {
    for (auto& container : containers) {
      if (mounts_token(container)) continue;
      corev1::VolumeMount mount;
      mount.name = name;
      mount.readOnly = true;
      mount.mountPath = std::string(kMountPath);
      container.volumeMounts.push_back(std::move(mount));
      used = true;
    }
  };
  add_to(spec.initContainers);
  add_to(spec.containers);
  if (used && !present) spec.volumes.push_back(token_volume(name));
}

class ServiceAccountPlugin final : public AdmissionPlugin {
 public:
  explicit ServiceAccountPlugin(const AdmissionContext& context)
      : random_(context.random),
        client_(context.client),
        accounts_(context.informers.lister<corev1::ServiceAccount>()) {}

  std::string_view name() const override { return "ServiceAccount"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !is_write_of(request, "", "pods")) return Unit{};
    auto& pod = static_cast<corev1::Pod&>(*request.object);
    auto& spec = pod.spec;
    // Mirror pods show what runs already; they use no API.
    if (pod.metadata.annotations.count("kubernetes.io/config.mirror") != 0) return Unit{};
    if (spec.serviceAccountName.empty()) spec.serviceAccountName = "default";
    spec.serviceAccount = spec.serviceAccountName;
    ORCH_TRY(const auto account, find(request.namespace_, spec.serviceAccountName, pod));
    const bool automount = spec.automountServiceAccountToken.value_or(
        account->automountServiceAccountToken.value_or(true));
    if (automount) mount_token(spec, random_);
    if (spec.imagePullSecrets.empty()) spec.imagePullSecrets = account->imagePullSecrets;
    return Unit{};
  }

 private:
  // A cache that has not seen it yet is no reason to refuse: the API server itself is asked.
  ApiResult<std::shared_ptr<const corev1::ServiceAccount>> find(const std::string& ns,
                                                                const std::string& name,
                                                                const corev1::Pod& pod) const {
    if (auto cached = accounts_.get(ns, name)) return cached;
    auto read = client_.get<corev1::ServiceAccount>(ns, name);
    if (read) return std::make_shared<const corev1::ServiceAccount>(std::move(*read));
    const Error& why = read.error();
    const std::string text = why.is("NotFound")
                                 ? fmt::format("serviceaccount {} not found", go_quoted(name))
                                 : why.message;
    return Err(
        forbidden({"", "pods"}, pod.metadata.name,
                  fmt::format("error looking up service account {}/{}: {}", ns, name, text)));
  }

  Random& random_;
  const client::Client& client_;
  client::Lister<corev1::ServiceAccount> accounts_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_service_account(const AdmissionContext& context) {
  return std::make_unique<ServiceAccountPlugin>(context);
}

}  // namespace orch::server
