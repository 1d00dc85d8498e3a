// Alpha APIs that are served on request: coordinated elections, and the garbage collection of
// LeaseCandidates and StorageVersions.
#include "server/controllers/coordination.h"

#include "orch/api/on_request.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using api::MicroTime;
using api::apiserverinternalv1alpha1::StorageVersion;
using api::coordinationv1::Lease;
using api::coordinationv1alpha2::LeaseCandidate;

// Before anything in this program asks for resources.
const bool kServed = api::serve_api("coordination.k8s.io/v1alpha2") &&
                     api::serve_api("internal.apiserver.k8s.io/v1alpha1");

const WallTime kNow{Seconds{1'700'000'000}};

std::shared_ptr<LeaseCandidate> candidate(const std::string& name, const std::string& emulation,
                                          const std::string& binary = "1.32.0") {
  auto out = std::make_shared<LeaseCandidate>();
  out->metadata.name = name;
  out->metadata.namespace_ = "kube-system";
  out->metadata.creationTimestamp = api::Time(kNow - Seconds{3600});
  out->spec.leaseName = "scheduler";
  out->spec.renewTime = MicroTime(kNow - Seconds{1});
  out->spec.emulationVersion = emulation;
  out->spec.binaryVersion = binary;
  out->spec.strategy = "OldestEmulationVersion";
  return out;
}

Lease held_by(const std::string& holder, Seconds ago) {
  Lease out;
  out.metadata.name = "scheduler";
  out.metadata.namespace_ = "kube-system";
  out.metadata.resourceVersion = "7";
  out.spec.holderIdentity = holder;
  out.spec.leaseDurationSeconds = 5;
  out.spec.renewTime = MicroTime(kNow - ago);
  return out;
}

Election step(const std::vector<CandidatePtr>& candidates, const Lease* lease = nullptr) {
  return plan_election("kube-system", "scheduler", candidates, lease, kNow);
}

std::string winner(const std::vector<CandidatePtr>& candidates) {
  const auto plan = step(candidates);
  return plan.lease ? plan.lease->spec.holderIdentity.value_or("") : "";
}

TEST_CASE("election: the oldest emulation, then the oldest binary, then the oldest candidate") {
  CHECK(winner({candidate("a", "1.32.0"), candidate("b", "1.31.0")}) == "b");
  CHECK(winner({candidate("a", "1.31.0", "1.32.1"), candidate("b", "1.31.0", "1.32.0")}) == "b");
  auto older = candidate("z", "1.31.0");
  older->metadata.creationTimestamp = api::Time(kNow - Seconds{7200});
  CHECK(winner({candidate("a", "1.31.0"), older}) == "z");
  const auto plan = step({candidate("a", "1.31.0")});
  CHECK(plan.lease->metadata.annotations.at("coordination.k8s.io/elected-by") ==
        "leader-election-controller");
  CHECK(plan.lease->spec.strategy == "OldestEmulationVersion");
  CHECK(plan.lease->spec.leaseDurationSeconds == 5);
  CHECK(plan.look_again == Micros(Seconds{5}));
}

TEST_CASE("election: a holder that is the best stays; a better one is to be preferred") {
  const Lease lease = held_by("a", Seconds{1});
  CHECK_FALSE(step({candidate("a", "1.31.0")}, &lease).lease);
  const auto plan = step({candidate("a", "1.32.0"), candidate("b", "1.31.0")}, &lease);
  REQUIRE(plan.lease);
  CHECK(plan.lease->spec.holderIdentity == "a");
  CHECK(plan.lease->spec.preferredHolder == "b");
  CHECK_FALSE(step({candidate("a", "1.32.0"), candidate("b", "1.31.0")}, &*plan.lease).lease);
  // Who does not renew loses it.
  const Lease old = held_by("gone", Seconds{60});
  const auto taken = step({candidate("a", "1.32.0")}, &old);
  REQUIRE(taken.lease);
  CHECK(taken.lease->spec.holderIdentity == "a");
  CHECK(taken.lease->metadata.resourceVersion == "7");
}

TEST_CASE("election: who has been silent is asked first, and left out without an answer") {
  auto silent = candidate("a", "1.30.0");
  silent->spec.renewTime = MicroTime(kNow - Seconds{60});
  auto plan = step({silent, candidate("b", "1.31.0")});
  CHECK_FALSE(plan.lease);
  REQUIRE(plan.candidates.size() == 2);
  CHECK(plan.candidates[0].spec.pingTime->wall() == kNow);
  CHECK(plan.look_again == Micros(Seconds{5}));

  silent->spec.pingTime = MicroTime(kNow - Seconds{2});
  plan = step({silent, candidate("b", "1.31.0")});
  CHECK(plan.candidates.empty());
  CHECK_FALSE(plan.lease);
  CHECK(plan.look_again == Micros(Seconds{3}));

  silent->spec.pingTime = MicroTime(kNow - Seconds{6});
  plan = step({silent, candidate("b", "1.31.0")});
  REQUIRE(plan.candidates.size() == 1);
  CHECK_FALSE(plan.candidates[0].spec.pingTime);
  CHECK(plan.lease->spec.holderIdentity == "b");

  CHECK(step({silent}).error == "no available candidates");
  CHECK_FALSE(step({}).look_again);
}

TEST_CASE("election: strategies that differ, and those that are not known, elect nobody") {
  auto other = candidate("b", "1.31.0");
  other->spec.strategy = "example.com/Lottery";
  CHECK(step({candidate("a", "1.31.0"), other}).error.find("differing strategies") !=
        std::string::npos);
  CHECK_FALSE(step({other}).lease);
  CHECK(step({other}).error.empty());
  // Of two versions the newer binary's is the strategy.
  other->spec.binaryVersion = "1.33.0";
  CHECK_FALSE(step({candidate("a", "1.31.0"), other}).lease);
}

constexpr const char* kCandidates =
    "/apis/coordination.k8s.io/v1alpha2/namespaces/kube-system/leasecandidates";

std::string candidate_json(Cluster& c, const std::string& name, const std::string& emulation) {
  return R"({"apiVersion":"coordination.k8s.io/v1alpha2","kind":"LeaseCandidate","metadata":{"name":")" +
         name +
         R"("},"spec":{"leaseName":"scheduler","binaryVersion":"1.32.0","emulationVersion":")" +
         emulation + R"(","strategy":"OldestEmulationVersion","renewTime":")" +
         MicroTime(c.clock.now()).str() + "\"}}";
}

TEST_CASE("candidates are elected against the API server, and forgotten when they fall silent") {
  REQUIRE(kServed);
  Cluster c;
  c.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  CHECK(c.get("/apis/coordination.k8s.io/v1alpha2").status == 200);
  c.must_post(kCandidates, candidate_json(c, "new", "1.32.0"));
  c.must_post(kCandidates, candidate_json(c, "old", "1.31.0"));
  c.settle();
  auto lease = c.client.get<Lease>("kube-system", "scheduler");
  REQUIRE(lease);
  const std::string holder = lease->spec.holderIdentity.value_or("");
  // The first to come may have been elected before the other was there.
  CHECK((holder == "old" || lease->spec.preferredHolder == "old"));
  c.advance(std::chrono::hours{2});
  CHECK(c.all<LeaseCandidate>("kube-system").empty());
}

TEST_CASE("a candidate that says nonsense is refused by name") {
  Cluster c;
  c.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  const auto refused = [&](const std::string& spec) {
    const auto answer = c.post(
        kCandidates,
        R"({"apiVersion":"coordination.k8s.io/v1alpha2","kind":"LeaseCandidate","metadata":{"name":"x"},"spec":)" +
            spec + "}");
    CHECK(answer.status == 422);
    return answer.at("message");
  };
  CHECK(refused(R"({"binaryVersion":"1.32.0","strategy":"a.b/C"})").find("spec.leaseName") !=
        std::string::npos);
  CHECK(refused(R"({"leaseName":"l","binaryVersion":"one","strategy":"a.b/C"})")
            .find("spec.binaryVersion") != std::string::npos);
  CHECK(refused(R"({"leaseName":"l","binaryVersion":"1.32.0","strategy":"OldestEmulationVersion"})")
            .find("spec.emulationVersion") != std::string::npos);
  CHECK(
      refused(
          R"({"leaseName":"l","binaryVersion":"1.32.0","emulationVersion":"1.33.0","strategy":"OldestEmulationVersion"})")
          .find("spec.binaryVersion") != std::string::npos);
}

std::string identity(const std::string& name) {
  return R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":")" + name +
         R"(","labels":{"apiserver.kubernetes.io/identity":"kube-apiserver"}}})";
}

TEST_CASE("what gone API servers said of storage versions is taken out") {
  REQUIRE(kServed);
  Cluster c;
  c.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
  const std::string versions = "/apis/internal.apiserver.k8s.io/v1alpha1/storageversions";
  for (const char* server : {"one", "two"}) c.must_post(leases, identity(server));
  c.must_post(versions,
              R"({"apiVersion":"internal.apiserver.k8s.io/v1alpha1","kind":"StorageVersion",)"
              R"("metadata":{"name":"apps.deployments"},"spec":{}})");
  const auto said = [](const char* id, const char* version) {
    return std::string(R"({"apiServerID":")") + id + R"(","encodingVersion":")" + version +
           R"(","decodableVersions":["apps/v1","apps/v2"]})";
  };
  const auto answer = c.patch(versions + "/apps.deployments/status", "application/merge-patch+json",
                              R"({"status":{"storageVersions":[)" + said("one", "apps/v1") + "," +
                                  said("two", "apps/v2") + "," + said("never", "apps/v1") + "]}}");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  c.settle();
  auto version = c.client.get<StorageVersion>("", "apps.deployments");
  REQUIRE(version);
  CHECK(version->status.storageVersions.size() == 2);
  CHECK_FALSE(version->status.commonEncodingVersion);
  REQUIRE(version->status.conditions.size() == 1);
  CHECK(version->status.conditions[0].status == "False");
  CHECK(version->status.conditions[0].reason == "CommonEncodingVersionUnset");

  c.must_delete(leases + "/two");
  version = c.client.get<StorageVersion>("", "apps.deployments");
  REQUIRE(version);
  CHECK(version->status.storageVersions.size() == 1);
  CHECK(version->status.commonEncodingVersion == "apps/v1");
  CHECK(version->status.conditions[0].status == "True");
  c.check_quiet();

  c.must_delete(leases + "/one");
  CHECK(c.get(versions + "/apps.deployments").status == 404);
  CHECK(c.post(versions, R"({"apiVersion":"internal.apiserver.k8s.io/v1alpha1","kind":)"
                         R"("StorageVersion","metadata":{"name":"nodots"},"spec":{}})")
            .status == 422);
}

}  // namespace
}  // namespace orch::server
