// OwnerReferencesPermissionEnforcement (off by default): owners are given and taken by those who
// may delete the object; an owner's deletion is blocked by those who may set its finalizers.

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class OwnerReferences final : public AdmissionPlugin {
 public:
  explicit OwnerReferences(const AdmissionContext& context) : authorizer_(context.authorizer) {}
  std::string_view name() const override { return "OwnerReferencesPermissionEnforcement"; }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (authorizer_ == nullptr || request.object == nullptr || !request.subresource.empty()) {
      return Unit{};
    }
    const bool creates = request.operation == Operation::kCreate;
    if (!creates && request.operation != Operation::kUpdate) return Unit{};
    const auto& now = request.object->metadata.ownerReferences;
    static const std::vector<metav1::OwnerReference> none;
    const auto& old =
        request.old_object == nullptr ? none : request.old_object->metadata.ownerReferences;
    const bool same = now.size() == old.size() &&
                      std::equal(now.begin(), now.end(), old.begin(),
                                 [](const auto& a, const auto& b) { return equal(a, b); });
    if (same) return Unit{};
    if (!creates && !may(request, "delete", request.resource->group, request.resource->plural, "",
                         request.object->metadata.name, request.namespace_)) {
      return Err(refuse(request, "cannot set an ownerRef on a resource you can't delete: , <nil>"));
    }
    for (const auto& owner : now) {
      if (!owner.blockOwnerDeletion.value_or(false)) continue;
      const bool before = std::any_of(old.begin(), old.end(), [&](const auto& held) {
        return held.uid == owner.uid && held.blockOwnerDeletion.value_or(false);
      });
      if (before || may_block(request, owner)) continue;
      return Err(refuse(request,
                        "cannot set blockOwnerDeletion if an ownerReference refers to a resource "
                        "you can't set finalizers on: , <nil>"));
    }
    return Unit{};
  }

 private:
  static Error refuse(const AdmissionRequest& request, const std::string& why) {
    return forbidden(request.resource->group_resource(), request.object->metadata.name, why);
  }

  bool may_block(const AdmissionRequest& request, const metav1::OwnerReference& owner) const {
    const size_t slash = owner.apiVersion.find('/');
    const std::string group = slash == std::string::npos ? "" : owner.apiVersion.substr(0, slash);
    for (const ResourceInfo* resource : all_resources()) {
      if (resource->group != group || resource->kind != owner.kind) continue;
      return may(request, "update", resource->group, resource->plural, "finalizers", owner.name,
                 resource->namespaced ? request.namespace_ : "");
    }
    return false;  // an unknown kind
  }

  bool may(const AdmissionRequest& request, const char* verb, std::string_view group,
           std::string_view resource, const char* subresource, const std::string& name,
           const std::string& ns) const {
    Attributes attributes;
    attributes.user = request.user;
    attributes.verb = verb;
    attributes.group = group;
    attributes.version = "*";
    attributes.resource = resource;
    attributes.subresource = subresource;
    attributes.name = name;
    attributes.namespace_ = ns;
    return authorizer_->authorize(attributes).decision == Decision::kAllow;
  }

  Authorizer* authorizer_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_owner_references(const AdmissionContext& context) {
  return std::make_unique<OwnerReferences>(context);
}

}  // namespace orch::server
