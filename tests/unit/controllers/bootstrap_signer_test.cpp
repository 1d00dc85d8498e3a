#include "server/controllers/bootstrap_signer.h"

#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

TEST_CASE("bootstrap signer: a detached JWS as kubeadm computes it") {
  // HMAC by another tool: openssl dgst -sha256 -hmac SECRET over "HEADER.CONTENT".
  CHECK(detached_jws("hello", "abcdef", "0123456789abcdef") ==
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..MxsnbCjBaYzcbNIFa06F-wuF9LX26rhMlrL4zA1511s");
}

TEST_CASE("bootstrap signer: cluster-info is signed by every token for signing, and only those") {
  Cluster cluster;
  cluster.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-public"}})");
  cluster.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  const auto token = [&](const std::string& id, const std::string& more) {
    cluster.must_post(
        "/api/v1/namespaces/kube-system/secrets",
        R"({"metadata":{"name":"bootstrap-token-)" + id +
            R"("},"type":"bootstrap.kubernetes.io/token","stringData":{"token-id":")" + id +
            R"(","token-secret":"0123456789abcdef")" + more + "}}");
    cluster.settle();
  };
  const auto signatures = [&] {
    auto info = cluster.client.get<corev1::ConfigMap>("kube-public", "cluster-info");
    REQUIRE(info);
    std::string out;
    for (const auto& [key, value] : info->data) {
      if (key != "kubeconfig") out += key + " ";
    }
    return out;
  };
  cluster.must_post("/api/v1/namespaces/kube-public/configmaps",
                    R"({"metadata":{"name":"cluster-info"},"data":{"kubeconfig":"hello",)"
                    R"("jws-kubeconfig-gone00":"x"}})");
  cluster.settle();
  CHECK(signatures() == "");
  const std::string signing = R"(,"usage-bootstrap-signing":"true")";
  token("abcdef", signing);
  token("fedcba", R"(,"usage-bootstrap-authentication":"true")");
  CHECK(signatures() == "jws-kubeconfig-abcdef ");
  cluster.check_quiet();
  cluster.must_delete("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef");
  CHECK(signatures() == "");
}

}  // namespace
}  // namespace orch::server::test
