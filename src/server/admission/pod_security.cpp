// PodSecurity: a namespace's labels pod-security.kubernetes.io/* say which of the Pod Security
// Standards its Pods must meet (enforce), and of which misses clients (warn) and the audit log
// (audit) are told. KEP-2579.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "orch/api/appsv1.h"
#include "orch/api/batchv1.h"
#include "orch/api/json_value.h"
#include "server/admission/admission.h"
#include "server/admission/pod_security_standards.h"

namespace orch::server {
namespace {

using namespace api;
using List = std::vector<std::string>;

constexpr const char* kPrefix = "pod-security.kubernetes.io/";
constexpr size_t kExistingPodsMax = 3000;
constexpr std::string_view kModes[] = {"enforce", "audit", "warn"};

struct Policies {
  PodSecurityPolicy enforce, audit, warn;
  PodSecurityPolicy& of(std::string_view mode) {
    return mode == "enforce" ? enforce : mode == "audit" ? audit : warn;
  }
};

// What `labels` make of the defaults; what is malformed counts as restricted (enforce: as
// upstream) and is told in `errors`.
Policies policies_of(const std::map<std::string, std::string>& labels, Policies policies,
                     FieldErrors& errors) {
  const auto label = [&](const std::string& name) -> const std::string* {
    auto it = labels.find(kPrefix + name);
    return it == labels.end() ? nullptr : &it->second;
  };
  for (const std::string_view mode : kModes) {
    const std::string name(mode);
    PodSecurityPolicy& policy = policies.of(mode);
    if (const std::string* level = label(name)) {
      const auto parsed = parse_pod_security_level(*level);
      if (!parsed) {
        errors.invalid(fmt::format("metadata.labels[{}{}]", kPrefix, name), go_quoted(*level),
                       "must be one of privileged, baseline, restricted");
      }
      policy.level = parsed.value_or(mode == "enforce" ? PodSecurityLevel::kRestricted
                                                       : PodSecurityLevel::kPrivileged);
      // A level of one's own is read in the latest version.
      policy.minor = PodSecurityPolicy::kLatest;
    }
    const std::string* version = label(name + "-version");
    if (version == nullptr) continue;
    const auto parsed = parse_pod_security_version(*version);
    if (!parsed) {
      errors.invalid(fmt::format("metadata.labels[{}{}-version]", kPrefix, name),
                     go_quoted(*version), "must be \"latest\" or \"v1.x\"");
    }
    policy.minor = parsed.value_or(PodSecurityPolicy::kLatest);
  }
  return policies;
}

// The Pod template of a kind that makes Pods; null = it is none.
const corev1::PodTemplateSpec* template_of(const AdmissionRequest& request) {
  const Object* object = request.object;
  const std::string_view plural = request.resource->plural;
  if (request.resource->group.empty()) {
    if (plural == "podtemplates") {
      return &static_cast<const corev1::PodTemplate*>(object)->template_;
    }
    if (plural != "replicationcontrollers") return nullptr;
    const auto& held = static_cast<const corev1::ReplicationController*>(object)->spec.template_;
    return held ? &*held : nullptr;
  }
  if (request.resource->group == "apps") {
    if (plural == "deployments") {
      return &static_cast<const appsv1::Deployment*>(object)->spec.template_;
    }
    if (plural == "daemonsets") {
      return &static_cast<const appsv1::DaemonSet*>(object)->spec.template_;
    }
    if (plural == "statefulsets") {
      return &static_cast<const appsv1::StatefulSet*>(object)->spec.template_;
    }
    if (plural == "replicasets") {
      return &static_cast<const appsv1::ReplicaSet*>(object)->spec.template_;
    }
  }
  if (request.resource->group == "batch") {
    if (plural == "jobs") return &static_cast<const batchv1::Job*>(object)->spec.template_;
    if (plural == "cronjobs") {
      return &static_cast<const batchv1::CronJob*>(object)->spec.jobTemplate.spec.template_;
    }
  }
  return nullptr;
}

template <class Containers>
bool same_images(const Containers& a, const Containers& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto& x, auto& y) {
           return x.name == y.name && x.image == y.image;
         });
}

// Most of a Pod cannot be changed; of what can, only this matters.
bool is_significant(const corev1::Pod& now, const corev1::Pod& old) {
  return !same_images(now.spec.initContainers, old.spec.initContainers) ||
         !same_images(now.spec.containers, old.spec.containers) ||
         !same_images(now.spec.ephemeralContainers, old.spec.ephemeralContainers) ||
         now.metadata.annotations != old.metadata.annotations;
}

bool contains(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

class PodSecurityPlugin final : public AdmissionPlugin {
 public:
  explicit PodSecurityPlugin(const AdmissionContext& context)
      : client_(context.client),
        namespaces_(context.informers.lister<corev1::Namespace>()),
        pods_(context.informers.lister<corev1::Pod>()) {}

  std::string_view name() const override { return "PodSecurity"; }

  Result<Unit, std::string> configure(const std::string& json) override;

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (request.object == nullptr) return Unit{};
    if (request.operation != Operation::kCreate && request.operation != Operation::kUpdate) {
      return Unit{};
    }
    const bool core = request.resource->group.empty();
    if (core && request.resource->plural == "namespaces" && request.subresource.empty()) {
      return check_namespace(request);
    }
    if (core && request.resource->plural == "pods") {
      const bool looked_at = request.subresource.empty() ||
                             request.subresource == "ephemeralcontainers" ||
                             request.subresource == "resize";
      return looked_at ? check_pod(request) : Unit{};
    }
    if (!request.subresource.empty()) return Unit{};
    if (const auto* made = template_of(request)) check_template(request, *made);
    return Unit{};
  }

 private:
  ApiResult<Unit> check_namespace(const AdmissionRequest& request) const;
  ApiResult<Unit> check_pod(const AdmissionRequest& request) const;
  void check_template(const AdmissionRequest& request, const corev1::PodTemplateSpec& made) const;
  void warn_of_existing(const AdmissionRequest& request, const PodSecurityPolicy& policy) const;
  // Warns and annotates; `warn` is off where the request is refused anyway.
  void tell(const AdmissionRequest& request, const Policies& policies,
            const metav1::ObjectMeta& meta, const corev1::PodSpec& spec, bool warn) const;
  bool is_exempt(const AdmissionRequest& request, const std::string& runtime_class) const;
  Policies policies_of_namespace(const std::string& name) const;

  const client::Client& client_;
  client::Lister<corev1::Namespace> namespaces_;
  client::Lister<corev1::Pod> pods_;
  Policies defaults_;
  List exempt_users_, exempt_namespaces_, exempt_runtime_classes_;
};

Result<Unit, std::string> PodSecurityPlugin::configure(const std::string& json) {
  ORCH_TRY(const auto document, JsonValue::parse(json));
  const std::string version = document.get("apiVersion").text();
  if (document.get("kind").text() != "PodSecurityConfiguration" ||
      !version.starts_with("pod-security.admission.config.k8s.io/")) {
    return Err(
        std::string("not a PodSecurityConfiguration of "
                    "pod-security.admission.config.k8s.io/v1"));
  }
  const JsonValue defaults = document.get("defaults");
  for (const std::string_view mode : kModes) {
    const std::string name(mode);
    PodSecurityPolicy& policy = defaults_.of(mode);
    if (const std::string text = defaults.get(name).text(); !text.empty()) {
      const auto level = parse_pod_security_level(text);
      if (!level) {
        return Err(
            fmt::format("defaults.{}: Invalid value: {}: must be one of privileged, "
                        "baseline, restricted",
                        name, go_quoted(text)));
      }
      policy.level = *level;
    }
    if (const std::string text = defaults.get(name + "-version").text(); !text.empty()) {
      const auto minor = parse_pod_security_version(text);
      if (!minor) {
        return Err(
            fmt::format("defaults.{}-version: Invalid value: {}: must be \"latest\" or "
                        "\"v1.x\"",
                        name, go_quoted(text)));
      }
      policy.minor = *minor;
    }
  }
  const auto list = [&](const char* key) {
    List out;
    for (const auto& item : document.get("exemptions").get(key).items()) out.push_back(item.text());
    return out;
  };
  exempt_users_ = list("usernames");
  exempt_namespaces_ = list("namespaces");
  exempt_runtime_classes_ = list("runtimeClasses");
  return Unit{};
}

Policies PodSecurityPlugin::policies_of_namespace(const std::string& name) const {
  FieldErrors ignored;
  // A cache that has not seen the namespace yet must not let a Pod pass.
  if (auto cached = namespaces_.get("", name)) {
    return policies_of(cached->metadata.labels, defaults_, ignored);
  }
  auto live = client_.get<corev1::Namespace>("", name);
  return live ? policies_of(live->metadata.labels, defaults_, ignored) : defaults_;
}

bool PodSecurityPlugin::is_exempt(const AdmissionRequest& request,
                                  const std::string& runtime_class) const {
  const char* why = nullptr;
  if (request.user != nullptr && contains(exempt_users_, request.user->name)) why = "user";
  if (contains(exempt_namespaces_, request.namespace_)) why = "namespace";
  if (!runtime_class.empty() && contains(exempt_runtime_classes_, runtime_class)) {
    why = "runtimeClass";
  }
  if (why != nullptr) annotate(request, std::string(kPrefix) + "exempt", why);
  return why != nullptr;
}

void PodSecurityPlugin::tell(const AdmissionRequest& request, const Policies& policies,
                             const metav1::ObjectMeta& meta, const corev1::PodSpec& spec,
                             bool warn) const {
  const auto violations = check_pod_security(policies.audit, meta, spec);
  if (!violations.empty()) {
    annotate(request, std::string(kPrefix) + "audit-violations",
             fmt::format("would violate PodSecurity \"{}\": {}", to_string(policies.audit),
                         details_of(violations)));
  }
  if (!warn || request.warnings == nullptr) return;
  const auto warned = check_pod_security(policies.warn, meta, spec);
  if (warned.empty()) return;
  request.warnings->push_back(fmt::format("would violate PodSecurity \"{}\": {}",
                                          to_string(policies.warn), details_of(warned)));
}

ApiResult<Unit> PodSecurityPlugin::check_pod(const AdmissionRequest& request) const {
  const auto& pod = static_cast<const corev1::Pod&>(*request.object);
  if (request.operation == Operation::kUpdate && request.old_object != nullptr &&
      !is_significant(pod, static_cast<const corev1::Pod&>(*request.old_object))) {
    return Unit{};
  }
  if (is_exempt(request, pod.spec.runtimeClassName.value_or(""))) return Unit{};
  const Policies policies = policies_of_namespace(request.namespace_);
  annotate(request, std::string(kPrefix) + "enforce-policy", to_string(policies.enforce));
  const auto violations = check_pod_security(policies.enforce, pod.metadata, pod.spec);
  tell(request, policies, pod.metadata, pod.spec, violations.empty());
  if (violations.empty()) return Unit{};
  return Err(forbidden({"", "pods"}, pod.metadata.name,
                       fmt::format("violates PodSecurity \"{}\": {}", to_string(policies.enforce),
                                   details_of(violations))));
}

void PodSecurityPlugin::check_template(const AdmissionRequest& request,
                                       const corev1::PodTemplateSpec& made) const {
  if (is_exempt(request, made.spec.runtimeClassName.value_or(""))) return;
  tell(request, policies_of_namespace(request.namespace_), made.metadata, made.spec, true);
}

ApiResult<Unit> PodSecurityPlugin::check_namespace(const AdmissionRequest& request) const {
  FieldErrors errors, old_errors;
  const Policies now = policies_of(request.object->metadata.labels, defaults_, errors);
  auto causes = errors.take();
  if (request.operation == Operation::kCreate || request.old_object == nullptr) {
    if (causes.empty()) return Unit{};
    return Err(invalid("", "Namespace", request.object->metadata.name, std::move(causes)));
  }
  const Policies old = policies_of(request.old_object->metadata.labels, defaults_, old_errors);
  const auto old_causes = old_errors.take();
  const bool same = causes.size() == old_causes.size() &&
                    std::equal(causes.begin(), causes.end(), old_causes.begin(),
                               [](const auto& a, const auto& b) { return a.message == b.message; });
  // An invalid label that was there before does not stop other changes.
  if (!causes.empty()) {
    if (same) return Unit{};
    return Err(invalid("", "Namespace", request.object->metadata.name, std::move(causes)));
  }
  if (now.enforce == old.enforce || now.enforce.level == PodSecurityLevel::kPrivileged) {
    return Unit{};
  }
  // A lower level of the same version is met by all who met the higher one.
  if (now.enforce.minor == old.enforce.minor && now.enforce.level < old.enforce.level) {
    return Unit{};
  }
  if (contains(exempt_namespaces_, request.object->metadata.name)) {
    if (request.warnings != nullptr) {
      request.warnings->push_back(
          fmt::format("namespace {} is exempt from Pod Security, and the policy (enforce={}) will "
                      "be ignored",
                      go_quoted(request.object->metadata.name), to_string(now.enforce)));
    }
    return Unit{};
  }
  warn_of_existing(request, now.enforce);
  return Unit{};
}

void PodSecurityPlugin::warn_of_existing(const AdmissionRequest& request,
                                         const PodSecurityPolicy& policy) const {
  if (request.warnings == nullptr) return;
  const std::string& ns = request.object->metadata.name;
  struct Miss {
    std::string first_pod;
    size_t others = 0;
  };
  std::map<std::string, Miss> misses;  // by reasons
  std::set<std::string> owners;        // one Pod stands for all of its controller
  size_t looked_at = 0;
  const auto pods = pods_.list(ns);
  for (const auto& pod : pods) {
    if (looked_at == kExistingPodsMax) break;
    const auto& refs = pod->metadata.ownerReferences;
    const auto owner = std::find_if(refs.begin(), refs.end(),
                                    [](const auto& ref) { return ref.controller.value_or(false); });
    if (owner != refs.end() && !owners.insert(owner->uid).second) continue;
    if (contains(exempt_runtime_classes_, pod->spec.runtimeClassName.value_or(""))) continue;
    ++looked_at;
    const auto violations = check_pod_security(policy, pod->metadata, pod->spec);
    if (violations.empty()) continue;
    auto [it, fresh] = misses.try_emplace(reasons_of(violations), Miss{pod->metadata.name, 0});
    if (!fresh) ++it->second.others;
  }
  if (looked_at == kExistingPodsMax && pods.size() > looked_at) {
    request.warnings->push_back(
        fmt::format("new PodSecurity enforce level only checked against the first {} of {} "
                    "existing pods",
                    looked_at, pods.size()));
  }
  if (misses.empty()) return;
  request.warnings->push_back(
      fmt::format("existing pods in namespace {} violate the new PodSecurity enforce level \"{}\"",
                  go_quoted(ns), to_string(policy)));
  std::map<std::string, std::string> by_pod;
  for (const auto& [reasons, miss] : misses) {
    std::string who = miss.first_pod;
    if (miss.others != 0) {
      who += fmt::format(" (and {} other pod{})", miss.others, miss.others == 1 ? "" : "s");
    }
    by_pod[miss.first_pod] = who + ": " + reasons;
  }
  for (const auto& [pod, text] : by_pod) request.warnings->push_back(text);
}

}  // namespace

std::unique_ptr<AdmissionPlugin> make_pod_security(const AdmissionContext& context) {
  return std::make_unique<PodSecurityPlugin>(context);
}

}  // namespace orch::server
