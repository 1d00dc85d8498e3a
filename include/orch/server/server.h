// The control plane as one object: store, API server, scheduler, controllers. Built by main.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"
#include "orch/server/access_config.h"

namespace orch::server {

// Every field is also a flag (--kebab-case), an ORCH_* variable and a config key.
struct ServerConfig {
  std::string data_dir = "/var/lib/orch";
  std::string bind_address = "0.0.0.0";
  uint16_t https_listen_port = 6443;
  std::string advertise_address;               // "" = the default route's address, else loopback
  std::vector<std::string> tls_san;
  std::string write_kubeconfig = "/etc/orch/orch.yaml";
  std::string write_kubeconfig_mode = "600";   // octal
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string service_node_port_range = "30000-32767";
  std::string cluster_dns;                     // "" = tenth address of service_cidr
  std::string cluster_domain = "cluster.local";
  std::string token;                           // "" = made and kept in <data-dir>/server/token
  std::vector<std::string> disable;            // controllers and components by name
  std::vector<std::string> controllers;        // as kube-controller-manager's; empty = "*"
  std::string kube_scheduler_config;           // a KubeSchedulerConfiguration; "" = the defaults
  std::vector<std::string> lb_pool;            // addresses of load balancers: CIDRs, ranges
  std::string agent_token;                     // "" = agents join with `token` alone
  std::string certificate_lifetime = "8760h";  // of leaves: agents', the server's own
  std::string node_name;                       // of the machine, for certificates
  // Comma list; "none" switches the store's etcd API off.
  std::string etcd_listen_client_url = "https://127.0.0.1:2379";
  std::string datastore_endpoint;  // comma list of an etcd cluster's; "" = the embedded store
  std::string datastore_cafile, datastore_certfile, datastore_keyfile;
  bool leader_elect_fast = false;  // another server takes over within 5 s instead of 15
  std::string etcd_compaction_interval = "5m0s";  // how much history the store keeps; 0 = all
  bool durable_leases = false;                 // node Leases and Events are as durable as the rest
  bool secrets_encryption = false;             // with a key of orch's own, made if there is none
  std::string encryption_provider_config;      // a file with an EncryptionConfiguration instead
  std::string snapshot_dir;                    // "" = <data-dir>/server/snapshots
  std::string snapshot_schedule;               // cron; "" = none
  uint16_t snapshot_retention = 5;             // scheduled snapshots that are kept
  bool label_own_node = false;                 // node_name is a node: it is of the control plane
  AccessConfig access;
  // Together the seats that priority and fairness shares out.
  uint16_t max_requests_inflight = 400;
  uint16_t max_mutating_requests_inflight = 200;
  std::string request_timeout = "1m0s";        // not of watches, logs, execs, proxies
  std::string audit_policy_file;               // audit.k8s.io/v1 Policy; "" = no audit
  std::string audit_log_path;                  // "-" = standard output
  uint16_t audit_log_maxage = 0;               // days; 0 = for ever
  uint16_t audit_log_maxbackup = 0;            // renamed logs; 0 = all
  uint16_t audit_log_maxsize = 100;            // MiB
  std::string audit_log_mode = "blocking";     // or batch, blocking-strict
  std::string audit_webhook_config_file;       // a kubeconfig
  std::string audit_webhook_mode = "batch";
};

class Server {
 public:
  // Returns once /readyz answers ok. Error: one clear sentence naming the file or flag.
  static Result<std::unique_ptr<Server>, std::string> start(Env& env, const ServerConfig& config);
  virtual ~Server() = default;
  virtual uint16_t port() const = 0;
  virtual const std::string& join_token() const = 0;  // "K10<ca sha256>::server:<secret>"
  virtual const std::string& kubeconfig_path() const = 0;
  virtual void stop() = 0;  // within 5 s; idempotent
};

}  // namespace orch::server
