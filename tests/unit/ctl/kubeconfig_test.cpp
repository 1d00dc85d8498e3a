#include "ctl/kubeconfig.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "orch/base/file.h"

using namespace orch;
using namespace orch::ctl;
namespace fs = std::filesystem;

namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/orch-ctl-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name, std::string_view text) const {
    REQUIRE(write_file_atomic(path + "/" + name, text));
    return path + "/" + name;
  }
};

constexpr char kGood[] = R"(
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: team}}
- {name: two, context: {cluster: c, user: by-file}}
- {name: lost, context: {cluster: nowhere, user: u}}
clusters:
- name: c
  cluster: {server: "https://host:6443", certificate-authority-data: Q0E=}
users:
- {name: u, user: {token: secret}}
- {name: by-file, user: {client-certificate: cert.pem, client-key-data: S0VZ}}
)";

Outcome<Connection> connect(const Folder& folder, std::string_view text,
                            const ConnectionOverrides& overrides = {}) {
  ORCH_TRY(const auto config, load_kubeconfig(folder.file("config", text)));
  return connection_of(config, folder.path, overrides);
}

std::string failure(const Folder& folder, std::string_view text,
                    const ConnectionOverrides& overrides = {}) {
  auto connection = connect(folder, text, overrides);
  REQUIRE_FALSE(connection);
  return connection.error().message;
}

}  // namespace

TEST_CASE("the current context decides") {
  Folder folder;
  auto connection = connect(folder, kGood);
  REQUIRE(connection);
  CHECK(connection->server == "https://host:6443");
  CHECK(connection->ca_pem == "CA");
  CHECK(connection->token == "secret");
  CHECK(connection->namespace_ == "team");
}

TEST_CASE("another context, its files relative to the kubeconfig") {
  Folder folder;
  folder.file("cert.pem", "CERT");
  auto connection = connect(folder, kGood, {"two", "", "", false});
  REQUIRE(connection);
  CHECK(connection->certificate_pem == "CERT");
  CHECK(connection->key_pem == "KEY");
  CHECK(connection->namespace_ == "default");
}

TEST_CASE("flags win over the file") {
  Folder folder;
  folder.file("cert.pem", "CERT");
  auto connection = connect(folder, kGood, {"two", "other:1", "tok", true});
  REQUIRE(connection);
  CHECK(connection->server == "https://other:1");
  CHECK(connection->token == "tok");
  CHECK(connection->certificate_pem.empty());
  CHECK(connection->insecure);
  CHECK(connection->ca_pem.empty());
}

TEST_CASE("an empty kubeconfig is kubectl's default server") {
  Folder folder;
  auto connection = connect(folder, "");
  REQUIRE(connection);
  CHECK(connection->server == "http://localhost:8080");
}

TEST_CASE("what a kubeconfig lacks is named") {
  Folder folder;
  CHECK(failure(folder, kGood, {"none", "", "", false}) ==
        "error: context \"none\" does not exist");
  CHECK(failure(folder, kGood, {"lost", "", "", false}) ==
        "error: cluster \"nowhere\" does not exist");
  CHECK(failure(folder, kGood, {"two", "", "", false}).find("cert.pem") != std::string::npos);
  CHECK(failure(folder, "current-context: x\n") == "error: current-context \"x\" does not exist");
}

TEST_CASE("bad kubeconfigs are refused with their name") {
  Folder folder;
  for (const char* text : {"a: [", "just text", "[1, 2]", "kind: Pod\n", "clusters: {a: b}\n",
                           "\tx: 1\n", "contexts: 7\n"}) {
    INFO(text);
    CHECK(failure(folder, text).find("error loading config file \"" + folder.path) == 0 + 7);
  }
  CHECK(failure(folder, R"(
current-context: a
contexts: [{name: a, context: {cluster: c}}]
clusters: [{name: c, cluster: {server: "https://h", certificate-authority-data: "***"}}]
)")
            .find("illegal base64") != std::string::npos);
  CHECK(failure(folder, R"(
current-context: a
contexts: [{name: a, context: {user: u}}]
users: [{name: u, user: {exec: {command: x}}}]
)")
            .find("credential plugin") != std::string::npos);
  auto missing = load_kubeconfig(folder.path + "/none");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("/none: No such file") != std::string::npos);
}
