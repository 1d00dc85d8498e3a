// StorageVersion garbage collector: what API servers that are gone said of what they store is taken
// out; what nobody says anything of any more goes. Idle unless internal.apiserver.k8s.io/v1alpha1
// is served.
#include <algorithm>

#include "orch/api/apiserverinternalv1alpha1.h"
#include "orch/api/codec.h"
#include "orch/api/coordinationv1.h"
#include "server/controllers/coordination.h"
#include "server/controllers/specs.h"

namespace orch::server {

using namespace api;
using apiserverinternalv1alpha1::StorageVersion;
using coordinationv1::Lease;

void set_common_version(StorageVersion& version, WallTime now) {
  auto& status = version.status;
  const auto& servers = status.storageVersions;
  const bool agreed =
      !servers.empty() && std::all_of(servers.begin(), servers.end(), [&](const auto& server) {
        return server.encodingVersion == servers.front().encodingVersion;
      });
  status.commonEncodingVersion.reset();
  if (agreed) status.commonEncodingVersion = servers.front().encodingVersion;
  auto at = std::find_if(status.conditions.begin(), status.conditions.end(),
                         [](const auto& c) { return c.type == "AllEncodingVersionsEqual"; });
  if (at == status.conditions.end()) {
    status.conditions.emplace_back().type = "AllEncodingVersionsEqual";
    at = std::prev(status.conditions.end());
  }
  const std::string value = agreed ? "True" : "False";
  if (at->status != value) at->lastTransitionTime = Time(now);
  at->status = value;
  at->observedGeneration = version.metadata.generation;
  at->reason = agreed ? "CommonEncodingVersionSet" : "CommonEncodingVersionUnset";
  at->message = agreed ? "Common encoding version set" : "Common encoding version unset";
}

namespace {

constexpr const char* kIdentity = "apiserver.kubernetes.io/identity";
constexpr const char* kSystem = "kube-system";

bool is_identity(const Lease& lease) {
  const auto label = lease.metadata.labels.find(kIdentity);
  return label != lease.metadata.labels.end() && label->second == "kube-apiserver";
}

class StorageVersionCollector final : public client::Reconciler {
 public:
  explicit StorageVersionCollector(client::ControllerContext& context)
      : context_(context), versions_(context.informers.lister<StorageVersion>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto version = versions_.get("", key.name);
    if (!version || version->metadata.deletionTimestamp) return client::done();
    StorageVersion changed = *version;
    auto& servers = changed.status.storageVersions;
    for (auto at = servers.begin(); at != servers.end();) {
      // A cache that is behind would cost a server that has just begun its say.
      auto lease = context_.client.get<Lease>(kSystem, at->apiServerID);
      if (!lease && !lease.error().is("NotFound")) return Err(lease.error());
      at = lease && is_identity(*lease) ? std::next(at) : servers.erase(at);
    }
    if (servers.size() == version->status.storageVersions.size()) return client::done();
    if (servers.empty()) {
      client::DeleteOptions options;
      options.uid = version->metadata.uid;
      options.resource_version = version->metadata.resourceVersion;
      auto removed = context_.client.remove<StorageVersion>("", key.name, options);
      if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
      return client::done();
    }
    set_common_version(changed, context_.env.clock.now());
    auto updated = context_.client.update_status(changed);
    if (!updated && !updated.error().is("NotFound")) return Err(updated.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<StorageVersion> versions_;
};

}  // namespace

client::ControllerSpec storage_version_collector(client::ControllerContext& context,
                                                 const ControllersConfig&) {
  client::ControllerSpec spec{
      .name = "storageversion-garbage-collector-controller",
      .watches = {},
      .strands = 1,
      .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
        return std::make_unique<StorageVersionCollector>(c);
      },
      .initial_keys = {}};
  if (find_resource("internal.apiserver.k8s.io", "v1alpha1", "storageversions") == nullptr) {
    spec.make = idle_reconciler;
    return spec;
  }
  auto versions = context.informers.lister<StorageVersion>();
  spec.watches = {client::primary<StorageVersion>(),
                  // The Lease of an API server that comes or goes concerns what it spoke of.
                  {&resource_of<Lease>(), [versions](const ObjectPtr& old, const ObjectPtr& now) {
                     std::vector<ObjectKey> keys;
                     const auto& lease = static_cast<const Lease&>(old ? *old : *now);
                     if (lease.metadata.namespace_ != kSystem || !old) return keys;
                     if (now && is_identity(static_cast<const Lease&>(*now))) return keys;
                     for (const auto& version : versions.list()) {
                       const auto& servers = version->status.storageVersions;
                       if (std::any_of(servers.begin(), servers.end(), [&](const auto& server) {
                             return server.apiServerID == lease.metadata.name;
                           })) {
                         keys.push_back(key_of(*version));
                       }
                     }
                     return keys;
                   }}};
  return spec;
}

}  // namespace orch::server
