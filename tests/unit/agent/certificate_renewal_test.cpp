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
              .renew = [this](const Identity&) -> Result<Identity, std::string> {
                ++asked;
                if (server_away) return Err(std::string("connection refused"));
                return issue();
              },
              .on_disk = [this](const Identity&) { return on_disk; },
              .use =
                  [this](const Identity&) {
                    ++used;
                    on_disk = true;
                  },
              .events = events});
    renewal->start();
  }
  ~Renewing() {
    renewal->stop();
    renewal.reset();
    executor->run_until_idle();
  }
  Identity issue() {
    Identity identity;
    identity.node_name = "n1";
    const net::CertificateRequest request{.common_name = "system:node:n1",
                                          .organizations = {"system:nodes"},
                                          .dns_names = {},
                                          .ip_addresses = {},
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

}  // namespace
}  // namespace orch::agent
