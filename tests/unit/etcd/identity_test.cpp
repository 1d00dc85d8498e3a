// The identity that servers share through the datastore: who takes, who puts, rotated authorities
// and tokens, strangers.
#include <thread>

#include "orch/base/file.h"
#include "server/etcd/shared_identity.h"
#include "unit/etcd/fixture.h"

using namespace orch;
using namespace orch::server::etcd;

namespace {

std::shared_ptr<EtcdClient> client_of(const Fixture& f) {
  EtcdClientOptions options;
  options.endpoints = {"unix://" + f.directory() + "/socket"};
  options.call_timeout = Millis(10'000);
  return std::make_shared<EtcdClient>(options);
}
IdentityFiles files_of(const std::string& mark) {
  IdentityFiles files;
  for (const char* name : {"tls/server-ca.crt", "tls/server-ca.key", "tls/client-ca.crt",
                           "tls/client-ca.key", "tls/service.key"}) {
    files[name] = "content of " + std::string(name) + " " + mark + "\n";
  }
  return files;
}
void write(const std::string& directory, const IdentityFiles& files) {
  REQUIRE(make_directories(directory + "/tls", 0700));
  REQUIRE(make_directories(directory + "/cred", 0700));
  for (const auto& [name, content] : files) {
    REQUIRE(write_file_atomic(directory + "/" + name, content, 0600));
  }
}
std::string read(const std::string& directory, const std::string& name) {
  return read_file(directory + "/" + name).value_or("");
}
// What `orch certificate rotate-ca` makes of one: the new, then those before.
IdentityFiles rotated(IdentityFiles files, const std::string& mark) {
  for (const char* name : {"tls/server-ca", "tls/client-ca"}) {
    auto& certificate = files[std::string(name) + ".crt"];
    certificate = "rotated " + mark + "\n" + certificate;
    files[std::string(name) + ".key"] = "key " + mark;
  }
  return files;
}

}  // namespace

TEST_CASE("identity files are shared through the datastore by those who know the token") {
  Fixture f;
  auto client = client_of(f);
  const std::string first = f.directory() + "/a", second = f.directory() + "/b";
  CHECK_FALSE(share_identity(*client, first, {"secret", ""}, false).value());
  write(first, files_of("1"));
  CHECK(share_identity(*client, first, {"secret", ""}, true).value());
  CHECK(share_identity(*client, second, {"secret", ""}, false).value());
  CHECK(read(second, "tls/server-ca.key") == files_of("1")["tls/server-ca.key"]);
  CHECK(share_identity(*client, second, {"secret", ""}, false).value());
  auto wrong = share_identity(*client, f.directory() + "/c", {"other", ""}, false);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().find("not the token") != std::string::npos);
  CHECK_FALSE(share_identity(*client, f.directory() + "/c", {"", ""}, false));
  write(second, {{"tls/service.key", "another"}});
  auto stranger = share_identity(*client, second, {"secret", ""}, false);
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().find("tls/service.key is not the one") != std::string::npos);
  // What lies in the datastore tells nothing.
  RangeRequest range;
  range.key = kIdentityKey;
  CHECK(f.range(range).kvs.at(0).value->find("content of") == std::string::npos);
}

TEST_CASE("servers that start at once end with one identity") {
  Fixture f;
  std::vector<std::thread> servers;
  for (int i = 0; i < 3; ++i) {
    const std::string directory = f.directory() + "/s" + std::to_string(i);
    write(directory, files_of(std::to_string(i)));
    servers.emplace_back([&f, directory] {
      auto client = client_of(f);
      CHECK(share_identity(*client, directory, {"secret", ""}, true).value_or(false));
    });
  }
  for (auto& server : servers) server.join();
  for (const auto& [name, content] : files_of("")) {
    CHECK(read(f.directory() + "/s0", name) == read(f.directory() + "/s1", name));
    CHECK(read(f.directory() + "/s0", name) == read(f.directory() + "/s2", name));
  }
}

TEST_CASE("rotated authorities go to the datastore, and from there to the other servers") {
  Fixture f;
  auto client = client_of(f);
  const std::string a = f.directory() + "/a", b = f.directory() + "/b", c = f.directory() + "/c";
  const IdentitySecrets secrets{"secret", ""};
  for (const auto& directory : {a, b, c}) {
    write(directory, files_of("1"));
    REQUIRE(share_identity(*client, directory, secrets, false).value());
  }
  const auto sealed = [&] {
    RangeRequest range;
    range.key = kIdentityKey;
    return *f.range(range).kvs.at(0).value;
  };
  CHECK(identity_state(sealed(), b, secrets) == IdentityState::kSame);
  // Twice, before the server was started again.
  const IdentityFiles newest = rotated(rotated(files_of("1"), "2"), "3");
  write(a, newest);
  CHECK(identity_state(sealed(), a, secrets) == IdentityState::kOlder);
  REQUIRE(share_identity(*client, a, secrets, false).value());
  CHECK(identity_state(sealed(), b, secrets) == IdentityState::kNewer);
  REQUIRE(share_identity(*client, b, secrets, false).value());
  for (const auto& [name, content] : newest) CHECK(read(b, name) == content);
  CHECK(read(b, "tls/server-ca.key.old") == files_of("1")["tls/server-ca.key"]);
  CHECK(identity_state(sealed(), b, secrets) == IdentityState::kSame);
  // Rotated on another one too, from what was before: refused, nothing changes.
  write(c, rotated(files_of("1"), "x"));
  const auto before = sealed();
  CHECK_FALSE(share_identity(*client, c, secrets, false));
  CHECK(identity_state(sealed(), c, secrets) == IdentityState::kForeign);
  CHECK(sealed() == before);
  CHECK(read(c, "tls/server-ca.key") == "key x");
}

TEST_CASE("a rotated token seals the identity anew") {
  Fixture f;
  auto client = client_of(f);
  const std::string a = f.directory() + "/a", b = f.directory() + "/b";
  write(a, files_of("1"));
  REQUIRE(share_identity(*client, a, {"one", ""}, false).value());
  REQUIRE(share_identity(*client, b, {"one", ""}, false).value());
  const auto state = [&](const IdentitySecrets& secrets) {
    RangeRequest range;
    range.key = kIdentityKey;
    return identity_state(*f.range(range).kvs.at(0).value, b, secrets);
  };
  CHECK(state({"two", "one"}) == IdentityState::kSealedBefore);
  SECTION("while the server runs") { REQUIRE(reseal_identity(*client, {"two", "one"})); }
  SECTION("at its next start") {
    REQUIRE(share_identity(*client, a, {"two", "one"}, false).value());
  }
  CHECK(state({"two", ""}) == IdentityState::kSame);
  CHECK(state({"one", ""}) == IdentityState::kSealedByOther);
  CHECK_FALSE(share_identity(*client, b, {"one", ""}, false));
  CHECK_FALSE(reseal_identity(*client, {"three", "one"}));
  CHECK(share_identity(*client, b, {"two", ""}, false).value());
}

TEST_CASE("an authority for front proxies that comes later is shared as well") {
  Fixture f;
  auto client = client_of(f);
  const std::string a = f.directory() + "/a", b = f.directory() + "/b";
  const std::string certificate = "tls/request-header-ca.crt", key = "tls/request-header-ca.key";
  for (const auto& directory : {a, b}) {
    write(directory, files_of("1"));
    REQUIRE(share_identity(*client, directory, {"secret", ""}, false).value());
    write(directory, {{certificate, "of " + directory}, {key, "key of " + directory}});
    REQUIRE(share_identity(*client, directory, {"secret", ""}, true).value());
  }
  CHECK(read(b, certificate) == "of " + a);
  CHECK(read(b, key) == "key of " + a);
}

TEST_CASE("keys of encryption at rest that come later are shared as well") {
  Fixture f;
  auto client = client_of(f);
  const std::string a = f.directory() + "/a", b = f.directory() + "/b", c = f.directory() + "/c";
  const std::string name = "cred/encryption-config.json";
  for (const auto& directory : {a, b}) {
    write(directory, files_of("1"));
    REQUIRE(share_identity(*client, directory, {"secret", ""}, false).value());
  }
  write(a, {{name, "keys of a"}});
  REQUIRE(share_identity(*client, a, {"secret", ""}, true).value());
  write(b, {{name, "keys of b, made just now"}});
  REQUIRE(share_identity(*client, b, {"secret", ""}, true).value());
  CHECK(read(b, name) == "keys of a");
  REQUIRE(share_identity(*client, c, {"secret", ""}, false).value());
  CHECK(read(c, name) == "keys of a");
}
