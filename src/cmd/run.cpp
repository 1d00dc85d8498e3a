// `orch server` and `orch agent`: flags into configs, configs into running components.
#include <fmt/format.h>
#include <stdlib.h>

#include <cstdio>

#include "cmd/access_options.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/process.h"
#include "cmd/runtime_config.h"
#include "cmd/secrecy.h"
#include "orch/agent/agent.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/server/server.h"

namespace orch::cmd {
namespace {

int print_exit(const Options::Exit& exit) {
  std::fputs(exit.text.c_str(), exit.code == 0 ? stdout : stderr);
  return exit.code;
}

int fail(std::string_view what) {
  fmt::print(stderr, "error: {}\n", what);
  return 1;
}

Result<Unit, std::string> set_log_level(const std::string& name) {
  if (name == "debug") {
    log::set_level(log::Level::kDebug);
  } else if (name == "warn") {
    log::set_level(log::Level::kWarn);
  } else if (name == "error") {
    log::set_level(log::Level::kError);
  } else if (name != "info") {
    return Err(fmt::format("--log-level: \"{}\" is not debug, info, warn or error", name));
  }
  return Unit{};
}

void add_agent_options(Options& options, agent::AgentConfig& agent) {
  options.add("node-name", agent.node_name, "Name of this node (default: the host name)");
  options.add("node-ip", agent.node_ip, "Address of this node (default: the default route's)");
  options.add("node-external-ip", agent.node_external_ip,
              "Address the node is reached at from outside the cluster");
  options.add("node-label", agent.node_label, "Label of this node at registration, key=value");
  options.add("node-taint", agent.node_taint, "Taint at registration, key=value:Effect");
  options.add("kubelet-port", agent.kubelet_port, "Port of the agent's API");
  options.add("container-runtime-endpoint", agent.container_runtime_endpoint,
              "CRI socket of a running runtime (default: orch starts a containerd of its own)");
  options.add("seccomp-default", agent.seccomp_default,
              "Pods that name no seccomp profile get the runtime's own "
              "(--seccomp-default=false: none)");
  options.add("pod-max-pids", agent.pod_max_pids,
              "How many processes and threads one pod may have; -1 = no limit");
  options.add("image-gc-high-threshold", agent.image_gc_high_threshold,
              "Percent of the images' disk in use from which unused images are removed");
  options.add("image-gc-low-threshold", agent.image_gc_low_threshold,
              "Percent of the images' disk in use down to which they are removed");
  options.add("minimum-image-ttl-duration", agent.minimum_image_ttl_duration,
              "How old an unused image must be to be removed");
  options.add("image-maximum-gc-age", agent.image_maximum_gc_age,
              "How long an image may be unused before it is removed in any case; 0s = for ever");
  options.add("pod-infra-container-image", agent.pod_infra_container_image,
              "Pause image of a runtime that orch does not run: never removed");
  options.add("eviction-hard", agent.eviction_hard,
              "What must stay free, or pods are ended at once (default: memory.available<100Mi,"
              "nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,"
              "imagefs.inodesFree<5%)");
  options.add("eviction-soft", agent.eviction_soft,
              "What must stay free, or pods are ended after a grace period");
  options.add("eviction-soft-grace-period", agent.eviction_soft_grace_period,
              "That period by signal, such as memory.available=1m30s");
  options.add("eviction-max-pod-grace-period", agent.eviction_max_pod_grace_period,
              "Seconds that a pod ended by --eviction-soft has to stop");
  options.add("eviction-minimum-reclaim", agent.eviction_minimum_reclaim,
              "How much more than the threshold is freed by signal, such as imagefs.available=2Gi");
  options.add("eviction-pressure-transition-period", agent.eviction_pressure_transition_period,
              "How long a node stays under pressure after it ended");
  options.add("overlay", agent.overlay, "How pods reach other nodes: vxlan, host-gw or none");
  options.add("proxy-mode", agent.proxy_mode, "How Services are programmed: nftables or iptables");
}

void add_server_options(Options& options, server::ServerConfig& config) {
  options.add("bind-address", config.bind_address, "Address to listen on");
  options.add("https-listen-port", config.https_listen_port, "Port of the Kubernetes API");
  options.add("advertise-address", config.advertise_address,
              "Address others reach the API at (default: the default route's)");
  options.add("tls-san", config.tls_san, "Further host name or address in the API's certificate");
  options.add("certificate-lifetime", config.certificate_lifetime,
              "How long certificates are valid; they are renewed after two thirds of it");
  options.add("write-kubeconfig", config.write_kubeconfig, "Where the admin kubeconfig is written");
  options.add("write-kubeconfig-mode", config.write_kubeconfig_mode, "Its mode, octal");
  options.add("cluster-cidr", config.cluster_cidr, "Addresses of pods");
  options.add("service-cidr", config.service_cidr, "Addresses of Services");
  options.add("service-node-port-range", config.service_node_port_range,
              "Ports of NodePort Services");
  options.add("cluster-dns", config.cluster_dns,
              "Address of the cluster's DNS (default: the tenth of --service-cidr)");
  options.add("cluster-domain", config.cluster_domain, "Domain of the cluster's DNS");
  options.add("datastore-endpoint", config.datastore_endpoint,
              "URLs of an etcd cluster that several servers share, with commas (default: the "
              "embedded store)");
  options.add("datastore-cafile", config.datastore_cafile, "CA of the etcd cluster");
  options.add("datastore-certfile", config.datastore_certfile, "Client certificate for it");
  options.add("datastore-keyfile", config.datastore_keyfile, "Its key");
  options.add("leader-elect-fast", config.leader_elect_fast,
              "With --datastore-endpoint: another server takes the controllers over within 5 s");
  options.add("etcd-listen-client-url", config.etcd_listen_client_url,
              "Where the store speaks etcd v3: https://IP:PORT, http:// on loopback, unix://PATH; "
              "several with commas, none = nowhere");
  options.add("max-requests-inflight", config.max_requests_inflight,
              "Reading requests served at once; with the next, the seats of priority and fairness");
  options.add("max-mutating-requests-inflight", config.max_mutating_requests_inflight,
              "Writing requests served at once");
  options.add("request-timeout", config.request_timeout,
              "How long a request may take, but for watches, logs and the like");
  options.add("etcd-compaction-interval", config.etcd_compaction_interval,
              "How much history the store keeps at least, such as 5m0s; 0 = all");
  options.add("durable-leases", config.durable_leases,
              "Writes Leases of nodes and Events to disk before they are answered, as all else");
  options.add("secrets-encryption", config.secrets_encryption,
              "Encrypts Secrets on disk, with a key made in DATA_DIR/server/cred");
  options.add("encryption-provider-config", config.encryption_provider_config,
              "A file with an EncryptionConfiguration (aesgcm, aescbc, identity)");
  options.add("snapshot-schedule", config.snapshot_schedule,
              "When to save snapshots of the store, a cron expression such as \"0 */6 * * *\"");
  options.add("snapshot-retention", config.snapshot_retention,
              "How many scheduled snapshots are kept");
  options.add("snapshot-dir", config.snapshot_dir,
              "Where snapshots go (default: DATA_DIR/server/snapshots)");
  options.add("audit-policy-file", config.audit_policy_file,
              "What is audited: an audit.k8s.io/v1 Policy (default: nothing)");
  options.add("audit-log-path", config.audit_log_path, "Audit log; - is standard output");
  options.add("audit-log-maxage", config.audit_log_maxage,
              "Days that renamed audit logs are kept (0: for ever)");
  options.add("audit-log-maxbackup", config.audit_log_maxbackup,
              "How many renamed audit logs are kept (0: all)");
  options.add("audit-log-maxsize", config.audit_log_maxsize,
              "MiB after which the audit log is renamed");
  options.add("audit-log-mode", config.audit_log_mode,
              "How it is written: blocking, blocking-strict or batch");
  options.add("audit-webhook-config-file", config.audit_webhook_config_file,
              "kubeconfig of a server that takes audit events");
  options.add("audit-webhook-mode", config.audit_webhook_mode,
              "How they are sent: batch, blocking or blocking-strict");
  options.add("disable", config.disable, "Controllers and components to leave out, by name");
  options.add(
      "lb-pool", config.lb_pool,
      "Addresses for Services of type LoadBalancer: CIDRs and ranges FIRST-LAST, announced by "
      "ARP (default: the nodes' own addresses)");
  options.add("controllers", config.controllers,
              "Controllers to run: names, -name to leave one out, * for all others (default: *)");
  options.add("kube-scheduler-config", config.kube_scheduler_config,
              "A file with a KubeSchedulerConfiguration: profiles, plugins, extenders",
              "scheduler-config");
}

}  // namespace

int server_command(int argc, char** argv) {
  server::ServerConfig config;
  agent::AgentConfig agent_config;
  bool disable_agent = false;
  std::string log_level = "info";
  std::vector<std::string> apis;
  Options options("orch server", "Runs the control plane and, unless --disable-agent, an agent.");
  options.add("data-dir", config.data_dir, "Where all state is kept");
  options.add("token", config.token,
              "Secret for joining (default: made, see DATA_DIR/server/token)");
  options.add("agent-token", config.agent_token,
              "Another secret, with which only agents join (kept in DATA_DIR/server/agent-token)");
  options.add("disable-agent", disable_agent, "Run the control plane alone");
  options.add("log-level", log_level, "debug, info, warn or error");
  options.add("runtime-config", apis,
              "APIs that are off by default, as GROUP/VERSION=true; api/alpha=true: all");
  add_server_options(options, config);
  add_access_options(options, config.access);
  add_agent_options(options, agent_config);
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  keep_secrets(argc, argv);
  if (auto level = set_log_level(log_level); !level) return fail(level.error());
  if (auto served = serve_apis(apis); !served) return fail(served.error());
  if (!disable_agent) {
    if (auto checked = agent::check_agent_config(agent_config); !checked) {
      return fail(checked.error());
    }
  }

  Process process;
  config.node_name = agent_config.node_name;
  config.label_own_node = !disable_agent;
  auto server = server::Server::start(process.env(), config);
  if (!server) return fail(server.error());
  std::unique_ptr<agent::Agent> agent;
  if (!disable_agent) {
    agent_config.data_dir = config.data_dir;
    agent_config.join = fmt::format("https://127.0.0.1:{}", (*server)->port());
    agent_config.token = (*server)->join_token();
    agent_config.bind_address = config.bind_address;
    auto started = agent::Agent::start(process.env(), agent_config);
    if (!started) {
      (*server)->stop();
      return fail(started.error());
    }
    agent = std::move(*started);
  }
  process.notify("READY=1");
  process.wait_for_stop();
  process.notify("STOPPING=1");
  if (agent) agent->stop();
  (*server)->stop();
  return 0;
}

int agent_command(int argc, char** argv) {
  agent::AgentConfig config;
  std::string log_level = "info";
  std::string token_file;
  if (const char* url = getenv("ORCH_URL")) config.join = url;
  Options options("orch agent", "Joins this machine to a cluster and runs its pods.");
  options.add("data-dir", config.data_dir, "Where all state is kept");
  options.add("join", config.join, "The server's URL, https://SERVER:6443 (also ORCH_URL)",
              "server");
  options.add("token", config.token, "The server's token: DATA_DIR/server/token on the server");
  options.add("token-file", token_file, "A file that holds the token");
  options.add("bind-address", config.bind_address, "Address to listen on");
  options.add("log-level", log_level, "debug, info, warn or error");
  add_agent_options(options, config);
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  keep_secrets(argc, argv);
  if (auto level = set_log_level(log_level); !level) return fail(level.error());

  if (config.join.empty()) return fail("--join is required: the server's URL, https://SERVER:6443");
  if (!token_file.empty() && config.token.empty()) {
    auto text = read_file(token_file);
    if (!text) return fail("--token-file: " + text.error());
    config.token = std::string(trim(*text));
  }
  if (config.token.empty())
    return fail("--token is required: see DATA_DIR/server/token on the server");

  Process process;
  auto agent = agent::Agent::start(process.env(), config);
  if (!agent) return fail(agent.error());
  process.notify("READY=1");
  process.wait_for_stop();
  process.notify("STOPPING=1");
  (*agent)->stop();
  return 0;
}

}  // namespace orch::cmd
