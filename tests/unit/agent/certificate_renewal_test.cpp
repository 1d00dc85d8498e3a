#include "agent/node/certificate_renewal.h"

#include <catch2/catch.hpp>

#include "orch/base/executor.h"

namespace orch::agent {
namespace {

struct Recorder final : client::EventRecorder {
  void record(const client::EventSubject&, std::string_view, std::string_view reason,
              std::string_view) override {
    all.emplace_back(reason);
  }
  std::vector<std::string> all;
};

struct Renewing {
  Renewing() {
    renewal = CertificateRenewal::create(
        env, {.identity = issue(),
              .renew = [this](const Identity& old) -> Result<Identity, std::string> {
                ++asked;
                if (server_away) return Err(std::string("connection refused"));
                return issue(old.node_ip);
              },
              .on_disk = [this](const Identity&) { return on_disk; },
              .use =
                  [this](const Identity& identity) {
                    ++used;
                    on_disk = true;
                    used_address = identity.node_ip;
                  },
              .address = [this] { return address; },
              .events = events});
    renewal->start();
  }
  ~Renewing() {
    renewal->stop();
    renewal.reset();
    executor->run_until_idle();
  }
  Identity issue(const std::string& ip = "10.0.0.1") {
    Identity identity;
    identity.node_name = "n1";
    identity.node_ip = ip;
    const net::CertificateRequest request{.common_name = "system:node:n1",
                                          .organizations = {"system:nodes"},
                                          .dns_names = {},
                                          .ip_addresses = {ip},
                                          .client_auth = true,
                                          .not_before = clock.now(),
                                          .not_after = clock.now() + Seconds{3000}};
    identity.client = *net::issue(ca, request);
    identity.serving = *net::issue(ca, request);
    return identity;
  }

  ManualClock clock{WallTime{Seconds{1'700'000'000}}};
  std::unique_ptr<ManualExecutor> executor = ManualExecutor::create(clock);
  std::unique_ptr<Random> random = seeded_random(7);
  Env env{clock, *executor, *random, no_faults()};
  net::KeyPair ca = *net::make_ca("ca", clock.now(), Seconds{1000000});
  Recorder events;
  int asked = 0, used = 0;
  bool server_away = false, on_disk = true;
  std::string address = "10.0.0.1", used_address;
  std::shared_ptr<CertificateRenewal> renewal;
};

TEST_CASE("agent's certificates: renewed at two thirds of their life") {
  Renewing r;
  r.executor->advance(Seconds{1990});
  CHECK(r.asked == 0);
  r.executor->advance(Seconds{30});
  CHECK(r.asked == 1);
  CHECK(r.used == 1);
  CHECK(r.events.all == std::vector<std::string>{"CertificateRenewed"});
  r.executor->advance(Seconds{1900});
  CHECK(r.asked == 1);
}

TEST_CASE("agent's certificates: files taken away are made anew at once") {
  Renewing r;
  r.on_disk = false;
  r.executor->advance(Seconds{11});
  CHECK(r.used == 1);
  r.executor->advance(Seconds{100});
  CHECK(r.used == 1);
}

TEST_CASE("agent's certificates: with the server away, tried again, told once") {
  Renewing r;
  r.server_away = true;
  r.executor->advance(Seconds{2010 + 300});
  CHECK(r.asked >= 9);
  CHECK(r.asked <= 12);
  CHECK(r.used == 0);
  CHECK(r.events.all == std::vector<std::string>{"CertificateRenewalFailed"});
  r.server_away = false;
  r.executor->advance(Seconds{31});
  CHECK(r.used == 1);
}

TEST_CASE("agent's certificates: another address of the node gets new ones by itself") {
  Renewing r;
  r.address = "";  // no route for a moment
  r.executor->advance(Seconds{30});
  CHECK(r.asked == 0);
  r.address = "10.0.0.2";
  r.server_away = true;
  r.executor->advance(Seconds{11});
  CHECK(r.used == 0);
  r.server_away = false;
  r.executor->advance(Seconds{31});
  CHECK(r.used == 1);
  CHECK(r.used_address == "10.0.0.2");
  r.executor->advance(Seconds{100});
  CHECK(r.used == 1);
}

}  // namespace
}  // namespace orch::agent
