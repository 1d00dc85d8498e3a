#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "orch/base/file.h"
#include "server/pki/join_token.h"
#include "server/pki/pki.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

struct Directory {
  std::string path;
  Directory() {
    char name[] = "/tmp/orch-pki-XXXXXX";
    path = mkdtemp(name);
  }
  ~Directory() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name), std::ios::trunc) << text;
  }
  std::string read(const std::string& name) const { return *read_file(file(name)); }
};

const WallTime kNow{Seconds{1'700'000'000}};

Result<Pki, std::string> load(const Directory& directory, WallTime now = kNow,
                              std::vector<std::string> names = {"localhost"}) {
  return Pki::load_or_create({.directory = directory.path,
                              .server_dns_names = std::move(names),
                              .server_ips = {"127.0.0.1"},
                              .now = now});
}

TEST_CASE("PKI: made once, then read; keys are private; leaves chain to their CAs") {
  Directory d;
  auto first = load(d);
  REQUIRE(first);
  CHECK(net::verify_chain(first->server_ca.certificate_pem, first->serving.certificate_pem, kNow));
  CHECK(net::verify_chain(first->client_ca.certificate_pem, first->admin.certificate_pem, kNow));
  CHECK_FALSE(
      net::verify_chain(first->server_ca.certificate_pem, first->admin.certificate_pem, kNow));
  auto admin = net::parse_certificate(first->admin.certificate_pem);
  CHECK(admin->common_name == "system:admin");
  CHECK(admin->organizations == std::vector<std::string>{"system:masters"});
  CHECK(admin->client_auth);
  auto serving = net::parse_certificate(first->serving.certificate_pem);
  CHECK(serving->dns_names == std::vector<std::string>{"localhost"});
  CHECK(serving->ip_addresses == std::vector<std::string>{"127.0.0.1"});
  for (const auto& entry : fs::directory_iterator(d.path)) {
    if (entry.path().extension() != ".key") continue;
    INFO(entry.path());
    CHECK((fs::status(entry).permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
          fs::perms::none);
  }
  auto second = load(d);
  REQUIRE(second);
  CHECK(second->server_ca.certificate_pem == first->server_ca.certificate_pem);
  CHECK(second->serving.certificate_pem == first->serving.certificate_pem);
  CHECK(second->admin.private_key_pem == first->admin.private_key_pem);
  CHECK(second->service_account_key_pem == first->service_account_key_pem);
}

TEST_CASE("PKI: new names and old age issue the leaf anew, under the same CA") {
  Directory d;
  const auto first = *load(d);
  const auto renamed = *load(d, kNow, {"localhost", "api.example.com"});
  CHECK(renamed.serving.certificate_pem != first.serving.certificate_pem);
  CHECK(renamed.server_ca.certificate_pem == first.server_ca.certificate_pem);
  CHECK(renamed.admin.certificate_pem == first.admin.certificate_pem);
  // Names that are no longer asked for do no harm.
  CHECK(load(d)->serving.certificate_pem == renamed.serving.certificate_pem);
  const WallTime soon = kNow + kLeafValid / 2, late = kNow + kLeafValid * 3 / 4;
  CHECK(load(d, soon)->admin.certificate_pem == first.admin.certificate_pem);
  const auto renewed = *load(d, late);
  CHECK(renewed.admin.certificate_pem != first.admin.certificate_pem);
  CHECK(net::verify_chain(renewed.client_ca.certificate_pem, renewed.admin.certificate_pem, late));
}

TEST_CASE("PKI: what a power cut leaves behind is repaired where it can be") {
  Directory d;
  const auto first = *load(d);
  d.write("serving-kube-apiserver.crt", "");
  d.write("service.key", "");
  auto again = load(d);
  REQUIRE(again);
  CHECK(again->serving.certificate_pem != first.serving.certificate_pem);
  CHECK(again->service_account_key_pem != first.service_account_key_pem);
  // A new key beside the old certificate.
  d.write("client-admin.key", again->serving.private_key_pem);
  again = load(d);
  REQUIRE(again);
  CHECK(again->admin.certificate_pem != first.admin.certificate_pem);
  CHECK(net::TlsServerContext::create({.key_pair = again->admin, .client_ca_pem = ""}));
}

TEST_CASE("PKI: a CA that is broken is an error that names the file, and nothing is replaced") {
  Directory d;
  const auto first = *load(d);
  d.write("server-ca.key", "");
  auto broken = load(d);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().find(d.file("server-ca.key") + " is missing or empty") != std::string::npos);
  fs::remove(d.file("server-ca.key"));
  CHECK_FALSE(load(d));
  CHECK(d.read("server-ca.crt") == first.server_ca.certificate_pem);

  d.write("server-ca.key", first.client_ca.private_key_pem);  // of another CA
  broken = load(d);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().find(d.file("server-ca.key")) != std::string::npos);
  d.write("server-ca.key", first.server_ca.private_key_pem);
  d.write("client-ca.crt", "garbage");
  broken = load(d);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().find(d.file("client-ca.crt")) != std::string::npos);
  d.write("client-ca.crt", first.client_ca.certificate_pem);
  d.write("service.key", "garbage");
  broken = load(d);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().find(d.file("service.key")) != std::string::npos);
}

TEST_CASE("join token: kept on disk, --token wins, errors name flag or file, never the token") {
  Directory d;
  const std::string path = d.file("token");
  auto random = seeded_random(1);
  auto first = load_or_create_token(path, "", "ca", *random);
  REQUIRE(first);
  CHECK(first->secret.size() == 32);
  CHECK(d.read("token") == first->str() + "\n");
  CHECK(first->str() == "K10" + net::sha256_hex("ca") + "::server:" + first->secret);
  CHECK(load_or_create_token(path, "", "ca", *random)->secret == first->secret);

  auto given = load_or_create_token(path, "my-secret", "ca", *random);
  REQUIRE(given);
  CHECK(given->secret == "my-secret");
  CHECK(load_or_create_token(path, "", "ca", *random)->secret == "my-secret");

  auto bad = load_or_create_token(path, "K10nonsense", "ca", *random);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().starts_with("--token: "));
  CHECK(bad.error().find("nonsense") == std::string::npos);
  d.write("token", "K10zz::a:b\n");
  bad = load_or_create_token(path, "", "ca", *random);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().starts_with(path + ": "));
  d.write("token", "");
  CHECK(load_or_create_token(path, "", "ca", *random)->secret.size() == 32);
}

TEST_CASE("join token: what does not parse") {
  const std::string hash(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("K10"), "K10" + hash, "K10" + hash + "::server",
        "K10" + hash + "::server:", "K10" + hash + ":server:x", std::string("K10zz::server:x")}) {
    INFO(text);
    CHECK_FALSE(client::JoinToken::parse(text));
  }
  auto full = client::JoinToken::parse("K10" + hash + "::node:se:cret");
  REQUIRE(full);
  CHECK(full->ca_hash == hash);
  CHECK(full->user == "node");
  CHECK(full->secret == "se:cret");
  auto bare = client::JoinToken::parse("secret");
  REQUIRE(bare);
  CHECK(bare->ca_hash.empty());
  CHECK(bare->secret == "secret");
}

}  // namespace
}  // namespace orch::server
