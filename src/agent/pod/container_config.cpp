#include "agent/pod/container_config.h"

#include <fmt/format.h>

#include "agent/pod/resources.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

const std::vector<std::string> kMaskedPaths = {"/proc/asound",
                                               "/proc/acpi",
                                               "/proc/kcore",
                                               "/proc/keys",
                                               "/proc/latency_stats",
                                               "/proc/timer_list",
                                               "/proc/timer_stats",
                                               "/proc/sched_debug",
                                               "/proc/scsi",
                                               "/sys/firmware",
                                               "/sys/devices/virtual/powercap"};
const std::vector<std::string> kReadonlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                 "/proc/sysrq-trigger"};

Error config_error(std::string message) { return {Error::Code::kConfig, std::move(message)}; }

Result<Unit, Error> check_non_root(const ContainerInput& input, const ContainerSpec& spec) {
  const auto* pod_sc = input.pod.spec.securityContext.get();
  const auto* sc = input.container.securityContext.get();
  bool wanted = pod_sc != nullptr && pod_sc->runAsNonRoot.value_or(false);
  if (sc != nullptr && sc->runAsNonRoot) wanted = *sc->runAsNonRoot;
  if (!wanted) return Unit{};
  const std::string where =
      fmt::format("(pod: \"{}\", container: {})", format_pod(input.pod), input.container.name);
  if (spec.run_as_user) {
    if (*spec.run_as_user == 0) {
      return Err(config_error("container's runAsUser breaks non-root policy " + where));
    }
    return Unit{};
  }
  if (!input.image.username.empty()) {
    return Err(
        config_error(fmt::format("container has runAsNonRoot and image has non-numeric user "
                                 "({}), cannot verify user is non-root {}",
                                 input.image.username, where)));
  }
  if (!input.image.uid || *input.image.uid == 0) {
    return Err(config_error("container has runAsNonRoot and image will run as root " + where));
  }
  return Unit{};
}

Result<Unit, Error> set_security(const ContainerInput& input, ContainerSpec& out) {
  const auto* pod_sc = input.pod.spec.securityContext.get();
  const auto* sc = input.container.securityContext.get();
  out.namespaces = pod_namespaces(input.pod);
  if (!input.target_container_id.empty()) {
    out.namespaces.pid = NamespaceMode::kTarget;
    out.namespaces.target_id = input.target_container_id;
  }
  const corev1::SeccompProfile* profile = nullptr;
  if (pod_sc != nullptr) {
    out.run_as_user = pod_sc->runAsUser;
    out.run_as_group = pod_sc->runAsGroup;
    out.supplemental_groups = pod_sc->supplementalGroups;
    if (pod_sc->fsGroup) out.supplemental_groups.push_back(*pod_sc->fsGroup);
    out.supplemental_groups_strict = pod_sc->supplementalGroupsPolicy == "Strict";
    profile = pod_sc->seccompProfile.get();
  }
  const corev1::AppArmorProfile* apparmor =
      pod_sc != nullptr ? pod_sc->appArmorProfile.get() : nullptr;
  if (sc != nullptr) {
    if (sc->runAsUser) out.run_as_user = sc->runAsUser;
    if (sc->runAsGroup) out.run_as_group = sc->runAsGroup;
    out.privileged = sc->privileged.value_or(false);
    out.readonly_rootfs = sc->readOnlyRootFilesystem.value_or(false);
    if (sc->capabilities) {
      out.add_capabilities = sc->capabilities->add;
      out.drop_capabilities = sc->capabilities->drop;
    }
    out.no_new_privs = sc->allowPrivilegeEscalation && !*sc->allowPrivilegeEscalation;
    if (sc->seccompProfile) profile = sc->seccompProfile.get();
    if (sc->appArmorProfile) apparmor = sc->appArmorProfile.get();
  }
  // A group without a user is refused by runtimes: the image's user is meant.
  if (out.run_as_group && !out.run_as_user && input.image.username.empty()) {
    out.run_as_user = input.image.uid.value_or(0);
  }
  if (apparmor != nullptr) {
    out.apparmor_unconfined = apparmor->type == "Unconfined";
    if (apparmor->type == "Localhost") {
      out.apparmor_localhost = apparmor->localhostProfile.value_or("");
    }
  }
  const auto fallback = input.seccomp_default ? SeccompProfile::Type::kRuntimeDefault
                                              : SeccompProfile::Type::kUnconfined;
  ORCH_TRY(out.seccomp, seccomp_profile(profile, SeccompProfile{fallback, ""}));
  const bool unmasked = sc != nullptr && sc->procMount == "Unmasked";
  if (!out.privileged && !unmasked) {
    out.masked_paths = kMaskedPaths;
    out.readonly_paths = kReadonlyPaths;
  }
  return check_non_root(input, out);
}

}  // namespace

std::string container_log_path(const std::string& container, uint32_t restart_count) {
  return fmt::format("{}/{}.log", container, restart_count);
}

Result<ContainerSpec, Error> make_container_spec(const ContainerInput& input) {
  const corev1::Container& c = input.container;
  ContainerSpec out;
  out.sandbox_id = input.sandbox_id;
  out.sandbox = input.sandbox;
  out.name = c.name;
  out.attempt = input.restart_count;
  out.image = input.image_reference;
  out.user_image = c.image;
  out.command = expand_all(c.command, input.environment);
  out.args = expand_all(c.args, input.environment);
  out.working_dir = c.workingDir;
  out.envs = input.environment;
  out.mounts = input.mounts;
  out.labels = {{kPodNameLabel, input.pod.metadata.name},
                {kPodNamespaceLabel, input.pod.metadata.namespace_},
                {kPodUidLabel, input.pod.metadata.uid},
                {kContainerNameLabel, c.name},
                {kCreatedByLabel, input.instance}};
  out.annotations = {{kHashAnnotation, container_hash(c)},
                     {kRestartCountAnnotation, std::to_string(input.restart_count)},
                     {kTerminationPathAnnotation, c.terminationMessagePath},
                     {kTerminationPolicyAnnotation, c.terminationMessagePolicy},
                     {kGraceAnnotation, std::to_string(grace_seconds_of(input.pod))}};
  out.log_path = container_log_path(c.name, input.restart_count);
  out.stdin_open = c.stdin;
  out.stdin_once = c.stdinOnce;
  out.tty = c.tty;
  out.resources = container_resources(input.pod, c, input.node_memory_bytes, input.cgroup_v2);
  ORCH_CHECK(set_security(input, out));
  return out;
}

}  // namespace orch::agent
