// storage.k8s.io/v1 CSINode and CSIStorageCapacity.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"
#include "api/kinds/storage/csi.h"
#include "orch/api/storagev1.h"

namespace orch::api {
namespace {

using storagev1::CSINode;
using storagev1::CSINodeDriver;
using storagev1::CSIStorageCapacity;

constexpr size_t kNodeIdMax = 256;

void validate_node_driver(const CSINodeDriver& driver, const std::string& path,
                          FieldErrors& errors) {
  validate_driver_name(driver.name, path + ".name", errors);
  if (driver.nodeID.empty()) {
    errors.required(path + ".nodeID");
  } else if (driver.nodeID.size() > kNodeIdMax) {
    errors.invalid(path + ".nodeID", quoted(driver.nodeID),
                   fmt::format("must be {} characters or less", kNodeIdMax));
  }
  if (driver.allocatable && driver.allocatable->count) {
    validate_non_negative(*driver.allocatable->count, path + ".allocatable.count", errors);
  }
  std::set<std::string> seen;
  for (const auto& key : driver.topologyKeys) {
    if (key.empty()) errors.required(path);
    if (!seen.insert(key).second) errors.duplicate(path, quoted(key));
    validate_by(check_label_key, key, path, errors);
  }
}

void validate_node(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CSINode&>(object).spec;
  std::set<std::string> names;
  for (size_t i = 0; i < now.drivers.size(); ++i) {
    const std::string path = indexed("spec.drivers", i);
    validate_node_driver(now.drivers[i], path, errors);
    if (!names.insert(now.drivers[i].name).second) {
      errors.duplicate(path + ".name", quoted(now.drivers[i].name));
    }
  }
  if (old_object == nullptr) return;
  // Drivers come and go, but do not change.
  for (const auto& before : static_cast<const CSINode&>(*old_object).spec.drivers) {
    for (const auto& after : now.drivers) {
      if (after.name == before.name) {
        check_unchanged(equal(after, before), "CSINodeDriver",
                        go_value(CSINodeDriver::type_info(), &after), errors);
      }
    }
  }
}

void validate_amount(const std::optional<Quantity>& amount, const std::string& path,
                     FieldErrors& errors) {
  if (amount && amount->sign() < 0) {
    errors.invalid(path, quoted(amount->str()), "must be greater than or equal to 0");
  }
}

void validate_capacity(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CSIStorageCapacity&>(object);
  validate_by(check_dns1123_subdomain, now.storageClassName, "storageClassName", errors);
  if (now.nodeTopology) validate_label_selector(*now.nodeTopology, "nodeTopology", errors);
  validate_amount(now.capacity, "capacity", errors);
  validate_amount(now.maximumVolumeSize, "maximumVolumeSize", errors);
  if (old_object == nullptr) return;
  const auto& old = static_cast<const CSIStorageCapacity&>(*old_object);
  const bool same = now.nodeTopology && old.nodeTopology
                        ? equal(*now.nodeTopology, *old.nodeTopology)
                        : now.nodeTopology.has_value() == old.nodeTopology.has_value();
  check_unchanged(same, "nodeTopology", go_value(now.nodeTopology), errors);
  check_unchanged(now.storageClassName == old.storageClassName, "storageClassName",
                  quoted(now.storageClassName), errors);
}

}  // namespace

ResourceInfo csi_nodes_resource() {
  auto info = stored_resource<CSINode>("csinodes", "csinode", false);
  info.validate = validate_node;
  info.columns = {name_column(), column("Drivers", "integer", "How many drivers the node has."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& drivers = static_cast<const CSINode&>(object).spec.drivers;
    return {name_cell(object), number(static_cast<int64_t>(drivers.size())), age_cell(object, now)};
  };
  return info;
}

ResourceInfo csi_storage_capacities_resource() {
  auto info =
      stored_resource<CSIStorageCapacity>("csistoragecapacities", "csistoragecapacity", true);
  info.validate = validate_capacity;
  info.columns = {name_column(), column("StorageClassName", "string", "The storage class."),
                  column("Capacity", "string", "Its free space.")};
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    const auto& capacity = static_cast<const CSIStorageCapacity&>(object);
    return {name_cell(object), text(capacity.storageClassName),
            text(capacity.capacity ? capacity.capacity->str() : "<unset>")};
  };
  return info;
}

}  // namespace orch::api
