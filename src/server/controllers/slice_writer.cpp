#include "server/controllers/slice_writer.h"

#include <map>

namespace orch::server {

using namespace api;
using discoveryv1::EndpointSlice;
using Outcome = Result<Unit, client::ReconcileError>;

bool is_managed(const EndpointSlice& slice, const std::string& manager) {
  auto it = slice.metadata.labels.find(kManagedBy);
  return it != slice.metadata.labels.end() && it->second == manager;
}

namespace {

// The existing slice as it should be: foreign annotations stay.
EndpointSlice merged(const EndpointSlice& existing, EndpointSlice wanted) {
  metav1::ObjectMeta metadata = existing.metadata;
  metadata.labels = std::move(wanted.metadata.labels);
  metadata.ownerReferences = std::move(wanted.metadata.ownerReferences);
  for (const auto& [key, value] : wanted.metadata.annotations) metadata.annotations[key] = value;
  wanted.metadata = std::move(metadata);
  return wanted;
}

Outcome remove(const client::ControllerContext& context, const EndpointSlice& slice) {
  client::DeleteOptions options;
  options.uid = slice.metadata.uid;
  auto removed =
      context.client.remove<EndpointSlice>(slice.metadata.namespace_, slice.metadata.name, options);
  if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
  return Unit{};
}

}  // namespace

Outcome write_slices(const client::ControllerContext& context,
                     const std::vector<SlicePtr>& existing, const std::string& manager,
                     std::vector<EndpointSlice> wanted) {
  std::map<std::string, EndpointSlice*> missing;
  for (auto& slice : wanted) missing[slice.metadata.name] = &slice;
  for (const auto& slice : existing) {
    if (!is_managed(*slice, manager)) continue;
    auto it = missing.find(slice->metadata.name);
    // Which addresses a slice holds cannot be changed.
    if (it == missing.end() || it->second->addressType != slice->addressType) {
      ORCH_CHECK(remove(context, *slice));
      continue;
    }
    const EndpointSlice changed = merged(*slice, std::move(*it->second));
    missing.erase(it);
    if (equal(changed, *slice)) continue;
    auto updated = context.client.update(changed);
    if (!updated) return Err(updated.error());
  }
  for (const auto& [name, slice] : missing) {
    auto created = context.client.create(*slice);
    const bool namespace_gone =
        !created && (created.error().code == 403 || created.error().code == 404);
    if (!created && !namespace_gone) return Err(created.error());
  }
  return Unit{};
}

}  // namespace orch::server
