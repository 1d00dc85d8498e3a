#include "kinds_support.h"
#include "orch/api/corev1.h"
#include "orch/api/storagev1.h"

namespace orch::api {
namespace {

using namespace test;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using storagev1::CSIDriver;
using storagev1::CSINode;
using storagev1::CSIStorageCapacity;
using storagev1::StorageClass;
using storagev1::VolumeAttachment;

constexpr const char* kVolume =
    R"({"metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},)"
    R"("accessModes":["ReadWriteOnce"],"hostPath":{"path":"/data"},"storageClassName":"fast"}})";
constexpr const char* kClaim =
    R"({"metadata":{"name":"c","namespace":"default"},"spec":{"accessModes":["ReadWriteOnce"],)"
    R"("resources":{"requests":{"storage":"1Gi"}}}})";

TEST_CASE("persistent volumes: defaults, row") {
  auto volume = made<PersistentVolume>(kVolume);
  CHECK(volume.spec.persistentVolumeReclaimPolicy == "Retain");
  CHECK(volume.spec.volumeMode == "Filesystem");
  CHECK(volume.spec.hostPath->type == "");
  CHECK(volume.status.phase == "Pending");
  CHECK(volume.status.lastPhaseTransitionTime.has_value());
  CHECK(volume.metadata.generation == 0);
  CHECK(cells(volume) == Texts{"v", "1Gi", "RWO", "Retain", "Pending", "", "fast", "<unset>", "",
                               "<unknown>", "Filesystem"});
  volume.spec.claimRef.ensure().namespace_ = "ns";
  volume.spec.claimRef->name = "c";
  volume.spec.accessModes = {"ReadOnlyMany", "ReadWriteOnce", "ReadWriteOnce"};
  volume.status.phase = "Bound";
  CHECK(cells(volume)[2] == "RWO,ROX");
  CHECK(cells(volume)[5] == "ns/c");
  volume.metadata.deletionTimestamp = Time(WallTime{});
  CHECK(cells(volume)[4] == "Terminating");
}

TEST_CASE("persistent volumes: what may be created") {
  check_rules<PersistentVolume>(
      kVolume,
      {{"/spec/accessModes", "", {"spec.accessModes: Required value"}},
       {"/spec/accessModes",
        R"(["Some"])",
        {R"(spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany", )"
         R"("ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")"}},
       {"/spec/accessModes",
        R"(["ReadWriteOncePod","ReadWriteOnce"])",
        {"spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"}},
       {"/spec/capacity/storage",
        "\"0\"",
        {R"(spec.capacity[storage]: Invalid value: "0": must be greater than zero)"}},
       {"/spec/hostPath", "", {"spec: Required value: must specify a volume type"}},
       {"/spec/hostPath/path",
        "\"/a/../b\"",
        {R"(spec.hostPath.path: Invalid value: "/a/../b": must not contain '..')"}},
       {"/spec/nfs",
        R"({"server":"s","path":"p"})",
        {"spec.nfs: Forbidden: may not specify more than 1 volume type",
         R"(spec.nfs.path: Invalid value: "p": must be an absolute path)"}},
       {"/spec/local",
        R"({"path":"/x"})",
        {"spec.local: Forbidden: may not specify more than 1 volume type",
         "spec.nodeAffinity: Required value: Local volume requires node affinity"}},
       {"/spec/nodeAffinity",
        "{}",
        {"spec.nodeAffinity.required: Required value: must specify required node constraints"}},
       {"/spec/persistentVolumeReclaimPolicy",
        "\"Burn\"",
        {R"(spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: )"
         R"("Delete", "Recycle", "Retain")"}},
       {"/spec/volumeMode",
        "\"Tape\"",
        {R"(spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem")"}},
       {"/spec/csi",
        R"({"driver":"","volumeHandle":"h"})",
        {"spec.csi: Forbidden: may not specify more than 1 volume type",
         "spec.csi.driver: Required value"}}});
}

TEST_CASE("persistent volumes: what may change") {
  check_changes<PersistentVolume>(kVolume,
                                  {{"/spec/persistentVolumeReclaimPolicy", "\"Delete\"", {}},
                                   {"/spec/claimRef", R"({"name":"c","namespace":"n"})", {}},
                                   {"/spec/capacity/storage", "\"2Gi\"", {}},
                                   {"/spec/volumeMode",
                                    "\"Block\"",
                                    {R"(volumeMode: Invalid value: "Block": field is immutable)"}},
                                   {"/status/phase", "\"Bound\"", {}}});
  auto old = made<PersistentVolume>(kVolume);
  auto now = old;
  now.spec.hostPath->path = "/other";
  const auto said = complaints(now, &old);
  REQUIRE(said.size() == 1);
  CHECK(
      said[0].starts_with("spec.persistentvolumesource: Forbidden: "
                          "spec.persistentvolumesource is immutable after creation\n"));
  now = old;
  now.status.phase = "Bound";
  resource_of<PersistentVolume>().prepare(now, &old, {});
  CHECK(now.status.phase == "Pending");
}

TEST_CASE("persistent volume claims: defaults, row, data sources") {
  auto claim = made<PersistentVolumeClaim>(kClaim);
  CHECK(claim.spec.volumeMode == "Filesystem");
  CHECK(claim.status.phase == "Pending");
  CHECK(cells(claim) ==
        Texts{"c", "Pending", "", "", "", "", "<unset>", "<unknown>", "Filesystem"});
  claim.spec.volumeName = "v";
  claim.spec.storageClassName = "fast";
  claim.status.accessModes = {"ReadWriteMany"};
  claim.status.capacity["storage"] = *Quantity::parse("3Gi");
  CHECK(cells(claim) ==
        Texts{"c", "Pending", "v", "3Gi", "RWX", "fast", "<unset>", "<unknown>", "Filesystem"});

  const auto with = [](const char* field, const char* value) {
    return made<PersistentVolumeClaim>(changed(kClaim, {field, value, {}}));
  };
  const auto cloned =
      with("/spec/dataSource", R"({"kind":"PersistentVolumeClaim","name":"other"})");
  REQUIRE(cloned.spec.dataSourceRef);
  CHECK(cloned.spec.dataSourceRef->name == "other");
  const auto unknown = with("/spec/dataSource", R"({"apiGroup":"x.io","kind":"X","name":"y"})");
  CHECK_FALSE(unknown.spec.dataSource);
  const auto populated =
      with("/spec/dataSourceRef", R"({"apiGroup":"x.io","kind":"X","name":"y"})");
  REQUIRE(populated.spec.dataSource);
  CHECK(populated.spec.dataSource->kind == "X");
  CHECK_FALSE(with("/spec/volumeAttributesClassName", "\"gold\"").spec.volumeAttributesClassName);
}

TEST_CASE("persistent volume claims: what may be created") {
  check_rules<PersistentVolumeClaim>(
      kClaim,
      {{"/spec/accessModes",
        "[]",
        {"spec.accessModes: Required value: at least 1 access mode is required"}},
       {"/spec/resources", "{}", {"spec.resources[storage]: Required value"}},
       {"/spec/resources/requests/storage",
        "\"-1\"",
        {R"(spec.resources[storage]: Invalid value: "-1": must be greater than or equal to 0)",
         R"(spec.resources[storage]: Invalid value: "-1": must be greater than zero)"}},
       {"/spec/storageClassName", "\"\"", {}},
       {"/spec/selector",
        R"({"matchExpressions":[{"key":"a","operator":"Is"}]})",
        {R"(spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector )"
         R"(operator)"}},
       {"/spec/dataSource",
        R"({"kind":"PersistentVolumeClaim","name":""})",
        {"spec.dataSource.name: Required value", "spec.dataSourceRef.name: Required value"}}});
}

TEST_CASE("persistent volume claims: what may change") {
  auto old = made<PersistentVolumeClaim>(kClaim);
  auto now = old;
  now.spec.volumeName = "v";
  CHECK(complaints(now, &old) == Texts{});
  now = old;
  now.spec.storageClassName = "later";  // a default class that came later
  CHECK(complaints(now, &old) == Texts{});
  now = old;
  now.spec.resources.requests["storage"] = *Quantity::parse("2Gi");
  auto said = complaints(now, &old);
  REQUIRE(said.size() == 1);
  CHECK(
      said[0].starts_with("spec: Forbidden: spec is immutable after creation except "
                          "resources.requests and volumeAttributesClassName for bound claims\n"));
  old.status.phase = now.status.phase = "Bound";
  old.status.capacity["storage"] = now.status.capacity["storage"] = *Quantity::parse("1Gi");
  CHECK(complaints(now, &old) == Texts{});
  now.spec.resources.requests["storage"] = *Quantity::parse("1Mi");
  CHECK(complaints(now, &old) == Texts{"spec.resources.requests.storage: Forbidden: field can not "
                                       "be less than status.capacity"});
}

TEST_CASE("storage classes") {
  const std::string json =
      R"({"metadata":{"name":"s"},"provisioner":"example.com/Disk","parameters":{"a":"b"}})";
  auto now = made<StorageClass>(json);
  CHECK(cells(now) == Texts{"s", "example.com/Disk", "Delete", "Immediate", "false", "<unknown>"});
  now.metadata.annotations["storageclass.kubernetes.io/is-default-class"] = "true";
  CHECK(cells(now)[0] == "s (default)");
  check_rules<StorageClass>(
      json,
      {{"/provisioner", "\"\"", {"provisioner: Required value"}},
       {"/reclaimPolicy",
        "\"Recycle\"",
        {R"(reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain")"}},
       {"/volumeBindingMode",
        "\"Never\"",
        {R"(volumeBindingMode: Unsupported value: "Never": supported values: "Immediate", )"
         R"("WaitForFirstConsumer")"}},
       {"/allowedTopologies",
        R"([{"matchLabelExpressions":[{"key":"z","values":["a","a"]},{"key":"z","values":[]}]}])",
        {R"(allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a")",
         "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
         R"(allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "z")"}}});
  check_changes<StorageClass>(
      json,
      {{"/allowVolumeExpansion", "true", {}},
       {"/parameters/a",
        "\"c\"",
        {"parameters: Forbidden: updates to parameters are "
         "forbidden."}},
       {"/provisioner",
        "\"x.y/z\"",
        {"provisioner: Forbidden: updates to provisioner are "
         "forbidden."}},
       {"/reclaimPolicy",
        "\"Retain\"",
        {"reclaimPolicy: Forbidden: updates to "
         "reclaimPolicy are forbidden."}},
       {"/volumeBindingMode",
        "\"WaitForFirstConsumer\"",
        {R"(volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable)"}}});
}

TEST_CASE("volume attachments") {
  const std::string json = R"({"metadata":{"name":"a"},"spec":{"attacher":"csi.example.com",)"
                           R"("nodeName":"n","source":{"persistentVolumeName":"v"}},)"
                           R"("status":{"attached":true}})";
  const auto made_one = made<VolumeAttachment>(json);
  CHECK_FALSE(made_one.status.attached);
  CHECK(cells(made_one) == Texts{"a", "csi.example.com", "v", "n", "false", "<unknown>"});
  check_rules<VolumeAttachment>(
      json, {{"/spec/source",
              "{}",
              {"spec.source: Required value: must specify exactly one of "
               "inlineVolumeSpec and persistentVolumeName"}},
             {"/spec/source/inlineVolumeSpec",
              R"({"accessModes":["ReadWriteOnce"],"csi":{"driver":"d","volumeHandle":"h"}})",
              {"spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and "
               "persistentVolumeName"}}});
  auto now = made_one;
  now.spec.nodeName = "other";
  CHECK(complaints(now, &made_one).size() == 1);
}

TEST_CASE("CSI drivers, nodes and capacities") {
  auto driver = made<CSIDriver>(R"({"metadata":{"name":"csi.example.com"},"spec":{}})");
  CHECK(complaints(driver) == Texts{});
  CHECK(cells(driver) == Texts{"csi.example.com", "true", "false", "false", "<unset>", "false",
                               "Persistent", "<unknown>"});
  auto changed_driver = driver;
  changed_driver.spec.attachRequired = false;
  CHECK(complaints(changed_driver, &driver) ==
        Texts{"spec.attachedRequired: Invalid value: false: field is immutable"});
  changed_driver = driver;
  changed_driver.spec.requiresRepublish = true;
  resource_of<CSIDriver>().prepare(changed_driver, &driver, {});
  CHECK(changed_driver.metadata.generation == 1);

  check_rules<CSINode>(
      R"({"metadata":{"name":"n"},"spec":{"drivers":[{"name":"d","nodeID":"i","topologyKeys":["z"]}]}})",
      {{"/spec/drivers/0/nodeID", "\"\"", {"spec.drivers[0].nodeID: Required value"}},
       {"/spec/drivers/0/allocatable",
        R"({"count":-1})",
        {"spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to "
         "0"}},
       {"/spec/drivers/1",
        R"({"name":"d","nodeID":"j","topologyKeys":null})",
        {R"(spec.drivers[1].name: Duplicate value: "d")"}}});

  const std::string capacity = R"({"metadata":{"name":"c","namespace":"default"},)"
                               R"("storageClassName":"s","capacity":"1Gi"})";
  CHECK(cells(made<CSIStorageCapacity>(capacity)) == Texts{"c", "s", "1Gi"});
  check_changes<CSIStorageCapacity>(
      capacity, {{"/capacity", "\"2Gi\"", {}},
                 {"/capacity",
                  "\"-1\"",
                  {R"(capacity: Invalid value: "-1": must be greater than or equal to 0)"}},
                 {"/storageClassName",
                  "\"t\"",
                  {R"(storageClassName: Invalid value: "t": field is immutable)"}}});
}

}  // namespace
}  // namespace orch::api
