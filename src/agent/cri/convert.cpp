#include "agent/cri/convert.h"

namespace orch::agent::cri {
namespace {

template <class Map>
void fill(const StringMap& from, Map* to) {
  for (const auto& [k, v] : from) (*to)[k] = v;
}
template <class Map>
StringMap copy(const Map& from) {
  return StringMap(from.begin(), from.end());
}
template <class List, class Items>
void fill_list(const Items& from, List* to) {
  for (const auto& item : from) to->Add(std::decay_t<decltype(*to->begin())>(item));
}

v1::NamespaceMode mode(NamespaceMode m) { return static_cast<v1::NamespaceMode>(m); }

void fill_namespaces(const NamespaceOptions& from, v1::NamespaceOption* to) {
  to->set_network(mode(from.network));
  to->set_pid(mode(from.pid));
  to->set_ipc(mode(from.ipc));
  to->set_target_id(from.target_id);
}

void fill_seccomp(const SeccompProfile& from, v1::SecurityProfile* to) {
  switch (from.type) {
    case SeccompProfile::Type::kRuntimeDefault:
      to->set_profile_type(v1::SecurityProfile::RuntimeDefault);
      break;
    case SeccompProfile::Type::kUnconfined:
      to->set_profile_type(v1::SecurityProfile::Unconfined);
      break;
    case SeccompProfile::Type::kLocalhost:
      to->set_profile_type(v1::SecurityProfile::Localhost);
      to->set_localhost_ref(from.localhost_path);
      break;
  }
}

void fill_security(const ContainerSpec& spec, v1::LinuxContainerSecurityContext* sc) {
  fill_namespaces(spec.namespaces, sc->mutable_namespace_options());
  sc->set_privileged(spec.privileged);
  sc->set_readonly_rootfs(spec.readonly_rootfs);
  sc->set_no_new_privs(spec.no_new_privs);
  if (spec.run_as_user) sc->mutable_run_as_user()->set_value(*spec.run_as_user);
  if (spec.run_as_group) sc->mutable_run_as_group()->set_value(*spec.run_as_group);
  if (!spec.run_as_username.empty()) sc->set_run_as_username(spec.run_as_username);
  fill_list(spec.supplemental_groups, sc->mutable_supplemental_groups());
  if (spec.supplemental_groups_strict) {
    sc->set_supplemental_groups_policy(v1::SupplementalGroupsPolicy::Strict);
  }
  if (!spec.add_capabilities.empty() || !spec.drop_capabilities.empty()) {
    fill_list(spec.add_capabilities, sc->mutable_capabilities()->mutable_add_capabilities());
    fill_list(spec.drop_capabilities, sc->mutable_capabilities()->mutable_drop_capabilities());
  }
  fill_seccomp(spec.seccomp, sc->mutable_seccomp());
  if (!spec.apparmor_localhost.empty()) {
    sc->mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost);
    sc->mutable_apparmor()->set_localhost_ref(spec.apparmor_localhost);
  } else if (spec.apparmor_unconfined) {
    sc->mutable_apparmor()->set_profile_type(v1::SecurityProfile::Unconfined);
  }
  fill_list(spec.masked_paths, sc->mutable_masked_paths());
  fill_list(spec.readonly_paths, sc->mutable_readonly_paths());
}

uint64_t value(const v1::UInt64Value& v) { return v.value(); }

void set_labels_of_usage(const StringMap& labels, UsageView& out) {
  auto get = [&](const char* key) {
    auto it = labels.find(key);
    return it == labels.end() ? std::string() : it->second;
  };
  out.pod_uid = get("io.kubernetes.pod.uid");
  out.pod_name = get("io.kubernetes.pod.name");
  out.pod_namespace = get("io.kubernetes.pod.namespace");
}

}  // namespace

v1::LinuxContainerResources to_message(const LinuxResources& from) {
  v1::LinuxContainerResources to;
  to.set_cpu_period(from.cpu_period_us);
  to.set_cpu_quota(from.cpu_quota_us);
  to.set_cpu_shares(from.cpu_shares);
  to.set_memory_limit_in_bytes(from.memory_limit_bytes);
  to.set_oom_score_adj(from.oom_score_adj);
  fill(from.unified, to.mutable_unified());
  return to;
}

v1::PodSandboxConfig to_message(const SandboxSpec& spec) {
  v1::PodSandboxConfig to;
  auto* metadata = to.mutable_metadata();
  metadata->set_name(spec.name);
  metadata->set_namespace_(spec.namespace_);
  metadata->set_uid(spec.uid);
  metadata->set_attempt(spec.attempt);
  to.set_hostname(spec.hostname);
  to.set_log_directory(spec.log_directory);
  fill_list(spec.dns.servers, to.mutable_dns_config()->mutable_servers());
  fill_list(spec.dns.searches, to.mutable_dns_config()->mutable_searches());
  fill_list(spec.dns.options, to.mutable_dns_config()->mutable_options());
  for (const auto& port : spec.port_mappings) {
    auto* p = to.add_port_mappings();
    p->set_protocol(static_cast<v1::Protocol>(port.protocol));
    p->set_container_port(port.container_port);
    p->set_host_port(port.host_port);
    p->set_host_ip(port.host_ip);
  }
  fill(spec.labels, to.mutable_labels());
  fill(spec.annotations, to.mutable_annotations());
  auto* linux_config = to.mutable_linux_part();
  linux_config->set_cgroup_parent(spec.cgroup_parent);
  fill(spec.sysctls, linux_config->mutable_sysctls());
  auto* sc = linux_config->mutable_security_context();
  fill_namespaces(spec.namespaces, sc->mutable_namespace_options());
  if (spec.run_as_user) sc->mutable_run_as_user()->set_value(*spec.run_as_user);
  if (spec.run_as_group) sc->mutable_run_as_group()->set_value(*spec.run_as_group);
  fill_list(spec.supplemental_groups, sc->mutable_supplemental_groups());
  sc->set_privileged(spec.privileged);
  sc->set_readonly_rootfs(spec.readonly_rootfs);
  fill_seccomp(spec.seccomp, sc->mutable_seccomp());
  return to;
}

v1::ContainerConfig to_message(const ContainerSpec& spec) {
  v1::ContainerConfig to;
  to.mutable_metadata()->set_name(spec.name);
  to.mutable_metadata()->set_attempt(spec.attempt);
  to.mutable_image()->set_image(spec.image);
  to.mutable_image()->set_user_specified_image(spec.user_image);
  fill_list(spec.command, to.mutable_command());
  fill_list(spec.args, to.mutable_args());
  to.set_working_dir(spec.working_dir);
  for (const auto& [key, val] : spec.envs) {
    auto* env = to.add_envs();
    env->set_key(key);
    env->set_value(val);
  }
  for (const auto& mount : spec.mounts) {
    auto* m = to.add_mounts();
    m->set_container_path(mount.container_path);
    m->set_host_path(mount.host_path);
    m->set_readonly(mount.readonly);
    m->set_recursive_read_only(mount.recursive_readonly);
    m->set_propagation(static_cast<v1::MountPropagation>(mount.propagation));
  }
  for (const auto& device : spec.devices) {
    auto* d = to.add_devices();
    d->set_container_path(device.container_path);
    d->set_host_path(device.host_path);
    d->set_permissions(device.permissions);
  }
  fill(spec.labels, to.mutable_labels());
  fill(spec.annotations, to.mutable_annotations());
  to.set_log_path(spec.log_path);
  to.set_stdin(spec.stdin_open);
  to.set_stdin_once(spec.stdin_once);
  to.set_tty(spec.tty);
  *to.mutable_linux_part()->mutable_resources() = to_message(spec.resources);
  fill_security(spec, to.mutable_linux_part()->mutable_security_context());
  return to;
}

SandboxView from_message(const v1::PodSandbox& s) {
  SandboxView out;
  out.id = s.id();
  out.name = s.metadata().name();
  out.namespace_ = s.metadata().namespace_();
  out.uid = s.metadata().uid();
  out.attempt = s.metadata().attempt();
  out.ready = s.state() == v1::SANDBOX_READY;
  out.created_at_ns = s.created_at();
  out.labels = copy(s.labels());
  out.annotations = copy(s.annotations());
  return out;
}

SandboxView from_message(const v1::PodSandboxStatus& s) {
  SandboxView out;
  out.id = s.id();
  out.name = s.metadata().name();
  out.namespace_ = s.metadata().namespace_();
  out.uid = s.metadata().uid();
  out.attempt = s.metadata().attempt();
  out.ready = s.state() == v1::SANDBOX_READY;
  out.created_at_ns = s.created_at();
  out.labels = copy(s.labels());
  out.annotations = copy(s.annotations());
  out.host_network = s.linux_part().namespaces().options().network() == v1::NODE;
  if (!s.network().ip().empty()) {
    out.ips.push_back(s.network().ip());
    for (const auto& ip : s.network().additional_ips()) out.ips.push_back(ip.ip());
  }
  return out;
}

ContainerView from_message(const v1::Container& c) {
  ContainerView out;
  out.id = c.id();
  out.sandbox_id = c.pod_sandbox_id();
  out.name = c.metadata().name();
  out.attempt = c.metadata().attempt();
  out.state = static_cast<ContainerState>(c.state());
  out.image = c.image().user_specified_image().empty() ? c.image().image()
                                                       : c.image().user_specified_image();
  out.image_ref = c.image_ref();
  out.created_at_ns = c.created_at();
  out.labels = copy(c.labels());
  out.annotations = copy(c.annotations());
  return out;
}

ContainerView from_message(const v1::ContainerStatus& c) {
  ContainerView out;
  out.id = c.id();
  out.name = c.metadata().name();
  out.attempt = c.metadata().attempt();
  out.state = static_cast<ContainerState>(c.state());
  out.image = c.image().user_specified_image().empty() ? c.image().image()
                                                       : c.image().user_specified_image();
  out.image_ref = c.image_ref();
  out.created_at_ns = c.created_at();
  out.labels = copy(c.labels());
  out.annotations = copy(c.annotations());
  out.detailed = true;
  out.started_at_ns = c.started_at();
  out.finished_at_ns = c.finished_at();
  out.exit_code = c.exit_code();
  out.reason = c.reason();
  out.message = c.message();
  out.log_path = c.log_path();
  return out;
}

ImageView from_message(const v1::Image& image) {
  ImageView out;
  out.id = image.id();
  out.tags.assign(image.repo_tags().begin(), image.repo_tags().end());
  out.digests.assign(image.repo_digests().begin(), image.repo_digests().end());
  out.size_bytes = image.size();
  if (image.has_uid()) out.uid = image.uid().value();
  out.username = image.username();
  out.pinned = image.pinned();
  return out;
}

UsageView from_message(const v1::ContainerStats& stats) {
  UsageView out;
  out.id = stats.attributes().id();
  out.name = stats.attributes().metadata().name();
  set_labels_of_usage(copy(stats.attributes().labels()), out);
  out.time_ns = stats.cpu().timestamp();
  out.cpu_nanoseconds = value(stats.cpu().usage_core_nano_seconds());
  out.memory_working_set_bytes = value(stats.memory().working_set_bytes());
  out.memory_usage_bytes = value(stats.memory().usage_bytes());
  out.memory_rss_bytes = value(stats.memory().rss_bytes());
  out.filesystem_used_bytes = value(stats.writable_layer().used_bytes());
  out.filesystem_inodes = value(stats.writable_layer().inodes_used());
  return out;
}

UsageView from_message(const v1::PodSandboxStats& stats) {
  UsageView out;
  out.id = stats.attributes().id();
  set_labels_of_usage(copy(stats.attributes().labels()), out);
  out.time_ns = stats.linux_part().cpu().timestamp();
  out.cpu_nanoseconds = value(stats.linux_part().cpu().usage_core_nano_seconds());
  out.memory_working_set_bytes = value(stats.linux_part().memory().working_set_bytes());
  out.memory_usage_bytes = value(stats.linux_part().memory().usage_bytes());
  out.memory_rss_bytes = value(stats.linux_part().memory().rss_bytes());
  return out;
}

RuntimeInfo from_message(const v1::StatusResponse& status) {
  RuntimeInfo out;
  for (const auto& condition : status.status().conditions()) {
    std::string why = condition.reason() + ": " + condition.message();
    if (condition.type() == "RuntimeReady") {
      out.runtime_ready = condition.status();
      if (!condition.status()) out.runtime_message = why;
    } else if (condition.type() == "NetworkReady") {
      out.network_ready = condition.status();
      if (!condition.status()) out.network_message = why;
    }
  }
  return out;
}

}  // namespace orch::agent::cri
