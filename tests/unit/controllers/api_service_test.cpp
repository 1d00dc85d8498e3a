#include "orch/api/apiregistrationv1.h"
#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

TEST_CASE("APIService: what a remote one lacks is said") {
  Cluster cluster;
  cluster.must_post("/apis/apiregistration.k8s.io/v1/apiservices",
                    R"({"metadata":{"name":"v1.example.com"},"spec":{"group":"example.com",)"
                    R"("version":"v1","groupPriorityMinimum":100,"versionPriority":10,)"
                    R"("insecureSkipTLSVerify":true,)"
                    R"("service":{"namespace":"default","name":"ext"}}})");
  const auto available = [&] {
    cluster.settle();
    auto found = cluster.client.get<api::apiregistrationv1::APIService>("", "v1.example.com");
    REQUIRE(found);
    REQUIRE(found->status.conditions.size() == 1);
    const auto& condition = found->status.conditions[0];
    return condition.type + " " + condition.status + " " + condition.reason + ": " +
           condition.message;
  };
  CHECK(available() ==
        "Available False ServiceNotFound: service/ext in \"default\" is not present");
  cluster.must_post("/api/v1/namespaces/default/services",
                    R"({"metadata":{"name":"ext"},"spec":{"ports":[{"port":80}]}})");
  CHECK(
      available() ==
      "Available False ServicePortError: service/ext in \"default\" is not listening on port 443");
  cluster.patch("/api/v1/namespaces/default/services/ext", "application/merge-patch+json",
                R"({"spec":{"ports":[{"name":"https","port":443}]}})");
  CHECK(available() ==
        "Available False EndpointsNotFound: cannot find endpoints for service/ext in "
        "\"default\"");
  cluster.must_post(
      "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
      R"({"metadata":{"name":"ext-1","labels":{"kubernetes.io/service-name":"ext"}},)"
      R"("addressType":"IPv4","ports":[{"name":"https","port":443}],"endpoints":[]})");
  CHECK(available() ==
        "Available False MissingEndpoints: endpoints for service/ext in \"default\" "
        "have no addresses with port name \"https\"");
  cluster.patch("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/ext-1",
                "application/merge-patch+json", R"({"endpoints":[{"addresses":["10.1.2.3"]}]})");
  CHECK(available() ==
        "Available False FailedDiscoveryCheck: this server does not forward requests "
        "to other API servers");
  cluster.check_quiet();
}

}  // namespace
}  // namespace orch::server::test
