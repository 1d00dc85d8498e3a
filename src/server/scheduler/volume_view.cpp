#include "server/scheduler/volume_view.h"

namespace orch::server::scheduler {
namespace {

using namespace api;
using client::InformerBase;

template <class T>
const ResourceInfo* resource() {
  const auto& type = T::type_info();
  const auto* found = find_resource_by_kind(type.group, type.version, type.kind);
  return found != nullptr && found->stored ? found : nullptr;
}

template <class T>
const InformerBase* informer(client::InformerSet& informers) {
  const auto* found = resource<T>();
  return found == nullptr ? nullptr : &informers.get(*found);
}

class InformerVolumeView final : public VolumeView {
 public:
  explicit InformerVolumeView(client::InformerSet& informers)
      : claims_(informer<Claim>(informers)),
        volumes_(informer<Volume>(informers)),
        classes_(informer<Class>(informers)),
        csi_nodes_(informer<storagev1::CSINode>(informers)),
        csi_drivers_(informer<storagev1::CSIDriver>(informers)),
        capacities_(informer<storagev1::CSIStorageCapacity>(informers)) {}

  Found<Claim> claim(const std::string& ns, const std::string& name) const override {
    return get<Claim>(claims_, ns, name);
  }
  Found<Volume> volume(const std::string& name) const override {
    return get<Volume>(volumes_, "", name);
  }
  std::vector<Found<Volume>> volumes() const override { return list<Volume>(volumes_); }
  Found<Class> storage_class(const std::string& name) const override {
    return get<Class>(classes_, "", name);
  }
  Found<storagev1::CSINode> csi_node(const std::string& name) const override {
    return get<storagev1::CSINode>(csi_nodes_, "", name);
  }
  Found<storagev1::CSIDriver> csi_driver(const std::string& name) const override {
    return get<storagev1::CSIDriver>(csi_drivers_, "", name);
  }
  std::vector<Found<storagev1::CSIStorageCapacity>> capacities() const override {
    return list<storagev1::CSIStorageCapacity>(capacities_);
  }

 private:
  template <class T>
  static Found<T> get(const InformerBase* in, const std::string& ns, const std::string& name) {
    return in == nullptr ? nullptr : std::static_pointer_cast<const T>(in->get(ns, name));
  }
  template <class T>
  static std::vector<Found<T>> list(const InformerBase* in) {
    if (in == nullptr) return {};
    return client::Lister<T>(in).list();
  }
  const InformerBase *claims_, *volumes_, *classes_, *csi_nodes_, *csi_drivers_, *capacities_;
};

}  // namespace

std::shared_ptr<const VolumeView> make_volume_view(client::InformerSet& informers) {
  return std::make_shared<InformerVolumeView>(informers);
}

std::vector<const ResourceInfo*> volume_view_resources() {
  std::vector<const ResourceInfo*> out;
  for (const auto* found :
       {resource<VolumeView::Claim>(), resource<VolumeView::Volume>(),
        resource<VolumeView::Class>(), resource<storagev1::CSINode>(),
        resource<storagev1::CSIDriver>(), resource<storagev1::CSIStorageCapacity>()}) {
    if (found != nullptr) out.push_back(found);
  }
  return out;
}

}  // namespace orch::server::scheduler
