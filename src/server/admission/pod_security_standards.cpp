#include "server/admission/pod_security_standards.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "orch/api/error.h"
#include "orch/base/strings.h"

namespace orch::server {
namespace {

using namespace api::corev1;
using List = std::vector<std::string>;
using Set = std::set<std::string>;
using Meta = api::metav1::ObjectMeta;
using Found = std::optional<PodSecurityViolation>;

// The fields that checks look at are the same in all three kinds of containers.
struct AnyContainer {
  const std::string& name;
  const api::Ptr<SecurityContext>& security;
  const std::vector<ContainerPort>& ports;
};

void visit(const PodSpec& spec, const std::function<void(const AnyContainer&)>& each) {
  for (const auto& c : spec.initContainers) each({c.name, c.securityContext, c.ports});
  for (const auto& c : spec.containers) each({c.name, c.securityContext, c.ports});
  for (const auto& c : spec.ephemeralContainers) each({c.name, c.securityContext, c.ports});
}

template <class Items>
std::string quoted(const Items& items) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += ", ";
    out += '"' + item + '"';
  }
  return out;
}

std::string some(const char* what, const List& names) {
  return fmt::format("{}{} {}", what, names.size() == 1 ? "" : "s", quoted(names));
}

bool is_windows(const PodSpec& spec) { return spec.os && spec.os->name == "windows"; }

// ---- baseline ----

Found app_armor(const Meta& meta, const PodSpec& spec) {
  constexpr std::string_view kPrefix = "container.apparmor.security.beta.kubernetes.io/";
  const auto bad = [](const api::Ptr<AppArmorProfile>& profile) {
    return profile && profile->type != "RuntimeDefault" && profile->type != "Localhost";
  };
  List setters, containers, annotations;
  Set values;
  if (spec.securityContext && bad(spec.securityContext->appArmorProfile)) {
    setters.emplace_back("pod");
    values.insert(spec.securityContext->appArmorProfile->type);
  }
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || !bad(c.security->appArmorProfile)) return;
    containers.push_back(c.name);
    values.insert(c.security->appArmorProfile->type);
  });
  for (const auto& [key, value] : meta.annotations) {
    if (!key.starts_with(kPrefix) || value.empty() || value == "runtime/default" ||
        value.starts_with("localhost/")) {
      continue;
    }
    annotations.push_back(key);
    values.insert(value);
  }
  if (!containers.empty()) setters.push_back(some("container", containers));
  if (!annotations.empty()) setters.push_back(some("annotation", annotations));
  if (setters.empty()) return {};
  return PodSecurityViolation{
      values.size() == 1 ? "forbidden AppArmor profile" : "forbidden AppArmor profiles",
      fmt::format("{} must not set AppArmor profile type to {}", join(setters, " and "),
                  quoted(values))};
}

// Who adds capabilities beyond `allowed`, and which.
std::string added_capabilities(const PodSpec& spec, const Set& allowed) {
  List containers;
  Set forbidden;
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || !c.security->capabilities) return;
    bool bad = false;
    for (const auto& capability : c.security->capabilities->add) {
      if (allowed.count(capability) != 0) continue;
      bad = true;
      forbidden.insert(capability);
    }
    if (bad) containers.push_back(c.name);
  });
  if (containers.empty()) return "";
  return fmt::format("{} must not include {} in securityContext.capabilities.add",
                     some("container", containers), quoted(forbidden));
}

Found capabilities_baseline(const Meta&, const PodSpec& spec) {
  static const Set allowed = {"AUDIT_WRITE", "CHOWN",  "DAC_OVERRIDE",     "FOWNER",  "FSETID",
                              "KILL",        "MKNOD",  "NET_BIND_SERVICE", "SETFCAP", "SETGID",
                              "SETPCAP",     "SETUID", "SYS_CHROOT"};
  const std::string text = added_capabilities(spec, allowed);
  if (text.empty()) return {};
  return PodSecurityViolation{"non-default capabilities", text};
}

Found host_namespaces(const Meta&, const PodSpec& spec) {
  List found;
  if (spec.hostNetwork) found.emplace_back("hostNetwork=true");
  if (spec.hostPID) found.emplace_back("hostPID=true");
  if (spec.hostIPC) found.emplace_back("hostIPC=true");
  if (found.empty()) return {};
  return PodSecurityViolation{"host namespaces", join(found, ", ")};
}

Found host_path_volumes(const Meta&, const PodSpec& spec) {
  List found;
  for (const auto& volume : spec.volumes) {
    if (volume.hostPath) found.push_back(volume.name);
  }
  if (found.empty()) return {};
  return PodSecurityViolation{"hostPath volumes", some("volume", found)};
}

Found host_ports(const Meta&, const PodSpec& spec) {
  List containers;
  Set ports;
  visit(spec, [&](const AnyContainer& c) {
    bool bad = false;
    for (const auto& port : c.ports) {
      if (port.hostPort == 0) continue;
      bad = true;
      ports.insert(std::to_string(port.hostPort));
    }
    if (bad) containers.push_back(c.name);
  });
  if (containers.empty()) return {};
  return PodSecurityViolation{"hostPort",
                              fmt::format("{} {} {} {}", some("container", containers),
                                          containers.size() == 1 ? "uses" : "use",
                                          ports.size() == 1 ? "hostPort" : "hostPorts",
                                          join(List(ports.begin(), ports.end()), ", "))};
}

Found privileged(const Meta&, const PodSpec& spec) {
  List found;
  visit(spec, [&](const AnyContainer& c) {
    if (c.security && c.security->privileged.value_or(false)) found.push_back(c.name);
  });
  if (found.empty()) return {};
  return PodSecurityViolation{
      "privileged", some("container", found) + " must not set securityContext.privileged=true"};
}

Found proc_mount(const Meta&, const PodSpec& spec) {
  List found;
  Set types;
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || c.security->procMount.value_or("Default") == "Default") return;
    found.push_back(c.name);
    types.insert(*c.security->procMount);
  });
  if (found.empty()) return {};
  return PodSecurityViolation{"procMount",
                              fmt::format("{} must not set securityContext.procMount to {}",
                                          some("container", found), quoted(types))};
}

Found selinux(const Meta&, const PodSpec& spec, bool engine_allowed) {
  List setters, containers;
  Set types;
  bool user = false, role = false;
  const auto bad = [&](const api::Ptr<SELinuxOptions>& options) {
    if (!options) return false;
    static const Set allowed = {"", "container_t", "container_init_t", "container_kvm_t"};
    const std::string& type = options->type;
    const bool type_ok =
        allowed.count(type) != 0 || (engine_allowed && type == "container_engine_t");
    if (!type_ok) types.insert(type);
    user = user || !options->user.empty();
    role = role || !options->role.empty();
    return !type_ok || !options->user.empty() || !options->role.empty();
  };
  if (spec.securityContext && bad(spec.securityContext->seLinuxOptions)) {
    setters.emplace_back("pod");
  }
  visit(spec, [&](const AnyContainer& c) {
    if (c.security && bad(c.security->seLinuxOptions)) containers.push_back(c.name);
  });
  if (!containers.empty()) setters.push_back(some("container", containers));
  if (setters.empty()) return {};
  List data;
  if (!types.empty()) data.push_back(some("type", List(types.begin(), types.end())));
  if (user) data.emplace_back("user may not be set");
  if (role) data.emplace_back("role may not be set");
  return PodSecurityViolation{"seLinuxOptions",
                              fmt::format("{} set forbidden securityContext.seLinuxOptions: {}",
                                          join(setters, " and "), join(data, "; "))};
}

// The annotations of before 1.19.
Found seccomp_annotations(const Meta& meta, const PodSpec& spec) {
  Set forbidden;
  const auto look = [&](const std::string& key) {
    auto it = meta.annotations.find(key);
    if (it == meta.annotations.end()) return;
    const std::string& value = it->second;
    if (value == "runtime/default" || value == "docker/default" ||
        value.starts_with("localhost/")) {
      return;
    }
    forbidden.insert(fmt::format("{}={}", key, api::go_quoted(value)));
  };
  look("seccomp.security.alpha.kubernetes.io/pod");
  visit(spec, [&](const AnyContainer& c) {
    look("container.seccomp.security.alpha.kubernetes.io/" + c.name);
  });
  if (forbidden.empty()) return {};
  return PodSecurityViolation{
      "seccompProfile", fmt::format("forbidden annotation{} {}", forbidden.size() == 1 ? "" : "s",
                                    join(List(forbidden.begin(), forbidden.end()), ", "))};
}

Found seccomp(const Meta&, const PodSpec& spec, bool required) {
  List setters, bad, missing;
  Set values;
  bool pod_set = false;
  const auto valid = [](const SeccompProfile& profile) {
    return profile.type == "RuntimeDefault" || profile.type == "Localhost";
  };
  if (spec.securityContext && spec.securityContext->seccompProfile) {
    const auto& profile = *spec.securityContext->seccompProfile;
    pod_set = valid(profile);
    if (!pod_set) {
      setters.emplace_back("pod");
      values.insert(profile.type);
    }
  }
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || !c.security->seccompProfile) {
      if (!pod_set) missing.push_back(c.name);
    } else if (!valid(*c.security->seccompProfile)) {
      bad.push_back(c.name);
      values.insert(c.security->seccompProfile->type);
    }
  });
  if (!bad.empty()) setters.push_back(some("container", bad));
  if (!setters.empty()) {
    return PodSecurityViolation{
        "seccompProfile", fmt::format("{} must not set securityContext.seccompProfile.type to {}",
                                      join(setters, " and "), quoted(values))};
  }
  if (!required || missing.empty()) return {};
  return PodSecurityViolation{
      "seccompProfile",
      fmt::format("pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
                  "\"Localhost\"",
                  some("container", missing))};
}

// A sysctl is safe since the given minor version.
struct SafeSysctl {
  std::string_view name;
  int since;
};
constexpr SafeSysctl kSafeSysctls[] = {
    {"kernel.shm_rmid_forced", 0},
    {"net.ipv4.ip_local_port_range", 0},
    {"net.ipv4.tcp_syncookies", 0},
    {"net.ipv4.ping_group_range", 0},
    {"net.ipv4.ip_unprivileged_port_start", 0},
    {"net.ipv4.ip_local_reserved_ports", 27},
    {"net.ipv4.tcp_keepalive_time", 29},
    {"net.ipv4.tcp_fin_timeout", 29},
    {"net.ipv4.tcp_keepalive_intvl", 29},
    {"net.ipv4.tcp_keepalive_probes", 29},
    {"net.ipv4.tcp_rmem", 32},
    {"net.ipv4.tcp_wmem", 32},
};

Found sysctls(const Meta&, const PodSpec& spec, int minor) {
  if (!spec.securityContext) return {};
  List forbidden;
  for (const auto& sysctl : spec.securityContext->sysctls) {
    const bool safe = std::any_of(
        std::begin(kSafeSysctls), std::end(kSafeSysctls),
        [&](const auto& known) { return known.name == sysctl.name && known.since <= minor; });
    if (!safe) forbidden.push_back(sysctl.name);
  }
  if (forbidden.empty()) return {};
  return PodSecurityViolation{"forbidden sysctls", join(forbidden, ", ")};
}

Found windows_host_process(const Meta&, const PodSpec& spec) {
  const auto bad = [](const api::Ptr<WindowsSecurityContextOptions>& options) {
    return options && options->hostProcess.value_or(false);
  };
  List setters, containers;
  visit(spec, [&](const AnyContainer& c) {
    if (c.security && bad(c.security->windowsOptions)) containers.push_back(c.name);
  });
  if (spec.securityContext && bad(spec.securityContext->windowsOptions)) {
    setters.emplace_back("pod");
  }
  if (!containers.empty()) setters.push_back(some("container", containers));
  if (setters.empty()) return {};
  return PodSecurityViolation{
      "hostProcess",
      join(setters, " and ") + " must not set securityContext.windowsOptions.hostProcess=true"};
}

// ---- restricted ----

Found privilege_escalation(const Meta&, const PodSpec& spec) {
  List found;
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || c.security->allowPrivilegeEscalation.value_or(true)) {
      found.push_back(c.name);
    }
  });
  if (found.empty()) return {};
  return PodSecurityViolation{
      "allowPrivilegeEscalation != false",
      some("container", found) + " must set securityContext.allowPrivilegeEscalation=false"};
}

Found capabilities_restricted(const Meta&, const PodSpec& spec) {
  List missing, parts;
  visit(spec, [&](const AnyContainer& c) {
    if (c.security && c.security->capabilities) {
      const auto& drop = c.security->capabilities->drop;
      if (std::find(drop.begin(), drop.end(), "ALL") != drop.end()) return;
    }
    missing.push_back(c.name);
  });
  if (!missing.empty()) {
    parts.push_back(some("container", missing) +
                    R"( must set securityContext.capabilities.drop=["ALL"])");
  }
  const std::string added = added_capabilities(spec, {"NET_BIND_SERVICE"});
  if (!added.empty()) parts.push_back(added);
  if (parts.empty()) return {};
  return PodSecurityViolation{"unrestricted capabilities", join(parts, "; ")};
}

// "" = of a type that is allowed.
std::string restricted_type(const Volume& v) {
  if (v.configMap || v.csi || v.downwardAPI || v.emptyDir || v.ephemeral ||
      v.persistentVolumeClaim || v.projected || v.secret) {
    return "";
  }
  const std::pair<bool, const char*> types[] = {
      {bool(v.hostPath), "hostPath"},
      {bool(v.gcePersistentDisk), "gcePersistentDisk"},
      {bool(v.awsElasticBlockStore), "awsElasticBlockStore"},
      {bool(v.gitRepo), "gitRepo"},
      {bool(v.nfs), "nfs"},
      {bool(v.iscsi), "iscsi"},
      {bool(v.glusterfs), "glusterfs"},
      {bool(v.rbd), "rbd"},
      {bool(v.flexVolume), "flexVolume"},
      {bool(v.cinder), "cinder"},
      {bool(v.cephfs), "cephfs"},
      {bool(v.flocker), "flocker"},
      {bool(v.fc), "fc"},
      {bool(v.azureFile), "azureFile"},
      {bool(v.vsphereVolume), "vsphereVolume"},
      {bool(v.quobyte), "quobyte"},
      {bool(v.azureDisk), "azureDisk"},
      {bool(v.photonPersistentDisk), "photonPersistentDisk"},
      {bool(v.portworxVolume), "portworxVolume"},
      {bool(v.scaleIO), "scaleIO"},
      {bool(v.storageos), "storageos"},
      {bool(v.image), "image"},
  };
  for (const auto& [present, name] : types) {
    if (present) return name;
  }
  return "unknown";
}

Found restricted_volumes(const Meta&, const PodSpec& spec) {
  List volumes;
  Set types;
  for (const auto& volume : spec.volumes) {
    const std::string type = restricted_type(volume);
    if (type.empty()) continue;
    volumes.push_back(volume.name);
    types.insert(type);
  }
  if (volumes.empty()) return {};
  return PodSecurityViolation{"restricted volume types",
                              fmt::format("{} {} restricted volume {} {}", some("volume", volumes),
                                          volumes.size() == 1 ? "uses" : "use",
                                          types.size() == 1 ? "type" : "types", quoted(types))};
}

Found run_as_non_root(const Meta&, const PodSpec& spec) {
  List setters, bad, missing;
  bool pod_set = false;
  if (spec.securityContext && spec.securityContext->runAsNonRoot) {
    pod_set = *spec.securityContext->runAsNonRoot;
    if (!pod_set) setters.emplace_back("pod");
  }
  visit(spec, [&](const AnyContainer& c) {
    if (!c.security || !c.security->runAsNonRoot) {
      if (!pod_set) missing.push_back(c.name);
    } else if (!*c.security->runAsNonRoot) {
      bad.push_back(c.name);
    }
  });
  if (!bad.empty()) setters.push_back(some("container", bad));
  if (!setters.empty()) {
    return PodSecurityViolation{
        "runAsNonRoot != true",
        join(setters, " and ") + " must not set securityContext.runAsNonRoot=false"};
  }
  if (missing.empty()) return {};
  return PodSecurityViolation{
      "runAsNonRoot != true",
      "pod or " + some("container", missing) + " must set securityContext.runAsNonRoot=true"};
}

Found run_as_user(const Meta&, const PodSpec& spec) {
  List setters, containers;
  if (spec.securityContext && spec.securityContext->runAsUser == 0) setters.emplace_back("pod");
  visit(spec, [&](const AnyContainer& c) {
    if (c.security && c.security->runAsUser == 0) containers.push_back(c.name);
  });
  if (!containers.empty()) setters.push_back(some("container", containers));
  if (setters.empty()) return {};
  return PodSecurityViolation{"runAsUser=0", join(setters, " and ") + " must not set runAsUser=0"};
}

}  // namespace

std::optional<PodSecurityLevel> parse_pod_security_level(std::string_view text) {
  if (text == "privileged") return PodSecurityLevel::kPrivileged;
  if (text == "baseline") return PodSecurityLevel::kBaseline;
  if (text == "restricted") return PodSecurityLevel::kRestricted;
  return std::nullopt;
}

std::optional<int> parse_pod_security_version(std::string_view text) {
  if (text == "latest") return PodSecurityPolicy::kLatest;
  if (!text.starts_with("v1.")) return std::nullopt;
  text.remove_prefix(3);
  const bool digits =
      !text.empty() && text.size() <= 5 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  return static_cast<int>(*parse_int(text));
}

std::string to_string(const PodSecurityPolicy& policy) {
  static constexpr const char* kNames[] = {"privileged", "baseline", "restricted"};
  const std::string name = kNames[static_cast<int>(policy.level)];
  if (policy.minor == PodSecurityPolicy::kLatest) return name + ":latest";
  return fmt::format("{}:v1.{}", name, policy.minor);
}

std::vector<PodSecurityViolation> check_pod_security(const PodSecurityPolicy& policy,
                                                     const Meta& meta, const PodSpec& spec) {
  std::vector<PodSecurityViolation> out;
  if (policy.level == PodSecurityLevel::kPrivileged) return out;
  const auto add = [&out](Found found) {
    if (found) out.push_back(std::move(*found));
  };
  const int minor = policy.minor;
  const bool restricted = policy.level == PodSecurityLevel::kRestricted;
  const bool linux_only = minor >= 25 && is_windows(spec);  // checks that Windows cannot meet
  // In the order of upstream's check IDs. What a restricted check overlaps is left to that one.
  add(app_armor(meta, spec));
  if (!restricted || minor < 22) add(capabilities_baseline(meta, spec));
  add(host_namespaces(meta, spec));
  if (!restricted) add(host_path_volumes(meta, spec));
  add(host_ports(meta, spec));
  add(privileged(meta, spec));
  add(proc_mount(meta, spec));
  add(selinux(meta, spec, minor >= 31));
  if (minor < 19) {
    add(seccomp_annotations(meta, spec));
  } else if (!restricted) {
    add(seccomp(meta, spec, false));
  }
  add(sysctls(meta, spec, minor));
  add(windows_host_process(meta, spec));
  if (!restricted) return out;
  if (minor >= 8 && !linux_only) add(privilege_escalation(meta, spec));
  if (minor >= 22 && !linux_only) add(capabilities_restricted(meta, spec));
  add(restricted_volumes(meta, spec));
  add(run_as_non_root(meta, spec));
  if (minor >= 23) add(run_as_user(meta, spec));
  if (minor >= 19 && !linux_only) add(seccomp(meta, spec, true));
  return out;
}

std::string reasons_of(const std::vector<PodSecurityViolation>& violations) {
  List parts;
  for (const auto& violation : violations) parts.push_back(violation.reason);
  return join(parts, ", ");
}

std::string details_of(const std::vector<PodSecurityViolation>& violations) {
  List parts;
  for (const auto& violation : violations) {
    parts.push_back(violation.reason + " (" + violation.detail + ")");
  }
  return join(parts, ", ");
}

}  // namespace orch::server
