// ServiceAccount: a Pod runs as an existing ServiceAccount ("default" if it names none), takes its
// image pull secrets, and gets a token, the cluster's CA and its namespace mounted (KEP-1205).
// Where the ServiceAccount demands it (kubernetes.io/enforce-mountable-secrets), its Pods use no
// Secrets but the ones it lists.
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

// ---- which Secrets a Pod may use ----

constexpr const char* kMirror = "kubernetes.io/config.mirror";
constexpr const char* kEnforce = "kubernetes.io/enforce-mountable-secrets";

bool enforces(const corev1::ServiceAccount& account) {
  const auto& annotations = account.metadata.annotations;
  const auto it = annotations.find(kEnforce);
  if (it == annotations.end()) return false;
  // What Go's ParseBool takes for true.
  static constexpr std::string_view kTrue[] = {"1", "t", "T", "true", "TRUE", "True"};
  return std::find(std::begin(kTrue), std::end(kTrue), it->second) != std::end(kTrue);
}

class SecretLimits {
 public:
  explicit SecretLimits(const corev1::ServiceAccount& account) : account_(account) {}

  // "" = all of them are listed.
  template <class C>
  std::string refusal(const char* kind, const std::vector<C>& containers) const {
    for (const auto& container : containers) {
      for (const auto& env : container.env) {
        if (!env.valueFrom || !env.valueFrom->secretKeyRef) continue;
        const auto& secret = env.valueFrom->secretKeyRef->name;
        if (lists(secret)) continue;
        return text(fmt::format("{} {} with envVar {} referencing", kind, container.name, env.name),
                    secret);
      }
      for (const auto& from : container.envFrom) {
        if (!from.secretRef || lists(from.secretRef->name)) continue;
        return text(fmt::format("{} {} with envFrom referencing", kind, container.name),
                    from.secretRef->name);
      }
    }
    return "";
  }
  std::string refusal(const corev1::PodSpec& spec) const {
    for (const auto& volume : spec.volumes) {
      if (!volume.secret || lists(volume.secret->secretName)) continue;
      return text("volume with", volume.secret->secretName);
    }
    if (auto why = refusal("init container", spec.initContainers); !why.empty()) return why;
    if (auto why = refusal("container", spec.containers); !why.empty()) return why;
    for (size_t i = 0; i < spec.imagePullSecrets.size(); ++i) {
      const auto& name = spec.imagePullSecrets[i].name;
      const auto& known = account_.imagePullSecrets;
      const bool listed = std::any_of(known.begin(), known.end(),
                                      [&](const auto& secret) { return secret.name == name; });
      if (listed) continue;
      return fmt::format(
          "imagePullSecrets[{}].name=\"{}\" is not allowed because service account {} does not "
          "reference that imagePullSecret",
          i, name, account_.metadata.name);
    }
    return "";
  }

 private:
  bool lists(const std::string& name) const {
    return std::any_of(account_.secrets.begin(), account_.secrets.end(),
                       [&](const auto& secret) { return secret.name == name; });
  }
  std::string text(const std::string& what, const std::string& secret) const {
    return fmt::format(
        "{} secret.secretName=\"{}\" is not allowed because service account {} does not reference "
        "that secret",
        what, secret, account_.metadata.name);
  }

  const corev1::ServiceAccount& account_;
};

bool uses_secrets(const corev1::PodSpec& spec) {
  // An account that lists nothing refuses whatever there is.
  const corev1::ServiceAccount none;
  return !SecretLimits(none).refusal(spec).empty();
}

// Mirror Pods show what runs already: the API gives them nothing.
std::string mirror_refusal(const corev1::PodSpec& spec) {
  if (!spec.serviceAccountName.empty()) return "a mirror pod may not reference service accounts";
  if (uses_secrets(spec)) return "a mirror pod may not reference secrets";
  for (const auto& volume : spec.volumes) {
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (source.secret) return "a mirror pod may not reference secrets";
      if (source.serviceAccountToken) {
        return "a mirror pod may not use service account token volume projections";
      }
    }
  }
  return "";
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
    if (pod.metadata.annotations.count(kMirror) != 0) return Unit{};
    if (spec.serviceAccountName.empty()) spec.serviceAccountName = "default";
    spec.serviceAccount = spec.serviceAccountName;
    ORCH_TRY(const auto account, find(request.namespace_, spec.serviceAccountName, pod));
    const bool automount = spec.automountServiceAccountToken.value_or(
        account->automountServiceAccountToken.value_or(true));
    if (automount) mount_token(spec, random_);
    if (spec.imagePullSecrets.empty()) spec.imagePullSecrets = account->imagePullSecrets;
    return Unit{};
  }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    const auto& id = *request.resource;
    if (id.group != "" || id.plural != "pods" || request.object == nullptr) return Unit{};
    const bool debugging =
        request.operation == Operation::kUpdate && request.subresource == "ephemeralcontainers";
    if (!debugging && (request.operation != Operation::kCreate || !request.subresource.empty())) {
      return Unit{};
    }
    const auto& pod = static_cast<const corev1::Pod&>(*request.object);
    std::string why;
    if (!debugging && pod.metadata.annotations.count(kMirror) != 0) {
      why = mirror_refusal(pod.spec);
    } else if (!pod.spec.serviceAccountName.empty()) {
      ORCH_TRY(const auto account, find(request.namespace_, pod.spec.serviceAccountName, pod));
      if (!enforces(*account)) return Unit{};
      const SecretLimits limits(*account);
      why = debugging ? limits.refusal("ephemeral container", pod.spec.ephemeralContainers)
                      : limits.refusal(pod.spec);
    }
    if (why.empty()) return Unit{};
    return Err(forbidden({"", "pods"}, pod.metadata.name, why));
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
