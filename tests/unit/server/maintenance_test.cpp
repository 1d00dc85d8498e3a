// Encryption at rest, import from etcd, names and pruning of snapshots.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "server/maintenance/encryption.h"
#include "server/maintenance/etcd_import.h"
#include "server/maintenance/identity.h"
#include "server/maintenance/snapshots.h"
#include "server/registry/stored.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/orch-maintenance-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

storage::Bytes bytes(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

constexpr const char* kSecret = "/registry/core/secrets/default/a";

std::string config(const std::string& providers) {
  return "kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [" +
         providers + "]}]\n";
}
std::string key(const std::string& name, char fill) {
  return "{name: " + name + ", secret: " + base64_encode(std::string(32, fill)) + "}";
}

std::shared_ptr<Encryption> load(const Folder& folder, const std::string& text) {
  std::ofstream(folder / "config") << text;
  auto loaded = Encryption::load(folder / "cred/own.json", folder / "config", false);
  if (!loaded) FAIL(loaded.error());
  return *loaded;
}

TEST_CASE("secrets are sealed as upstream writes them", "[maintenance]") {
  Folder folder;
  const auto one = load(folder, config("aesgcm: {keys: [" + key("k1", 'a') + "]}"));
  const auto sealed = one->to_disk(kSecret, bytes("{plain}")).value();
  CHECK(sealed->starts_with("k8s:enc:aesgcm:v1:k1:"));
  CHECK(sealed->find("plain") == std::string::npos);
  CHECK(*one->from_disk(kSecret, sealed)->value == "{plain}");
  CHECK(!one->from_disk(kSecret, sealed)->stale);
  CHECK(one->from_disk(kSecret, bytes("{plain}"))->stale);
  // Bound to its key: what is moved elsewhere does not open.
  CHECK(!one->from_disk("/registry/core/secrets/default/b", sealed));
  const auto other = bytes("{x}");
  CHECK(one->to_disk("/registry/core/configmaps/default/a", other).value() == other);
  CHECK(one->to_disk("/registry/apps/secrets/default/a", other).value() == other);

  const auto two = load(folder, config("aescbc: {keys: [" + key("k2", 'b') + "]}, identity: {}"));
  const auto refused = two->from_disk(kSecret, sealed);
  REQUIRE(!refused);
  CHECK(refused.error().message.find("\"k1\", which is not known") != std::string::npos);
  CHECK(*two->from_disk(kSecret, two->to_disk(kSecret, bytes("y")).value())->value == "y");

  const auto both =
      load(folder, config("aesgcm: {keys: [" + key("k2", 'c') + "," + key("k1", 'a') + "]}"));
  const auto read = both->from_disk(kSecret, sealed).value();
  CHECK(*read.value == "{plain}");
  CHECK(read.stale);
}

// Every file below the folder, one after the other.
std::string all_files(const std::string& folder) {
  std::string out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) out += read_file(entry.path().string()).value_or("");
  }
  return out;
}

TEST_CASE("no secret lies on the disk: written, changed, deleted, compacted", "[maintenance]") {
  const auto executor = ThreadPoolExecutor::create(1);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  for (const bool sealed : {true, false}) {
    Folder folder;
    const std::string data = folder / "db";
    storage::StoreOptions options;
    options.path = data;
    if (sealed) {
      options.transformer = load(folder, config("aesgcm: {keys: [" + key("k1", 'a') + "]}"));
    }
    std::string seen;  // in the log and in the file, at each step
    {
      auto store = storage::open_sqlite_store(env, options);
      REQUIRE(store);
      for (const char* value : {"crown-jewels-1", "crown-jewels-2"}) {
        REQUIRE((*store)->txn({{}, {storage::Op::put(kSecret, bytes(value))}, {}}));
        seen += all_files(data);
      }
      REQUIRE((*store)->txn({{}, {storage::Op::erase(kSecret)}, {}}));
      seen += all_files(data);
      REQUIRE((*store)->compact((*store)->revision()));
      seen += all_files(data);
      (*store)->stop();
    }
    seen += all_files(data);
    INFO("sealed: " << sealed);
    CHECK(seen.find("/registry/core/secrets/default/a") != std::string::npos);
    CHECK((seen.find("crown-jewels") == std::string::npos) == sealed);
  }
}

TEST_CASE("configurations with mistakes name the field", "[maintenance]") {
  const auto refused = [](const std::string& text) {
    auto parsed = EncryptionConfig::parse(text);
    return parsed ? std::string("accepted") : parsed.error();
  };
  CHECK(refused("kind: Pod").find("kind") != std::string::npos);
  CHECK(refused("kind: EncryptionConfiguration").find("resources") != std::string::npos);
  CHECK(refused(config("aesgcm: {keys: []}")).find("providers[0].aesgcm.keys") !=
        std::string::npos);
  CHECK(refused(config("aesgcm: {keys: [{name: a, secret: YQ==}]}")).find("16, 24 or 32") !=
        std::string::npos);
  CHECK(refused(config("secretbox: {}")) ==
        "resources[0].providers[0].secretbox: not supported (its cipher, XSalsa20, is not in "
        "OpenSSL); use aesgcm");
  CHECK(refused(config("kms: {name: k, endpoint: unix:///x}")) ==
        "resources[0].providers[0].kms: not supported, keys are kept in this file; use aesgcm");
  CHECK(refused(config("rot13: {}")).find("providers[0]: provider \"rot13\" is not one of") !=
        std::string::npos);
  CHECK(refused(config("")).find("provider") != std::string::npos);
  CHECK(refused("[") != "accepted");
  CHECK(refused("") != "accepted");
}

TEST_CASE("keys are made, rotated, switched off", "[maintenance]") {
  Folder folder;
  const std::string own = folder / "cred/own.json";
  auto store = [] {
    static auto executor = ThreadPoolExecutor::create(1);
    static Env env{system_clock(), *executor, system_random(), no_faults()};
    return storage::make_memory_store(env);
  }();
  CHECK(!(*Encryption::load(own, "", false))->status(*store).get("enabled").boolean());
  CHECK(!file_exists(own));
  const auto made = Encryption::load(own, "", true).value();
  CHECK(fs::status(own).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  const auto first = made->to_disk(kSecret, bytes("x")).value();
  const WallTime now = system_clock().now();
  REQUIRE(made->act("rotate", *store, now));
  REQUIRE(made->act("rotate", *store, now));
  const auto third = made->to_disk(kSecret, bytes("x")).value();
  CHECK(made->status(*store).get("keys").size() == 1);
  CHECK(!made->from_disk(kSecret, first));  // nothing in the store was under it any more
  REQUIRE(made->act("disable", *store, now));
  CHECK(*made->to_disk(kSecret, bytes("x")).value() == "x");
  CHECK(made->from_disk(kSecret, third)->stale);
  CHECK(!made->act("rotate", *store, now));
  REQUIRE(made->act("enable", *store, now));
  CHECK(!made->act("destroy", *store, now));
  // The same after a restart.
  const auto again = Encryption::load(own, "", false).value();
  CHECK(*again->from_disk(kSecret, made->to_disk(kSecret, bytes("z")).value())->value == "z");
  std::ofstream(own) << "{";
  CHECK(!Encryption::load(own, "", false));
}

TEST_CASE("an etcd of another Kubernetes becomes ours", "[maintenance]") {
  api::corev1::ConfigMap map;
  map.metadata.name = "a";
  map.metadata.namespace_ = "ns";
  map.data["k"] = "v";
  std::string raw;
  api::encode_protobuf(api::corev1::ConfigMap::type_info(), &map, raw);
  storage::SnapshotContent foreign;
  foreign.revision = 90;
  const auto add = [&](const std::string& at, std::string value, int64_t revision) {
    storage::SnapshotEntry entry;
    entry.kv.key = bytes(at);
    entry.kv.value = bytes(std::move(value));
    entry.kv.create_revision = entry.kv.mod_revision = revision;
    entry.kv.version = 1;
    foreign.entries.push_back(std::move(entry));
  };
  add("/registry/configmaps/ns/a", api::wrap_protobuf("v1", "ConfigMap", raw), 5);
  add("/registry/deployments/ns/d",
      R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d","namespace":"ns"}})",
      6);
  add("/registry/things.example.com/x",
      R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"x"}})", 7);
  add("compact_rev_key", "88", 8);
  add("/registry/configmaps/ns/b", api::wrap_protobuf("v1", "ConfigMap", "\x0a\xff"), 9);
  const auto imported = import_kubernetes(foreign, nullptr).value();
  CHECK(imported.objects == 2);
  CHECK(imported.left_out.size() == 3);
  REQUIRE(imported.content.entries.size() == 2);
  const auto& entry = imported.content.entries[0];
  CHECK(*entry.kv.key == "/registry/core/configmaps/ns/a");
  CHECK(entry.kv.mod_revision == 5);
  const Stored stored(entry.kv.value, 5);
  REQUIRE(stored.well_formed());
  const auto back = api::from_json<api::corev1::ConfigMap>(stored.json());
  REQUIRE(back);
  CHECK(back->data.at("k") == "v");
  CHECK(back->metadata.resourceVersion == "5");
  CHECK(*imported.content.entries[1].kv.key == "/registry/apps/deployments/ns/d");
  CHECK(imported.content.revision == 90);
}

TEST_CASE("snapshots have names and are pruned by them", "[maintenance]") {
  CHECK(snapshot_name_of("nightly-20261122T223001Z.db.zst") == "nightly");
  CHECK(snapshot_name_of("a-b-20261122T223001Z-2.db") == "a-b");
  CHECK(snapshot_name_of("a-b.db") == "");
  CHECK(snapshot_name_of("x-20261122T223001Z.txt") == "");
  Folder folder;
  for (int i = 1; i < 6; ++i) {
    for (const char* name : {"a", "a-b"}) {
      std::ofstream(folder /
                    (name + std::string("-2026112") + std::to_string(i) + "T000000Z.db.zst"))
          << "x";
    }
  }
  const std::string directory = folder / "";
  REQUIRE(prune_snapshots_in(directory, "a", 2)->size() == 3);
  const auto left = list_snapshots_in(directory).value();
  CHECK(left.size() == 7);
  CHECK(file_exists(folder / "a-20261125T000000Z.db.zst"));
  CHECK(!file_exists(folder / "a-20261123T000000Z.db.zst"));
  CHECK(list_snapshots_in(folder / "none")->empty());
}

TEST_CASE("the server's own files come back from a snapshot", "[maintenance]") {
  Folder from, to;
  fs::create_directories(from / "tls/etcd");
  std::ofstream(from / "tls/ca.key") << "key";
  std::ofstream(from / "tls/etcd/ca.crt") << "crt";
  std::ofstream(from / "token") << "token";
  std::ofstream(from / "other") << "other";
  std::map<std::string, std::string> items;
  REQUIRE(add_identity(from / "", items));
  CHECK(items.size() == 3);
  fs::create_directories(to / "");
  std::ofstream(to / "token") << "mine";
  Restored restored;
  REQUIRE(restore_identity(items, to / "", restored));
  CHECK(read_file(to / "tls/etcd/ca.crt").value() == "crt");
  CHECK(read_file(to / "token").value() == "mine");
  CHECK(restored.kept == std::vector<std::string>{"token"});
  items["file:tls/../../evil"] = "x";
  CHECK(!restore_identity(items, to / "", restored));
}

}  // namespace
}  // namespace orch::server
