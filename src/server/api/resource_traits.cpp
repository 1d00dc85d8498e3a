#include "server/api/resource_traits.h"

#include <algorithm>
#include <array>

namespace orch::server {
namespace {

struct Name {
  std::string_view group, plural;
};

template <size_t N>
bool listed(const std::array<Name, N>& names, const api::ResourceInfo& resource) {
  return std::any_of(names.begin(), names.end(), [&](const Name& name) {
    return name.group == resource.group && name.plural == resource.plural;
  });
}

constexpr std::array<Name, 10> kCreateOnUpdate{
    {{"", "endpoints"},
     {"", "events"},
     {"", "limitranges"},
     {"", "services"},
     {"coordination.k8s.io", "leases"},
     {"events.k8s.io", "events"},
     {"rbac.authorization.k8s.io", "clusterroles"},
     {"rbac.authorization.k8s.io", "clusterrolebindings"},
     {"rbac.authorization.k8s.io", "roles"},
     {"rbac.authorization.k8s.io", "rolebindings"}}};
constexpr std::array<Name, 14> kConditionalOnly{
    {{"", "serviceaccounts"},
     {"admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
     {"admissionregistration.k8s.io", "validatingadmissionpolicies"},
     {"admissionregistration.k8s.io", "validatingadmissionpolicybindings"},
     {"admissionregistration.k8s.io", "validatingwebhookconfigurations"},
     {"apiextensions.k8s.io", "customresourcedefinitions"},
     {"apiregistration.k8s.io", "apiservices"},
     {"coordination.k8s.io", "leases"},
     {"node.k8s.io", "runtimeclasses"},
     {"policy", "poddisruptionbudgets"},
     {"storage.k8s.io", "csidrivers"},
     {"storage.k8s.io", "csinodes"},
     {"storage.k8s.io", "csistoragecapacities"},
     {"storage.k8s.io", "volumeattachments"}}};
constexpr std::array<Name, 7> kReturnsDeleted{{{"", "persistentvolumeclaims"},
                                               {"", "persistentvolumes"},
                                               {"", "pods"},
                                               {"", "podtemplates"},
                                               {"", "resourcequotas"},
                                               {"", "serviceaccounts"},
                                               {"", "services"}}};

}  // namespace

bool create_on_update(const api::ResourceInfo& resource) {
  return listed(kCreateOnUpdate, resource);
}
bool unconditional_update(const api::ResourceInfo& resource) {
  return !listed(kConditionalOnly, resource);
}
bool returns_deleted(const api::ResourceInfo& resource) {
  return listed(kReturnsDeleted, resource);
}
bool orphans_by_default(const api::ResourceInfo& resource) {
  return is_resource(resource, "batch", "jobs") ||
         is_resource(resource, "", "replicationcontrollers");
}
bool is_resource(const api::ResourceInfo& resource, std::string_view group,
                 std::string_view plural) {
  return resource.group == group && resource.plural == plural;
}
bool garbage_collected(const api::ResourceInfo& resource) { return resource.plural != "events"; }

}  // namespace orch::server
