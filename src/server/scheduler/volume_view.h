// What the volume plugins know of claims, volumes and classes: answers from informer caches. A kind
// that the API does not have is as if there were no objects of it. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/storagev1.h"
#include "orch/client/informer.h"

namespace orch::server::scheduler {

class VolumeView {
 public:
  template <class T>
  using Found = std::shared_ptr<const T>;
  using Claim = api::corev1::PersistentVolumeClaim;
  using Volume = api::corev1::PersistentVolume;
  using Class = api::storagev1::StorageClass;

  virtual ~VolumeView() = default;
  virtual Found<Claim> claim(const std::string& ns, const std::string& name) const = 0;
  virtual Found<Volume> volume(const std::string& name) const = 0;
  virtual std::vector<Found<Volume>> volumes() const = 0;
  virtual Found<Class> storage_class(const std::string& name) const = 0;
  virtual Found<api::storagev1::CSINode> csi_node(const std::string& name) const = 0;
  virtual Found<api::storagev1::CSIDriver> csi_driver(const std::string& name) const = 0;
  virtual std::vector<Found<api::storagev1::CSIStorageCapacity>> capacities() const = 0;
};

// Makes (and so starts) the informers it reads.
std::shared_ptr<const VolumeView> make_volume_view(client::InformerSet& informers);
// Their resources, as far as the API has them.
std::vector<const api::ResourceInfo*> volume_view_resources();

}  // namespace orch::server::scheduler
