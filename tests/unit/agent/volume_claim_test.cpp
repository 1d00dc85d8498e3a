// Claims of pods, local-path volumes, and that nothing outside of a volume is ever touched.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/storage/fd.h"
#include "agent/storage/local_path.h"
#include "agent/storage/project_quota.h"
#include "agent/storage/tree.h"
#include "agent/volumes/volume.h"
#include "orch/api/volume_binding.h"
#include "orch/base/file.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

struct TempDir {
  std::string path;
  TempDir() {
    char name[] = "/tmp/orch-volumes-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempDir() {
    std::error_code ec;
    fs::remove_all(path, ec);
  }
};

void put(const std::string& path, const std::string& text = "x") { std::ofstream(path) << text; }

class Objects final : public ObjectSource {
 public:
  std::shared_ptr<corev1::PersistentVolumeClaim> the_claim;
  std::shared_ptr<corev1::PersistentVolume> the_volume;

  Result<std::shared_ptr<const corev1::ConfigMap>, Error> config_map(const std::string&,
                                                                     const std::string&) override {
    return Err(Error{Error::Code::kNotFound, "none"});
  }
  Result<std::shared_ptr<const corev1::Secret>, Error> secret(const std::string&,
                                                              const std::string&) override {
    return Err(Error{Error::Code::kNotFound, "none"});
  }
  Result<std::shared_ptr<const corev1::PersistentVolumeClaim>, Error> claim(
      const std::string&, const std::string& name) override {
    if (the_claim) return std::shared_ptr<const corev1::PersistentVolumeClaim>(the_claim);
    return Err(Error{Error::Code::kNotFound, "persistentvolumeclaims \"" + name + "\" not found"});
  }
  Result<std::shared_ptr<const corev1::PersistentVolume>, Error> persistent_volume(
      const std::string& name) override {
    if (the_volume) return std::shared_ptr<const corev1::PersistentVolume>(the_volume);
    return Err(Error{Error::Code::kNotFound, "persistentvolumes \"" + name + "\" not found"});
  }
  Result<std::string, Error> service_account_token(const corev1::Pod&, const std::string&,
                                                   int64_t) override {
    return std::string("token");
  }
};

// A pod with a claim bound to a local-path volume of this node.
struct Bound {
  TempDir temp;
  Objects objects;
  corev1::Pod pod;
  std::string storage = temp.path + "/storage", path = storage + "/pvc-u1";
  Bound() {
    pod.metadata.name = "p";
    pod.metadata.namespace_ = "default";
    pod.metadata.uid = "pod-uid";
    pod.spec.nodeName = "n1";
    auto& volume = pod.spec.volumes.emplace_back();
    volume.name = "data";
    volume.persistentVolumeClaim.emplace().claimName = "c";
    auto& container = pod.spec.containers.emplace_back();
    container.name = "main";
    container.volumeMounts.emplace_back().name = "data";
    objects.the_claim = std::make_shared<corev1::PersistentVolumeClaim>();
    auto& claim = *objects.the_claim;
    claim.metadata.name = "c";
    claim.metadata.namespace_ = "default";
    claim.metadata.uid = "u1";
    claim.spec.volumeName = "pvc-u1";
    claim.status.phase = "Bound";
    objects.the_volume = std::make_shared<corev1::PersistentVolume>();
    auto& pv = *objects.the_volume;
    pv.metadata.name = "pvc-u1";
    pv.metadata.annotations = {{api::kProvisionedBy, api::kLocalPathProvisioner},
                               {api::kLocalPathNode, "n1"}};
    pv.spec.local.emplace().path = path;
    api::bind_volume(pv, claim);
  }
  Result<std::string, Error> set_up() {
    const auto& volume = pod.spec.volumes[0];
    const VolumeDriver* driver = find_volume_driver(volume);
    REQUIRE(driver != nullptr);
    return driver->set_up({.pod = pod,
                           .directory = temp.path + "/pod/volumes/data",
                           .objects = objects,
                           .addresses = {},
                           .allocatable = {},
                           .now = {},
                           .storage_dir = storage},
                          volume);
  }
  std::string failure() {
    auto result = set_up();
    return result ? "" : failed_mount_text("data", result.error());
  }
};

constexpr const char* kProcessing =
    "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed "
    "to process volumes=[data]: error processing PVC default/c: ";

TEST_CASE("a claim of the built-in provisioner becomes a directory that everyone may write") {
  Bound b;
  auto made = b.set_up();
  REQUIRE(made);
  CHECK(*made == b.path);
  struct stat st {};
  REQUIRE(::stat(b.path.c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0777);
  put(b.path + "/kept");
  REQUIRE(b.set_up());
  CHECK(fs::exists(b.path + "/kept"));
}

TEST_CASE("what a pod waits for is told in the kubelet's words") {
  Bound b;
  std::string why;
  SECTION("no claim") {
    b.objects.the_claim = nullptr;
    why = "failed to fetch PVC from API server: persistentvolumeclaims \"c\" not found";
  }
  SECTION("not bound") {
    b.objects.the_claim->status.phase = "Pending";
    why = "PVC is not bound";
  }
  SECTION("being deleted") {
    b.objects.the_claim->metadata.deletionTimestamp = api::Time(WallTime{});
    why = "PVC is being deleted";
  }
  SECTION("another's volume") {
    b.objects.the_volume->spec.claimRef->uid = "u2";
    why =
        "found PV object \"pvc-u1\" but its pvc.Spec.ClaimRef.UID \"u2\" does not point to "
        "claim.UID \"u1\"";
  }
  CHECK(b.failure() == kProcessing + why);
}

TEST_CASE("volumes that cannot be mounted here") {
  Bound b;
  SECTION("of another node") {
    b.pod.spec.nodeName = "n2";
    CHECK(b.failure() ==
          "MountVolume.NodeAffinity check failed for volume \"pvc-u1\" : no matching "
          "NodeSelectorTerms");
    CHECK_FALSE(fs::exists(b.path));
  }
  SECTION("a local path that is not there") {
    b.objects.the_volume->metadata.annotations.clear();
    CHECK(b.failure() ==
          "MountVolume.NewMounter initialization failed for volume \"pvc-u1\" : path \"" + b.path +
              "\" does not exist");
  }
  SECTION("CSI") {
    b.objects.the_volume->spec.local.reset();
    b.objects.the_volume->spec.csi.emplace().driver = "x";
    CHECK(b.failure() ==
          "failed to get Plugin from volumeSpec for volume \"pvc-u1\" err=no volume plugin "
          "matched");
  }
  SECTION("block") {
    b.objects.the_volume->spec.volumeMode = "Block";
    CHECK(b.failure().ends_with(
        "volume data has volumeMode Block, but is specified in volumeMounts"));
  }
}

TEST_CASE("a claim that goes away stays for the pod that has it") {
  Bound b;
  REQUIRE(b.set_up());
  b.objects.the_claim->metadata.deletionTimestamp = api::Time(WallTime{});
  CHECK(b.set_up());
}

TEST_CASE("an ephemeral volume must be the pod's own") {
  Bound b;
  auto& volume = b.pod.spec.volumes[0];
  volume.persistentVolumeClaim.reset();
  volume.ephemeral.emplace();
  CHECK(
      b.failure().ends_with("PVC default/c was not created for pod default/p (pod is not owner)"));
  auto& owner = b.objects.the_claim->metadata.ownerReferences.emplace_back();
  owner.uid = "pod-uid";
  owner.controller = true;
  CHECK(b.set_up());
}

TEST_CASE("fsGroup owns a local volume") {
  if (::geteuid() != 0) return;
  Bound b;
  b.pod.spec.securityContext.emplace().fsGroup = 4242;
  REQUIRE(b.set_up());
  struct stat st {};
  REQUIRE(::stat(b.path.c_str(), &st) == 0);
  CHECK(st.st_gid == 4242);
  CHECK((st.st_mode & 02770) == 02770);
}

TEST_CASE("a read-only claim is mounted read-only, and unmounting leaves the data") {
  if (::geteuid() != 0) return;
  Bound b;
  b.pod.spec.volumes[0].persistentVolumeClaim->readOnly = true;
  auto made = b.set_up();
  REQUIRE(made);
  CHECK(*made == b.temp.path + "/pod/volumes/data");
  put(b.path + "/file");
  CHECK(fs::exists(*made + "/file"));
  CHECK(::open((*made + "/new").c_str(), O_CREAT | O_WRONLY, 0600) < 0);
  REQUIRE(::umount2(made->c_str(), MNT_DETACH) == 0);
  CHECK(fs::exists(b.path + "/file"));
}

// ---- trees ----

TEST_CASE("group of a tree: links are not followed") {
  if (::geteuid() != 0) return;
  TempDir t;
  fs::create_directories(t.path + "/volume/sub");
  put(t.path + "/outside");
  put(t.path + "/volume/sub/file");
  fs::create_symlink(t.path + "/outside", t.path + "/volume/link");
  fs::create_directory_symlink(t.path, t.path + "/volume/up");
  ::chmod((t.path + "/outside").c_str(), 0600);
  REQUIRE(set_group(t.path + "/volume", 4242, true));
  struct stat st {};
  ::stat((t.path + "/outside").c_str(), &st);
  CHECK(st.st_gid != 4242);
  CHECK((st.st_mode & 0777) == 0600);
  ::stat((t.path + "/volume/sub/file").c_str(), &st);
  CHECK(st.st_gid == 4242);
  CHECK((st.st_mode & 0660) == 0660);
  ::lstat((t.path + "/volume/link").c_str(), &st);
  CHECK(st.st_gid == 4242);
}

TEST_CASE("a volume is removed with all that is in it, and nothing else") {
  TempDir t;
  LocalPathStore store(t.path + "/storage");
  const std::string path = store.root() + "/pvc-1";
  REQUIRE(store.ensure(path, 0));
  REQUIRE(store.ensure(store.root() + "/pvc-2", 0));
  put(t.path + "/precious");
  fs::create_directories(t.path + "/dear/inner");
  put(t.path + "/dear/inner/file");
  fs::create_directories(path + "/a/b");
  put(path + "/a/b/file");
  fs::create_symlink(t.path + "/precious", path + "/a/link");
  fs::create_directory_symlink(t.path + "/dear", path + "/a/dear");
  fs::create_hard_link(path + "/a/b/file", path + "/again");
  REQUIRE(store.remove(path));
  CHECK_FALSE(fs::exists(path));
  CHECK(fs::exists(t.path + "/precious"));
  CHECK(fs::exists(t.path + "/dear/inner/file"));
  CHECK(fs::exists(store.root() + "/pvc-2"));
  CHECK(store.remove(path));  // gone already
}

TEST_CASE("only volumes of ours can be named") {
  TempDir t;
  LocalPathStore store(t.path + "/storage");
  REQUIRE(store.ensure(store.root() + "/pvc-1", 0));
  fs::create_directories(t.path + "/pvc-other");
  for (const std::string& path :
       {t.path + "/pvc-other", store.root(), store.root() + "/", store.root() + "/..",
        store.root() + "/pvc-1/../../pvc-other", store.root() + "/pvc-1/x", store.root() + "/pvc-",
        store.root() + "/pvc-..", store.root() + "/other", std::string("/"), std::string("")}) {
    CAPTURE(path);
    CHECK_FALSE(store.remove(path));
    CHECK_FALSE(store.ensure(path, 0));
  }
  CHECK(fs::exists(t.path + "/pvc-other"));
  CHECK(fs::exists(store.root() + "/pvc-1"));
}

TEST_CASE("a volume's directory that became a link is removed as a link") {
  TempDir t;
  LocalPathStore store(t.path + "/storage");
  REQUIRE(store.ensure(store.root() + "/pvc-1", 0));
  fs::create_directories(t.path + "/dear");
  put(t.path + "/dear/file");
  fs::remove(store.root() + "/pvc-1");
  fs::create_directory_symlink(t.path + "/dear", store.root() + "/pvc-1");
  CHECK_FALSE(store.ensure(store.root() + "/pvc-1", 0));
  CHECK(store.remove(store.root() + "/pvc-1"));
  CHECK(fs::exists(t.path + "/dear/file"));
}

TEST_CASE("what is mounted in a volume is not deleted") {
  if (::geteuid() != 0) return;
  TempDir t;
  LocalPathStore store(t.path + "/storage");
  const std::string path = store.root() + "/pvc-1";
  REQUIRE(store.ensure(path, 0));
  fs::create_directories(t.path + "/dear");
  put(t.path + "/dear/file");
  fs::create_directories(path + "/mounted");
  REQUIRE(::mount((t.path + "/dear").c_str(), (path + "/mounted").c_str(), nullptr, MS_BIND,
                  nullptr) == 0);
  CHECK_FALSE(store.remove(path));
  CHECK(fs::exists(t.path + "/dear/file"));
  REQUIRE(::umount2((path + "/mounted").c_str(), MNT_DETACH) == 0);
  CHECK(store.remove(path));
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a tree deeper than descriptors and paths reach is removed") {
  TempDir t;
  LocalPathStore store(t.path + "/storage");
  const std::string path = store.root() + "/pvc-1";
  REQUIRE(store.ensure(path, 0));
  Fd at(::open(path.c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(::mkdirat(at.get(), "deep", 0755) == 0);
    at = Fd(::openat(at.get(), "deep", O_RDONLY | O_DIRECTORY));
    REQUIRE(at);
  }
  at = Fd();
  put(path + "/.orch-0");  // a name that the removal uses itself
  REQUIRE(store.remove(path));
  CHECK_FALSE(fs::exists(path));
}

// ---- quota ----

// An ext4 with project quota in a file; empty path: this machine cannot mount one.
struct QuotaFileSystem {
  TempDir temp;
  std::string path;
  QuotaFileSystem() {
    const std::string image = temp.path + "/image", where = temp.path + "/mnt";
    fs::create_directories(where);
    const std::string command =
        "truncate -s 64M " + image + " && mkfs.ext4 -q -O quota,project -E quotatype=prjquota " +
        image + " && mount -o loop,prjquota " + image + " " + where + " 2>/dev/null";
    if (std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0) path = where;
  }
  ~QuotaFileSystem() {
    if (!path.empty()) ::umount2(path.c_str(), MNT_DETACH);
  }
};

bool write_bytes(const std::string& path, size_t bytes) {
  Fd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  const std::string block(64 * 1024, 'x');
  for (size_t done = 0; done < bytes; done += block.size()) {
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size())) {
      return false;
    }
  }
  return ::fsync(fd.get()) == 0;
}

TEST_CASE("where the file system has project quota, a volume holds no more than its capacity") {
  if (::geteuid() != 0) return;
  QuotaFileSystem file_system;
  if (file_system.path.empty()) {
    WARN("no ext4 with project quota can be mounted here");
    return;
  }
  LocalPathStore store(file_system.path + "/storage");
  const std::string path = store.root() + "/pvc-1", other = store.root() + "/pvc-2";
  REQUIRE(store.ensure(path, 4 << 20));
  REQUIRE(store.ensure(other, 8 << 20));
  Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY));
  Fd other_directory(::open(other.c_str(), O_RDONLY | O_DIRECTORY));
  CHECK(project_of(directory.get()) != 0);
  CHECK(project_of(directory.get()) != project_of(other_directory.get()));
  // Root is not stopped by quota if it may ignore it; a child without that capability is.
  fs::permissions(path, fs::perms::all);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
    const bool small = write_bytes(path + "/small", 1 << 20);
    const bool large = write_bytes(path + "/large", 8 << 20);
    ::_exit(small && !large ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  directory = Fd();
  other_directory = Fd();
  CHECK(store.remove(path));
  // The number is free again, and so is its room.
  REQUIRE(store.ensure(path, 4 << 20));
  CHECK(store.remove(path));
}

}  // namespace
}  // namespace orch::agent
