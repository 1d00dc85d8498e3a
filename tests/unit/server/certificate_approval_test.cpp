// CertificateSigningRequests through the API: who asks, approval, status, rights on signers; and
// ComponentStatuses.
#include <catch2/catch.hpp>

#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kRequests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

std::string request(const std::string& name, std::vector<std::string> organizations = {}) {
  net::CsrInfo info;
  info.common_name = "someone";
  info.organizations = std::move(organizations);
  const auto csr = net::make_csr(info);
  REQUIRE(csr);
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"request":")" +
         base64_encode(csr->csr_pem) +
         R"(","signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"],)"
         R"("username":"forged","groups":["system:masters"]}})";
}

std::string with_condition(const char* type) {
  return std::string(R"({"status":{"conditions":[{"type":")") + type +
         R"(","status":"True","reason":"r"}]}})";
}

Answer merge(ApiFixture& api, const std::string& url, const std::string& patch) {
  return api.patch(url, "application/merge-patch+json", patch);
}

class Signers final : public Authorizer {
 public:
  Authorization authorize(const Attributes& a) override {
    if (a.resource != "signers") return {Decision::kAllow, "", ""};
    asked.push_back(a.verb + " " + a.name);
    return {a.name == allowed ? Decision::kAllow : Decision::kNoOpinion, "", ""};
  }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override { return {}; }
  std::string allowed;
  std::vector<std::string> asked;
};

}  // namespace

TEST_CASE("a certificate request names who asks, and cannot be changed") {
  ApiFixture api;
  const auto made = api.post(kRequests, request("Any_Name"));
  REQUIRE(made.status == 201);
  CHECK(made.at("spec.username") != "forged");
  CHECK(made.body.find("forged") == std::string::npos);
  const std::string url = std::string(kRequests) + "/Any_Name";
  const auto patched = merge(api, url, R"({"spec":{"signerName":"a.b/c"}})");
  CHECK(patched.status == 200);
  CHECK(patched.at("spec.signerName") == "kubernetes.io/kube-apiserver-client");
  const auto listed = api.get(std::string(kRequests) +
                              "?fieldSelector=spec.signerName%3Dkubernetes.io/kubelet-serving");
  CHECK(listed.body.find("Any_Name") == std::string::npos);
}

TEST_CASE("bad certificate requests are refused") {
  ApiFixture api;
  auto bad = request("bad");
  const size_t at = bad.find("signerName") - 60;
  bad[at] = bad[at] == 'A' ? 'B' : 'A';
  const auto broken = api.post(kRequests, bad);
  CHECK(broken.status == 422);
  CHECK(broken.at("message").find("spec.request: Invalid value") != std::string::npos);
  const auto masters = api.post(kRequests, request("m", {"system:masters"}));
  CHECK(masters.status == 403);
  CHECK(masters.at("message").find("system:masters group is not allowed") != std::string::npos);
}

TEST_CASE("certificate requests are approved and signed through their subresources") {
  ApiFixture api;
  REQUIRE(api.post(kRequests, request("c")).status == 201);
  const std::string url = std::string(kRequests) + "/c";

  CHECK(merge(api, url + "/status", with_condition("Approved")).status == 422);
  const auto main = merge(api, url, with_condition("Approved"));
  CHECK(main.body.find("Approved") == std::string::npos);

  const auto approved = merge(api, url + "/approval", with_condition("Approved"));
  CHECK(approved.status == 200);
  CHECK(approved.body.find("lastTransitionTime") != std::string::npos);
  CHECK(merge(api, url + "/approval", R"({"status":{"conditions":[]}})").status == 422);
  const auto smuggled = merge(api, url + "/approval", R"({"status":{"certificate":"eA=="}})");
  CHECK(smuggled.status == 200);
  CHECK(smuggled.at("status.certificate") == "");

  CHECK(merge(api, url + "/status", R"({"status":{"certificate":"eA=="}})").status == 422);
  const std::string pem = base64_encode("-----BEGIN CERTIFICATE-----\n");
  const auto issued = merge(api, url + "/status", R"({"status":{"certificate":")" + pem + "\"}}");
  CHECK(issued.status == 200);
  CHECK(issued.at("status.certificate") == pem);
  const auto again = merge(
      api, url + "/status",
      R"({"status":{"certificate":")" + base64_encode("-----BEGIN CERTIFICATE-----") + "\"}}");
  CHECK(again.status == 422);
  CHECK(again.at("message").find("updates may not modify existing certificate content") !=
        std::string::npos);
}

TEST_CASE("deciding takes a right on the signer") {
  Signers signers;
  Hooks hooks;
  hooks.authorizer = &signers;
  ApiFixture api(hooks);
  REQUIRE(api.post(kRequests, request("c")).status == 201);
  const std::string url = std::string(kRequests) + "/c";
  const auto refused = merge(api, url + "/approval", with_condition("Approved"));
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        R"(certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted )"
        R"(to approve requests with signerName "kubernetes.io/kube-apiserver-client")");
  CHECK(signers.asked == std::vector<std::string>{"approve kubernetes.io/kube-apiserver-client",
                                                  "approve kubernetes.io/*"});
  CHECK(merge(api, url + "/status", with_condition("Failed")).status == 403);
  signers.allowed = "kubernetes.io/*";
  CHECK(merge(api, url + "/approval", with_condition("Approved")).status == 200);
  CHECK(merge(api, url + "/status", with_condition("Failed")).status == 422);
}

TEST_CASE("component statuses can be read") {
  ApiFixture api;
  const auto list = api.get("/api/v1/componentstatuses");
  CHECK(list.status == 200);
  CHECK(list.at("kind") == "ComponentStatusList");
  CHECK(list.at("metadata") == "{}");
  for (const char* name : {"controller-manager", "scheduler", "etcd-0"}) {
    const auto one = api.get(std::string("/api/v1/componentstatuses/") + name);
    CHECK(one.status == 200);
    CHECK(one.at("metadata.name") == name);
    CHECK(one.body.find(R"("type":"Healthy","status":"True")") != std::string::npos);
    CHECK(list.body.find(name) != std::string::npos);
  }
  CHECK(list.header("Warning").find("v1 ComponentStatus is deprecated in v1.19+") !=
        std::string::npos);
  CHECK(api.get("/api/v1/componentstatuses/kubelet").status == 404);
  CHECK(api.post("/api/v1/componentstatuses", R"({"metadata":{"name":"x"}})").status == 405);
  const auto table = api.send("GET", "/api/v1/componentstatuses", "",
                              {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  CHECK(table.body.find(R"("etcd-0","Healthy","ok","")") != std::string::npos);
}

}  // namespace orch::server::test
