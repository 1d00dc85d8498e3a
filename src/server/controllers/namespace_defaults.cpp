// What every namespace has: the ServiceAccount "default" and the ConfigMap with the cluster's CA.
#include "orch/api/corev1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::ConfigMap;
using corev1::Namespace;
using corev1::ServiceAccount;

constexpr const char* kRootCaName = "kube-root-ca.crt";

bool is_open(const std::shared_ptr<const Namespace>& ns) {
  return ns && !ns->metadata.deletionTimestamp;
}

// A namespace that is gone or going by now needs nothing.
client::ReconcileResult unless_terminating(const Error& error) {
  if (error.is("AlreadyExists") || error.is("NotFound") || error.is("Forbidden"))
    return client::done();
  return Err(client::ReconcileError(error));
}

class ServiceAccountReconciler final : public client::Reconciler {
 public:
  explicit ServiceAccountReconciler(client::ControllerContext& context)
      : context_(context),
        namespaces_(context.informers.lister<Namespace>()),
        accounts_(context.informers.lister<ServiceAccount>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (!is_open(namespaces_.get("", key.name)) || accounts_.get(key.name, "default")) {
      return client::done();
    }
    ServiceAccount account;
    account.metadata.name = "default";
    account.metadata.namespace_ = key.name;
    auto created = context_.client.create(account);
    return created ? client::done() : unless_terminating(created.error());
  }

 private:
  client::ControllerContext context_;
  client::Lister<Namespace> namespaces_;
  client::Lister<ServiceAccount> accounts_;
};

class RootCaReconciler final : public client::Reconciler {
 public:
  RootCaReconciler(client::ControllerContext& context, std::string ca_pem)
      : context_(context),
        ca_pem_(std::move(ca_pem)),
        namespaces_(context.informers.lister<Namespace>()),
        config_maps_(context.informers.lister<ConfigMap>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    if (!is_open(namespaces_.get("", key.name))) return client::done();
    ConfigMap wanted;
    wanted.metadata.name = kRootCaName;
    wanted.metadata.namespace_ = key.name;
    wanted.metadata.annotations["kubernetes.io/description"] =
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
        "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
        "guaranteed across distributions of Kubernetes clusters.";
    wanted.data["ca.crt"] = ca_pem_;
    auto existing = config_maps_.get(key.name, kRootCaName);
    if (!existing) {
      auto created = context_.client.create(wanted);
      return created ? client::done() : unless_terminating(created.error());
    }
    if (existing->data == wanted.data) return client::done();
    ConfigMap changed = *existing;
    changed.data = wanted.data;
    auto updated = context_.client.update(changed);
    return updated ? client::done() : unless_terminating(updated.error());
  }

 private:
  client::ControllerContext context_;
  std::string ca_pem_;
  client::Lister<Namespace> namespaces_;
  client::Lister<ConfigMap> config_maps_;
};

// Changes of objects of this name concern their namespace.
template <class T>
client::Watch named(std::string name) {
  return client::mapped<T>([name = std::move(name)](const T& object) -> std::vector<ObjectKey> {
    if (object.metadata.name != name) return {};
    return {{"", object.metadata.namespace_}};
  });
}

}  // namespace

client::ControllerSpec service_account_controller(client::ControllerContext&,
                                                  const ControllersConfig&) {
  return {.name = "serviceaccount-controller",
          .watches = {client::primary<Namespace>(), named<ServiceAccount>("default")},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<ServiceAccountReconciler>(c);
          },
          .initial_keys = {}};
}

client::ControllerSpec root_ca_controller(client::ControllerContext&,
                                          const ControllersConfig& config) {
  return {.name = "root-ca-certificate-publisher-controller",
          .watches = {client::primary<Namespace>(), named<ConfigMap>(kRootCaName)},
          .strands = 1,
          .make = [ca = config.root_ca_pem](
                      client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<RootCaReconciler>(c, ca);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
