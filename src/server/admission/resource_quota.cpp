// ResourceQuota: what a request adds is charged to the quotas of its namespace before the object is
// written; one compare-and-swap on each quota's status. What is charged for objects that then come
// to nothing is found by the recounting controller.
#include <fmt/format.h>

#include <map>
#include <mutex>

#include "orch/api/quota.h"
#include "orch/base/strings.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::ResourceQuota;
using QuotaPtr = std::shared_ptr<const ResourceQuota>;

constexpr int kTries = 5;

std::string shown(const ResourceList& amounts) {
  std::string text;
  for (const auto& [name, value] : amounts) {
    text += (text.empty() ? "" : ",") + name + "=" + value.str();
  }
  return text;
}

int64_t version_of(const ResourceQuota& quota) {
  return parse_int(quota.metadata.resourceVersion).value_or(0);
}

class ResourceQuotaPlugin final : public AdmissionPlugin {
 public:
  explicit ResourceQuotaPlugin(const AdmissionContext& context)
      : client_(context.client), quotas_(context.informers.lister<ResourceQuota>()) {}

  std::string_view name() const override { return "ResourceQuota"; }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (request.namespace_.empty() || request.object == nullptr || !request.subresource.empty() ||
        request.operation == Operation::kDelete || request.operation == Operation::kConnect) {
      return Unit{};
    }
    const ResourceInfo& resource = *request.resource;
    if (!resource.stored || resource.plural == "namespaces") return Unit{};
    if (quotas_.list(request.namespace_).empty()) return Unit{};
    const ResourceList added = what_it_adds(request);
    if (added.empty()) return Unit{};
    // One at a time in a namespace: concurrent requests would only see each other's conflicts.
    const auto turn = turn_of(request.namespace_);
    std::lock_guard lock(*turn);
    return charge(request, added);
  }

 private:
  static ResourceList what_it_adds(const AdmissionRequest& request) {
    const WallTime start{};  // objects that are being created have not ended
    ResourceList added = quota_usage(*request.resource, *request.object, start);
    if (request.operation == Operation::kUpdate) {
      // Of what changes in place only Services and claims are counted by more than their number.
      const auto& plural = request.resource->plural;
      if (plural != "services" && plural != "persistentvolumeclaims") return {};
      for (const auto& [name, before] :
           quota_usage(*request.resource, *request.old_object, start)) {
        if (auto at = added.find(name); at != added.end()) at->second -= before;
      }
    }
    std::erase_if(added, [](const auto& entry) { return entry.second.sign() <= 0; });
    return added;
  }

  std::shared_ptr<std::mutex> turn_of(const std::string& ns) {
    std::lock_guard lock(mutex_);
    auto& turn = turns_[ns];
    if (!turn) turn = std::make_shared<std::mutex>();
    return turn;
  }

  // The cached quotas, or what this plugin wrote after that.
  std::vector<QuotaPtr> quotas_of(const std::string& ns) {
    auto quotas = quotas_.list(ns);
    std::lock_guard lock(mutex_);
    for (auto& quota : quotas) {
      const auto mine = written_.find(quota->metadata.uid);
      if (mine == written_.end()) continue;
      if (version_of(*mine->second) > version_of(*quota)) {
        quota = mine->second;
      } else {
        written_.erase(mine);
      }
    }
    return quotas;
  }

  ApiResult<Unit> charge(const AdmissionRequest& request, const ResourceList& added) {
    auto open = quotas_of(request.namespace_);
    for (int round = 0; round < kTries; ++round) {
      // All are checked before any is charged.
      std::vector<ResourceQuota> charged;
      for (const auto& quota : open) {
        ORCH_CHECK(check(request, added, *quota, charged));
      }
      if (request.dry_run) return Unit{};
      open.clear();
      for (const auto& quota : charged) {
        auto written = client_.update_status(quota);
        if (written) {
          std::lock_guard lock(mutex_);
          written_[quota.metadata.uid] = std::make_shared<const ResourceQuota>(std::move(*written));
          continue;
        }
        if (written.error().is("NotFound")) continue;  // deleted meanwhile: nothing to charge
        if (!written.error().is("Conflict")) return Err(written.error());
        auto live = client_.get<ResourceQuota>(request.namespace_, quota.metadata.name);
        if (live) {
          open.push_back(std::make_shared<const ResourceQuota>(std::move(*live)));
        } else if (!live.error().is("NotFound")) {
          return Err(live.error());
        }
      }
      if (open.empty()) return Unit{};
    }
    return Err(conflict({"", "resourcequotas"}, open.front()->metadata.name,
                        "the quota changes faster than it can be charged"));
  }

  // Appends the quota with its new usage to `charged` where the request is counted by it.
  ApiResult<Unit> check(const AdmissionRequest& request, const ResourceList& added,
                        const ResourceQuota& quota, std::vector<ResourceQuota>& charged) const {
    const ResourceInfo& resource = *request.resource;
    const auto& hard = quota.status.hard;
    ResourceList limited;  // names of the quota that this kind of object is counted under
    for (const auto& [name, value] : hard) {
      if (quota_counts(resource, name)) limited[name] = value;
    }
    if (limited.empty() || !in_quota_scope(quota.spec, resource, *request.object)) return Unit{};
    if (auto lacks = quota_lacks(resource, *request.object, limited); !lacks.empty()) {
      return refuse(request, fmt::format("failed quota: {}: {}", quota.metadata.name, lacks));
    }
    std::string unknown;
    for (const auto& [name, value] : limited) {
      if (quota.status.used.count(name) == 0) unknown += (unknown.empty() ? "" : ",") + name;
    }
    if (!unknown.empty()) {
      return refuse(request, fmt::format("status unknown for quota: {}, resources: {}",
                                         quota.metadata.name, unknown));
    }
    ResourceQuota after = quota;
    ResourceList requested, used, exceeded;
    for (const auto& [name, value] : limited) {
      const auto more = added.find(name);
      if (more == added.end()) continue;
      Quantity& total = after.status.used[name];
      const Quantity before = total;
      total += more->second;
      if (total <= value) continue;
      requested[name] = more->second;
      used[name] = before;
      exceeded[name] = value;
    }
    if (!exceeded.empty()) {
      return refuse(request, fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}",
                                         quota.metadata.name, shown(requested), shown(used),
                                         shown(exceeded)));
    }
    if (equal(after.status, quota.status)) return Unit{};
    charged.push_back(std::move(after));
    return Unit{};
  }

  static Err<Error> refuse(const AdmissionRequest& request, std::string_view why) {
    const auto& meta = request.object->metadata;
    const std::string& name = !request.name.empty() ? request.name
                              : !meta.name.empty()  ? meta.name
                                                    : meta.generateName;
    return Err(forbidden(request.resource->group_resource(), name, why));
  }

  const client::Client& client_;
  client::Lister<ResourceQuota> quotas_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<std::mutex>> turns_;  // by namespace
  std::map<std::string, QuotaPtr> written_;                   // by uid, until the cache has it
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_resource_quota(const AdmissionContext& context) {
  return std::make_unique<ResourceQuotaPlugin>(context);
}

}  // namespace orch::server
