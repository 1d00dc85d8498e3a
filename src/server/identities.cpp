#include "server/identities.h"

namespace orch::server {
namespace {

struct Account {
  std::string_view controller, account;
};
// Those whose account is not of their name.
constexpr Account kAccounts[] = {
    {"bootstrap-signer-controller", "bootstrap-signer"},
    {"certificatesigningrequest-approving-controller", "certificate-controller"},
    {"certificatesigningrequest-cleaner-controller", "certificate-controller"},
    {"certificatesigningrequest-signing-controller", "certificate-controller"},
    {"cloud-node-controller", "cloud-controller-manager"},
    {"cloud-node-lifecycle-controller", "cloud-controller-manager"},
    {"daemonset-controller", "daemon-set-controller"},
    {"endpoints-controller", "endpoint-controller"},
    {"endpointslice-mirroring-controller", "endpointslicemirroring-controller"},
    {"garbage-collector-controller", "generic-garbage-collector"},
    {"horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler"},
    {"legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner"},
    {"local-storage", "local-path-provisioner"},
    {"node-ipam-controller", "node-controller"},
    {"node-lifecycle-controller", "node-controller"},
    {"node-route-controller", "route-controller"},
    {"persistentvolume-attach-detach-controller", "attachdetach-controller"},
    {"persistentvolume-binder-controller", "persistent-volume-binder"},
    {"persistentvolume-expander-controller", "expand-controller"},
    {"persistentvolume-protection-controller", "pv-protection-controller"},
    {"persistentvolumeclaim-protection-controller", "pvc-protection-controller"},
    {"pod-garbage-collector-controller", "pod-garbage-collector"},
    {"replicationcontroller-controller", "replication-controller"},
    {"root-ca-certificate-publisher-controller", "root-ca-cert-publisher"},
    {"serviceaccount-controller", "service-account-controller"},
    {"servicelb", "cloud-controller-manager"},
    {"serviceaccount-token-controller", ""},  // upstream's runs as the controller manager too
    {"taint-eviction-controller", "node-controller"},
    {"token-cleaner-controller", "token-cleaner"},
};

}  // namespace

std::string controller_account(std::string_view controller) {
  for (const auto& [name, account] : kAccounts) {
    if (name == controller) return std::string(account);
  }
  return std::string(controller);
}

UserInfo component_user(std::string name) {
  return {.name = std::move(name), .uid = "", .groups = {"system:authenticated"}, .extra = {}};
}

UserInfo service_account_user(std::string_view ns, std::string_view name) {
  UserInfo user = component_user("system:serviceaccount:" + std::string(ns) + ":");
  user.name += name;
  user.groups.insert(user.groups.begin(),
                     {"system:serviceaccounts", "system:serviceaccounts:" + std::string(ns)});
  return user;
}

const client::Client& Identities::controller(std::string_view name) {
  const std::string account = controller_account(name);
  std::lock_guard lock(mutex_);
  Identity& identity = made_[account];
  if (!identity.client) {
    identity.transport =
        api_.local_transport(account.empty() ? component_user("system:kube-controller-manager")
                                             : service_account_user("kube-system", account));
    identity.client = std::make_unique<client::Client>(*identity.transport);
  }
  return *identity.client;
}

}  // namespace orch::server
