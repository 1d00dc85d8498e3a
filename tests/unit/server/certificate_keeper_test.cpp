#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "orch/base/executor.h"
#include "orch/base/file.h"
#include "orch/base/metrics.h"
#include "orch/client/join.h"
#include "orch/server/identity_files.h"
#include "server/pki/certificate_keeper.h"
#include "server/pki/join_token.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

struct Recorder final : client::EventRecorder {
  void record(const client::EventSubject& subject, std::string_view, std::string_view reason,
              std::string_view) override {
    all.push_back(subject.name + ": " + std::string(reason));
  }
  int count(const std::string& text) const {
    return static_cast<int>(std::count(all.begin(), all.end(), text));
  }
  std::vector<std::string> all;
};

// A data directory and a keeper over it, in virtual time.
struct Kept {
  explicit Kept(Seconds life = kLeafValid) {
    char name[] = "/tmp/orch-keeper-XXXXXX";
    data = mkdtemp(name);
    options = {.directory = data + "/server/tls",
               .server_dns_names = {"localhost"},
               .server_ips = {"127.0.0.1"},
               .now = clock.now(),
               .leaf_valid = life};
    start();
  }
  ~Kept() {
    keeper->stop();
    keeper.reset();
    executor->run_until_idle();
    fs::remove_all(data);
  }
  void start() {
    options.now = clock.now();
    auto loaded = Pki::load_or_create(options);
    if (!loaded) FAIL(loaded.error());
    pki = *loaded;
    CertificateKeeper::Deps deps;
    deps.pki = pki;
    deps.options = options;
    deps.addresses = [this] { return addresses; };
    deps.on_serving = [this](const net::KeyPair& pair) { serving.push_back(pair); };
    deps.on_admin = [this](const net::KeyPair& pair) { admin.push_back(pair); };
    deps.on_kubelet_client = [this](const net::KeyPair& pair) { kubelet.push_back(pair); };
    deps.on_auth_proxy = [this](const net::KeyPair& pair) { auth_proxy.push_back(pair); };
    deps.on_etcd = [this](const net::KeyPair& pair) { etcd.push_back(pair); };
    deps.events = &events;
    deps.subject.name = "n1";
    keeper = CertificateKeeper::create(env, std::move(deps));
    keeper->start();
    executor->run_until_idle();
  }
  std::string file(const std::string& name) const { return options.directory + "/" + name; }

  ManualClock clock{WallTime{Seconds{1'700'000'000}}};
  std::unique_ptr<ManualExecutor> executor = ManualExecutor::create(clock);
  std::unique_ptr<Random> random = seeded_random(7);
  Env env{clock, *executor, *random, no_faults()};
  std::string data;
  PkiOptions options;
  Pki pki;
  Recorder events;
  std::vector<std::string> addresses;
  std::vector<net::KeyPair> serving, admin, kubelet, auth_proxy, etcd;
  std::shared_ptr<CertificateKeeper> keeper;
};

TEST_CASE("certificates: renewed at two thirds of their life, in the running process") {
  constexpr Seconds kDay{24 * 3600};
  Kept kept(kDay);
  kept.executor->advance(kDay * 6 / 10);
  CHECK(kept.serving.empty());
  kept.executor->advance(kDay / 10);
  REQUIRE(kept.serving.size() == 1);
  CHECK(kept.admin.size() == 1);
  CHECK(kept.kubelet.size() == 1);
  CHECK(kept.etcd.size() == 1);
  REQUIRE(kept.auth_proxy.size() == 1);
  CHECK(net::verify_chain(kept.pki.request_header_ca.certificate_pem,
                          kept.auth_proxy[0].certificate_pem, kept.clock.now()));
  CHECK_FALSE(net::verify_chain(kept.pki.client_ca.certificate_pem,
                                kept.auth_proxy[0].certificate_pem, kept.clock.now()));
  CHECK(net::verify_chain(kept.pki.server_ca.certificate_pem, kept.serving[0].certificate_pem,
                          kept.clock.now()));
  CHECK(*read_file(kept.file("client-admin.crt")) == kept.admin[0].certificate_pem);
  CHECK(kept.events.count("n1: CertificateRenewed") == 4);
  // And again, for years; nobody is ever served an expired one.
  kept.executor->advance(kDay * 2);
  CHECK(kept.serving.size() == 4);
  const auto info = net::parse_certificate(kept.serving.back().certificate_pem);
  CHECK(info->not_after > kept.clock.now());
}

TEST_CASE("certificates: a short life is no reason to renew all the time") {
  Kept kept(Seconds{60});
  kept.executor->advance(Seconds{30});
  CHECK(kept.serving.empty());
  kept.executor->advance(Seconds{90});
  CHECK(kept.serving.size() >= 2);
  CHECK(kept.serving.size() <= 4);
}

TEST_CASE("certificates: a new address of the machine, and leaves taken away, are seen soon") {
  Kept kept;
  kept.executor->advance(Seconds{60});
  CHECK(kept.serving.empty());
  kept.addresses = {"192.0.2.7"};
  kept.executor->advance(Seconds{11});
  REQUIRE(kept.serving.size() == 1);
  CHECK(kept.admin.empty());
  const auto info = net::parse_certificate(kept.serving[0].certificate_pem);
  CHECK(std::find(info->ip_addresses.begin(), info->ip_addresses.end(), "192.0.2.7") !=
        info->ip_addresses.end());

  auto rotated = rotate_certificates(kept.data, {"client-admin"});
  REQUIRE(rotated);
  kept.executor->advance(Seconds{11});
  CHECK(kept.admin.size() == 1);
  CHECK(kept.serving.size() == 1);
  rotated = rotate_certificates(kept.data, {});
  REQUIRE(rotated);
  CHECK(rotated->size() == 6);
  kept.executor->advance(Seconds{11});
  CHECK(kept.serving.size() == 2);
  CHECK(kept.etcd.size() == 2);
  CHECK_FALSE(rotate_certificates(kept.data, {"server-ca"}));
  CHECK_FALSE(rotate_certificates(kept.data + "/nothing", {}));
}

TEST_CASE("certificates: what cannot be renewed is told, and tried again") {
  Kept kept;
  fs::remove_all(kept.options.directory);
  std::ofstream(kept.options.directory) << "a file in the way";
  kept.executor->advance(Seconds{11});
  CHECK(kept.events.count("n1: CertificateRenewalFailed") >= 1);
  CHECK(kept.events.count("n1: CertificateRenewalFailed") < 5);
  fs::remove(kept.options.directory);
  fs::create_directories(kept.options.directory);
  kept.executor->advance(Seconds{70});
  CHECK(kept.serving.size() == 1);
}

TEST_CASE("certificates: expiry is in the metrics; a CA's end is told a year before, once a day") {
  Kept kept;
  CHECK(metrics::render().find(
            "orch_certificate_expiration_seconds{name=\"serving-kube-apiserver\"} ") !=
        std::string::npos);
  CHECK(metrics::render().find("orch_certificate_expiration_seconds{name=\"client-ca\"} ") !=
        std::string::npos);
  CHECK(kept.events.count("n1: CertificateExpiring") == 0);
  kept.keeper->stop();
  kept.clock.advance(Seconds{int64_t{9} * 365 * 24 * 3600 + 24 * 3600});
  kept.start();
  CHECK(kept.events.count("n1: CertificateExpiring") == 3);  // of each
  kept.executor->advance(Seconds{7200});
  CHECK(kept.events.count("n1: CertificateExpiring") == 3);
  kept.executor->advance(Seconds{26 * 3600});
  CHECK(kept.events.count("n1: CertificateExpiring") >= 4);
}

TEST_CASE("certificates: listed with subject, expiry and status") {
  Kept kept;
  auto rows = list_certificates(kept.data, kept.clock.now());
  REQUIRE(rows);
  REQUIRE(rows->size() == 10);
  CHECK((*rows)[0].name == "server-ca");
  CHECK((*rows)[4].subject == "O=system:masters, CN=system:admin");
  CHECK((*rows)[4].expires == "2024-11-13T22:13:20Z");
  for (const auto& row : *rows) CHECK(row.status == "ok");
  rows = list_certificates(kept.data, kept.clock.now() + kLeafValid * 3 / 4);
  CHECK((*rows)[4].status == "renewal due");
  CHECK((*rows)[4].good);
  rows = list_certificates(kept.data, kept.clock.now() + kLeafValid * 2);
  CHECK((*rows)[4].status == "expired");
  CHECK_FALSE((*rows)[4].good);
  CHECK((*rows)[0].status == "ok");
  CHECK_FALSE(list_certificates("/nonexistent", kept.clock.now()));
}

TEST_CASE("certificates: after new authorities, who trusted the old ones still does") {
  Kept kept;
  const WallTime now = kept.clock.now();
  const std::string old_root = kept.pki.server_ca.certificate_pem;
  const std::string old_client_root = kept.pki.client_ca.certificate_pem;
  const std::string old_admin = kept.pki.admin.certificate_pem;
  const std::string old_proxy = kept.pki.auth_proxy.certificate_pem;
  const client::JoinToken old_token{ca_hash(old_root), "server", "s"};
  for (int round = 0; round < 2; ++round) {
    const std::string last_root = kept.pki.server_ca.certificate_pem;
    kept.keeper->stop();
    auto rotated = rotate_authorities(kept.data, kept.clock.now());
    if (!rotated) FAIL(rotated.error());
    kept.start();
    INFO("round " << round);
    CHECK(kept.pki.server_ca.certificate_pem != last_root);
    // Kubeconfigs and agents of before verify the new serving certificate with its chain.
    CHECK(net::verify_chain(old_root, kept.pki.serving.certificate_pem, now));
    CHECK(net::verify_chain(last_root, kept.pki.serving.certificate_pem, now));
    CHECK(net::verify_chain(kept.pki.server_ca.certificate_pem, kept.pki.serving.certificate_pem,
                            now));
    // Agents verify the API server's new client certificate, the server old client certificates.
    CHECK(net::verify_chain(old_client_root, kept.pki.kubelet_client.certificate_pem, now));
    CHECK(net::verify_chain(kept.pki.client_ca.certificate_pem, old_admin, now));
    CHECK(kept.pki.admin.certificate_pem != old_admin);
    CHECK(net::verify_chain(kept.pki.request_header_ca.certificate_pem, old_proxy, now));
    CHECK(kept.pki.auth_proxy.certificate_pem != old_proxy);
    // The new one alone does not vouch for the old leaves' CA.
    const auto fresh = net::pem_certificates(kept.pki.client_ca.certificate_pem);
    CHECK_FALSE(net::verify_chain(fresh.front(), old_admin, now));
    // A token of before is still good: it lets one trust the old root and nothing else.
    auto trusted =
        client::trusted_ca("https://s", kept.pki.server_ca.certificate_pem, old_token, now);
    REQUIRE(trusted);
    CHECK(*trusted == old_root);
  }
}

TEST_CASE("tokens: trust only what the hash is of, and say when a clock is wrong") {
  const WallTime now{Seconds{1'700'000'000}};
  const auto real = *net::make_ca("real", now, Seconds{3600 * 24});
  const auto evil = *net::make_ca("evil", now, Seconds{3600 * 24});
  const client::JoinToken token{ca_hash(real.certificate_pem), "server", "s"};
  auto trusted =
      client::trusted_ca("https://s", evil.certificate_pem + real.certificate_pem, token, now);
  REQUIRE(trusted);
  CHECK(*trusted == real.certificate_pem);
  auto refused = client::trusted_ca("https://s", evil.certificate_pem, token, now);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().permanent);
  CHECK(refused.error().message.find("not the server that the token is of") != std::string::npos);
  refused = client::trusted_ca("https://s", real.certificate_pem, token, now - Seconds{3600 * 48});
  REQUIRE_FALSE(refused);
  CHECK_FALSE(refused.error().permanent);
  CHECK(refused.error().message ==
        "the CA of https://s is not valid before 2023-11-14T22:08:20Z, and this machine's clock "
        "says 2023-11-12T22:13:20Z: check the clocks of both machines");
  refused = client::trusted_ca("https://s", real.certificate_pem, token, now + Seconds{3600 * 48});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("expired on") != std::string::npos);
  CHECK_FALSE(client::trusted_ca("https://s", "nothing", token, now));
}

std::string evil_root(WallTime now) {
  return net::make_ca("another root", now - Seconds{3600}, Seconds{3600 * 24})->certificate_pem;
}

TEST_CASE("CAs of one's own: an intermediate with its root is taken, mistakes are named") {
  Kept kept;
  const WallTime now = kept.clock.now();
  const auto root = *net::make_ca("company root", now - Seconds{3600}, Seconds{3600 * 24 * 1000});
  const auto inner = *net::make_ca("company orch", now - Seconds{3600}, Seconds{3600 * 24 * 900});
  const std::string crossed = *net::cross_sign(root, inner.certificate_pem, now - Seconds{3600},
                                               now + Seconds{3600 * 24 * 900});
  const auto place = [&](const std::string& certificate, const std::string& key) {
    REQUIRE(write_file_atomic(kept.file("server-ca.crt"), certificate, 0644));
    REQUIRE(write_file_atomic(kept.file("server-ca.key"), key, 0600));
    kept.options.now = now;
    return Pki::load_or_create(kept.options);
  };
  auto loaded = place(crossed + root.certificate_pem, inner.private_key_pem);
  if (!loaded) FAIL(loaded.error());
  // Who trusts the root alone verifies the API: the intermediate is sent along.
  CHECK(net::verify_chain(root.certificate_pem, loaded->serving.certificate_pem, now));
  const auto error = [&](const std::string& certificate, const std::string& key) {
    auto refused = place(certificate, key);
    REQUIRE_FALSE(refused);
    return refused.error();
  };
  CHECK(error(crossed, inner.private_key_pem).find("append its issuers") != std::string::npos);
  CHECK(error(crossed + evil_root(now), inner.private_key_pem)
            .find("is not signed by the certificates that follow it") != std::string::npos);
  CHECK(error(kept.pki.serving.certificate_pem, kept.pki.serving.private_key_pem)
            .find("is not a CA") != std::string::npos);
  CHECK(error(root.certificate_pem, inner.private_key_pem).find("server-ca.key") !=
        std::string::npos);
  const auto old = *net::make_ca("old", now - Seconds{3600 * 24}, Seconds{3600});
  CHECK(error(old.certificate_pem, old.private_key_pem).find("the CA expired on") !=
        std::string::npos);
  const auto future = *net::make_ca("future", now + Seconds{3600 * 24}, Seconds{3600});
  CHECK(error(future.certificate_pem, future.private_key_pem).find("clock") != std::string::npos);
}

TEST_CASE("static token: rotated in its file") {
  Kept kept;
  auto random = seeded_random(3);
  REQUIRE(load_or_create_token(kept.data + "/server/token", "", kept.pki.server_ca.certificate_pem,
                               *random));
  const std::string before = *read_file(kept.data + "/server/token");
  auto rotated = rotate_token(kept.env, kept.data, "");
  REQUIRE(rotated);
  CHECK(*read_file(kept.data + "/server/token") == *rotated + "\n");
  CHECK(before != *rotated + "\n");
  CHECK(rotate_token(kept.env, kept.data, "mine")->ends_with("::server:mine"));
  CHECK_FALSE(rotate_token(kept.env, kept.data, "K10nonsense"));
  CHECK_FALSE(rotate_token(kept.env, "/nonexistent", ""));
}

}  // namespace
}  // namespace orch::server
