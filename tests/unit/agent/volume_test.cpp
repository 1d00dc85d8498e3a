// Volume drivers and subPath in a temporary folder; mounts need root.
#include <catch2/catch.hpp>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/volumes/atomic_writer.h"
#include "agent/volumes/sub_path.h"
#include "agent/volumes/volume.h"
#include "orch/base/file.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;
namespace fs = std::filesystem;

namespace {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/orch-volume-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempDir() {
    (void)unmount_below(path);
    std::error_code ec;
    fs::remove_all(path, ec);
  }
  std::string path;
};

class Objects final : public ObjectSource {
 public:
  std::map<std::string, std::string> data{{"a", "1"}, {"b", "2"}};
  bool present = true;
  std::string token = "t1";
  Result<std::shared_ptr<const corev1::ConfigMap>, Error> config_map(
      const std::string&, const std::string& name) override {
    if (!present) return Err(Error{Error::Code::kNotFound, "configmap \"" + name + "\" not found"});
    auto out = std::make_shared<corev1::ConfigMap>();
    out->data = data;
    return std::shared_ptr<const corev1::ConfigMap>(out);
  }
  Result<std::shared_ptr<const corev1::Secret>, Error> secret(const std::string&,
                                                              const std::string& name) override {
    if (!present) return Err(Error{Error::Code::kNotFound, "secret \"" + name + "\" not found"});
    auto out = std::make_shared<corev1::Secret>();
    out->data = data;
    return std::shared_ptr<const corev1::Secret>(out);
  }
  Result<std::shared_ptr<const corev1::PersistentVolumeClaim>, Error> claim(
      const std::string&, const std::string& name) override {
    return Err(Error{Error::Code::kNotFound, "persistentvolumeclaims \"" + name + "\" not found"});
  }
  Result<std::shared_ptr<const corev1::PersistentVolume>, Error> persistent_volume(
      const std::string& name) override {
    return Err(Error{Error::Code::kNotFound, "persistentvolumes \"" + name + "\" not found"});
  }
  Result<std::string, Error> service_account_token(const corev1::Pod&, const std::string&,
                                                   int64_t) override {
    return token;
  }
};

mode_t mode_of(const std::string& path) {
  struct stat st {};
  ::stat(path.c_str(), &st);
  return st.st_mode & 07777;
}

Result<std::string, Error> set_up(const corev1::Pod& pod, const std::string& dir,
                                  Objects& objects) {
  const auto& volume = pod.spec.volumes.at(0);
  const VolumeDriver* driver = find_volume_driver(volume);
  if (driver == nullptr) return Err(Error{Error::Code::kConfig, "no driver"});
  return driver->set_up({pod, dir, objects, {}, {}, kNow}, volume);
}

}  // namespace

TEST_CASE("atomic writer: links, change at once, removal, modes") {
  TempDir tmp;
  const std::string dir = tmp.path + "/v";
  REQUIRE(write_atomically(dir, {{"a", {"1", 0644, {}}}, {"d/x", {"2", 0600, {}}}}, {}, kNow));
  CHECK(*read_file(dir + "/a") == "1");
  CHECK(*read_file(dir + "/d/x") == "2");
  CHECK(mode_of(dir + "/a") == 0644);
  CHECK(mode_of(dir + "/d/x") == 0600);
  CHECK(fs::read_symlink(dir + "/a") == "..data/a");
  auto version = fs::read_symlink(dir + "/..data");
  REQUIRE(write_atomically(dir, {{"a", {"1", 0644, {}}}, {"d/x", {"2", 0600, {}}}}, {},
                           kNow + Seconds{1}));
  CHECK(fs::read_symlink(dir + "/..data") == version);  // nothing changed, nothing written
  REQUIRE(write_atomically(dir, {{"a", {"9", 0644, {}}}}, {}, kNow + Seconds{2}));
  CHECK(*read_file(dir + "/a") == "9");
  CHECK_FALSE(fs::exists(fs::symlink_status(dir + "/d")));
  CHECK_FALSE(fs::exists(dir + "/" + version.string()));
}

TEST_CASE("configMap volume: items, modes, missing keys, optional") {
  TempDir tmp;
  Objects objects;
  auto pod = pod_of(R"({"containers":[],"volumes":[{"name":"v","configMap":{"name":"cm",
      "defaultMode":416,"items":[{"key":"a","path":"sub/file"},{"key":"b","path":"b","mode":256}]}}]})");
  REQUIRE(set_up(pod, tmp.path + "/v", objects));
  CHECK(*read_file(tmp.path + "/v/sub/file") == "1");
  CHECK(mode_of(tmp.path + "/v/sub/file") == 0640);
  CHECK(mode_of(tmp.path + "/v/b") == 0400);
  objects.data.erase("b");
  auto missing = set_up(pod, tmp.path + "/v", objects);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "references non-existent config key: b");
  pod.spec.volumes[0].configMap->items[1].path = "../out";
  objects.data["b"] = "2";
  CHECK_FALSE(set_up(pod, tmp.path + "/v", objects));
  objects.present = false;
  auto gone = set_up(pod, tmp.path + "/v", objects);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().message == "configmap \"cm\" not found");
  pod.spec.volumes[0].configMap->optional = true;
  CHECK(set_up(pod, tmp.path + "/v2", objects));
}

TEST_CASE(
    "what nobody here mounts has no driver: repositories that are cloned as root, above all") {
  const auto driver = [](const std::string& source) {
    const auto pod = pod_of(R"({"containers":[],"volumes":[{"name":"v",)" + source + "}]}");
    return find_volume_driver(pod.spec.volumes.at(0));
  };
  CHECK(driver(R"("gitRepo":{"repository":"https://example.com/x.git","directory":"."})") ==
        nullptr);
  CHECK(driver(R"("flexVolume":{"driver":"example.com/x"})") == nullptr);
  CHECK(driver(R"("nfs":{"server":"s","path":"/"})") == nullptr);
  CHECK(driver(R"("emptyDir":{})") != nullptr);
}

TEST_CASE("hostPath types") {
  TempDir tmp;
  Objects objects;
  auto pod = pod_of(
      R"({"containers":[],"volumes":[{"name":"v","hostPath":{"path":"p","type":"Directory"}}]})");
  auto& source = *pod.spec.volumes[0].hostPath;
  source.path = tmp.path + "/d";
  auto missing = set_up(pod, "", objects);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message ==
        "hostPath type check failed: " + source.path + " is not a directory");
  source.type = "DirectoryOrCreate";
  CHECK(*set_up(pod, "", objects) == source.path);
  CHECK(fs::is_directory(source.path));
  source.type = "File";
  CHECK_FALSE(set_up(pod, "", objects));
  source.path = tmp.path + "/f";
  source.type = "FileOrCreate";
  CHECK(set_up(pod, "", objects));
  CHECK(fs::is_regular_file(source.path));
}

TEST_CASE("emptyDir on disk: open to all, group of fsGroup, kept as it is") {
  TempDir tmp;
  Objects objects;
  auto pod = pod_of(R"({"containers":[],"volumes":[{"name":"v","emptyDir":{}}]})");
  const std::string dir = tmp.path + "/v";
  REQUIRE(set_up(pod, dir, objects));
  CHECK(mode_of(dir) == 0777);
  ::chmod(dir.c_str(), 0700);
  REQUIRE(set_up(pod, dir, objects));
  CHECK(mode_of(dir) == 0700);
}

TEST_CASE("secret, projected and memory volumes lie in memory", "[root]") {
  if (::geteuid() != 0) {
    WARN("skipped: mounts need root");
    return;
  }
  TempDir tmp;
  Objects objects;
  auto pod = pod_of(R"({"containers":[{"name":"c"}],"securityContext":{"fsGroup":1234},
    "volumes":[{"name":"v","projected":{"sources":[
      {"serviceAccountToken":{"path":"token","expirationSeconds":3607}},
      {"configMap":{"name":"kube-root-ca.crt","items":[{"key":"a","path":"ca.crt"}]}},
      {"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"fieldPath":"metadata.namespace"}}]}}]}}]})");
  const std::string dir = tmp.path + "/v";
  REQUIRE(set_up(pod, dir, objects));
  CHECK(is_mount_point(dir));
  CHECK(*read_file(dir + "/token") == "t1");
  CHECK(*read_file(dir + "/ca.crt") == "1");
  CHECK(*read_file(dir + "/namespace") == "default");
  struct stat st {};
  REQUIRE(::stat((dir + "/token").c_str(), &st) == 0);
  CHECK(st.st_gid == 1234);
  CHECK((st.st_mode & 0777) == 0640);
  objects.token = "t2";  // rotated
  REQUIRE(set_up(pod, dir, objects));
  CHECK(*read_file(dir + "/token") == "t2");
  REQUIRE(unmount_below(dir));
  CHECK_FALSE(is_mount_point(dir));
}

TEST_CASE("subPath: made when missing, never outside the volume", "[root]") {
  if (::geteuid() != 0) {
    WARN("skipped: mounts need root");
    return;
  }
  TempDir tmp;
  const std::string volume = tmp.path + "/vol", target = tmp.path + "/t/0";
  fs::create_directories(volume);
  fs::create_directories(tmp.path + "/secret");
  std::ofstream(tmp.path + "/secret/key") << "k";
  REQUIRE(bind_sub_path(volume, "a/b", target));
  CHECK(fs::is_directory(volume + "/a/b"));
  std::ofstream(volume + "/a/b/x") << "seen";
  CHECK(*read_file(target + "/x") == "seen");
  std::ofstream(volume + "/file") << "f";
  REQUIRE(bind_sub_path(volume, "file", tmp.path + "/t/1"));
  CHECK(*read_file(tmp.path + "/t/1") == "f");

  fs::create_symlink("/etc", volume + "/abs");
  fs::create_symlink("../secret", volume + "/up");
  fs::create_symlink("a", volume + "/inside");
  CHECK_FALSE(bind_sub_path(volume, "abs/passwd", target));
  CHECK_FALSE(bind_sub_path(volume, "up/key", target));
  CHECK_FALSE(bind_sub_path(volume, "up/new", target));
  CHECK_FALSE(fs::exists(tmp.path + "/secret/new"));
  CHECK_FALSE(bind_sub_path(volume, "../secret", target));
  CHECK(bind_sub_path(volume, "inside/b", target));
  REQUIRE(unmount_below(tmp.path + "/t"));
}

TEST_CASE("subPath: a part that is swapped for a link all the time never leads outside", "[root]") {
  if (::geteuid() != 0) {
    WARN("skipped: mounts need root");
    return;
  }
  TempDir tmp;
  const std::string volume = tmp.path + "/vol", target = tmp.path + "/t/0";
  fs::create_directories(volume + "/real/x");
  fs::create_directories(tmp.path + "/host/x");
  std::ofstream(tmp.path + "/host/x/mark") << "host";
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    std::error_code ec;
    while (!stop) {
      fs::create_symlink("real", volume + "/p", ec);
      fs::remove(volume + "/p", ec);
      fs::create_symlink(tmp.path + "/host", volume + "/p", ec);
      fs::remove(volume + "/p", ec);
    }
  });
  int leaks = 0, binds = 0;
  for (int i = 0; i < 300; ++i) {
    if (!bind_sub_path(volume, "p/x", target)) continue;
    ++binds;
    leaks += fs::exists(target + "/mark");
  }
  stop = true;
  swapper.join();
  CHECK(leaks == 0);
  INFO(binds << " binds");
  (void)unmount_below(tmp.path + "/t");
}
