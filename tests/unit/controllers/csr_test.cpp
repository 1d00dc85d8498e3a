// Certificates, tokens and roles that controllers take care of.
#include "server/controllers/csr.h"

#include "orch/api/rbacv1.h"
#include "server/certificate_signer.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using api::Time;
using api::certificatesv1::CertificateSigningRequest;

CertificateSigningRequest request(const char* signer, std::vector<std::string> usages) {
  CertificateSigningRequest out;
  out.spec.signerName = signer;
  out.spec.usages = std::move(usages);
  return out;
}

TEST_CASE("csr: what the built-in signers sign") {
  CsrSubject node{"system:node:n1", {"system:nodes"}, {}, {}};
  const auto client = request(kKubeletClientSigner, {"digital signature", "client auth"});
  CHECK(signer_refuses(client, node) == "");
  CHECK(signer_refuses(request(kKubeletClientSigner, {"digital signature", "server auth"}), node)
            ->starts_with("usages did not match"));
  CsrSubject named = node;
  named.dns_names = {"n1"};
  CHECK(signer_refuses(client, named) == "DNS subjectAltNames are not allowed");
  CsrSubject stranger = node;
  stranger.common_name = "admin";
  CHECK(signer_refuses(client, stranger) ==
        "subject common name does not begin with system:node: ");
  stranger.organizations = {"system:nodes", "system:masters"};
  CHECK(signer_refuses(client, stranger) == "subject organization is not system:nodes");

  const auto serving =
      request(kKubeletServingSigner, {"digital signature", "key encipherment", "server auth"});
  CHECK(signer_refuses(serving, node) == "DNS or IP subjectAltName is required");
  CHECK(signer_refuses(serving, named) == "");
  CHECK(signer_refuses(request(kClientSigner, {"client auth"}), stranger) == "");
  CHECK(signer_refuses(request(kClientSigner, {"client auth", "server auth"}), stranger) != "");
  CHECK_FALSE(signer_refuses(request("example.com/own", {"client auth"}), node));
}

TEST_CASE("csr: lifetimes") {
  auto asked = request(kClientSigner, {"client auth"});
  CHECK(certificate_lifetime(asked, Seconds{1000}) == Seconds{1000});
  asked.spec.expirationSeconds = 700;
  CHECK(certificate_lifetime(asked, Seconds{1000}) == Seconds{700});
  asked.spec.expirationSeconds = 1;
  CHECK(certificate_lifetime(asked, Seconds{1000}) == Seconds{600});
  asked.spec.expirationSeconds = INT32_MAX;
  CHECK(certificate_lifetime(asked, Seconds{1000}) == Seconds{1000});
}

// Everybody may do everything.
struct Lenient final : Authorizer {
  Authorization authorize(const Attributes&) override { return {Decision::kAllow, "", ""}; }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override { return {}; }
};

TEST_CASE("an agent's request is approved and signed; a bad one fails; all are forgotten in time") {
  Cluster c;
  Lenient authorizer;
  Hooks hooks;
  hooks.authorizer = &authorizer;
  c.server->set_hooks(hooks);
  c.controllers.stop();
  Pki pki;
  pki.client_ca = *net::make_ca("clients", c.clock.now(), Seconds{1'000'000});
  pki.server_ca = *net::make_ca("servers", c.clock.now(), Seconds{1'000'000});
  const CertificateSigner signer(pki);
  Controllers controllers(c.env, c.client, c.informers, *c.events, {.certificates = &signer});
  controllers.start();
  c.settle();
  const std::string path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
  const auto ask = [&](const std::string& name, const char* signer_name, const char* usage,
                       const net::CsrInfo& info) {
    auto wanted = request(signer_name, {"digital signature", usage});
    wanted.metadata.name = name;
    wanted.spec.expirationSeconds = 3600;
    wanted.spec.request = net::make_csr(info)->csr_pem;
    REQUIRE(c.client.create(wanted));  // as somebody with a name
    c.settle();
  };
  ask("node", kKubeletClientSigner, "client auth", {"system:node:n1", {"system:nodes"}, {}, {}});
  auto node = c.client.get<CertificateSigningRequest>("", "node");
  REQUIRE(node);
  REQUIRE(has_csr_condition(*node, "Approved"));
  CHECK(node->status.conditions[0].reason == "AutoApproved");
  const auto issued = net::parse_certificate(node->status.certificate);
  REQUIRE(issued);
  CHECK(issued->common_name == "system:node:n1");
  CHECK(issued->client_auth);
  CHECK_FALSE(issued->server_auth);
  CHECK(issued->not_after <= c.clock.now() + Seconds{3600});
  CHECK(net::verify_chain(pki.client_ca.certificate_pem, node->status.certificate, c.clock.now()));
  CHECK_FALSE(
      net::verify_chain(pki.server_ca.certificate_pem, node->status.certificate, c.clock.now()));

  // Serving certificates are not approved by themselves; what is approved is still checked.
  ask("serving", kKubeletServingSigner, "server auth",
      {"system:node:n1", {"system:nodes"}, {}, {}});
  auto serving = c.client.get<CertificateSigningRequest>("", "serving");
  REQUIRE(serving);
  CHECK(serving->status.conditions.empty());
  auto& condition = serving->status.conditions.emplace_back();
  condition.type = "Approved";
  condition.status = "True";
  condition.reason = "ByHand";
  REQUIRE(c.client.raw().write(api::resource_of<CertificateSigningRequest>(), "update", *serving,
                               "approval"));
  c.settle();
  serving = c.client.get<CertificateSigningRequest>("", "serving");
  CHECK(serving->status.certificate.empty());
  CHECK(has_csr_condition(*serving, "Failed"));
  CHECK(serving->status.conditions.back().message == "DNS or IP subjectAltName is required");
  c.advance(std::chrono::hours{1} + Seconds{2});
  CHECK(c.get(path + "/node").status == 404);
  CHECK(c.get(path + "/serving").status == 404);
  controllers.stop();
  c.server->set_hooks({});
}

TEST_CASE("roles are aggregated, and again when one changes") {
  Cluster c;
  const std::string roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
  const auto role = [&](const std::string& name, const std::string& verb) {
    c.must_post(roles, R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole",)"
                       R"("metadata":{"name":")" +
                           name +
                           R"(","labels":{"to":"sum"}},"rules":[{"apiGroups":[""],)"
                           R"("resources":["pods"],"verbs":[")" +
                           verb + "\"]}]}");
  };
  role("a", "get");
  c.must_post(roles, R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole",)"
                     R"("metadata":{"name":"sum"},"aggregationRule":{"clusterRoleSelectors":)"
                     R"([{"matchLabels":{"to":"sum"}}]},"rules":[]})");
  c.settle();
  const auto verbs = [&] {
    std::vector<std::string> out;
    auto sum = c.client.get<api::rbacv1::ClusterRole>("", "sum");
    REQUIRE(sum);
    for (const auto& rule : sum->rules) out.push_back(rule.verbs.at(0));
    return out;
  };
  CHECK(verbs() == std::vector<std::string>{"get"});
  role("b", "list");
  role("c", "get");
  c.settle();
  CHECK(verbs() == std::vector<std::string>{"get", "list"});
  c.must_delete(roles + "/b");
  CHECK(verbs() == std::vector<std::string>{"get"});
  c.check_quiet();
}

TEST_CASE("bootstrap tokens go when they expire; other Secrets stay") {
  Cluster c;
  c.must_post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  const std::string secrets = "/api/v1/namespaces/kube-system/secrets";
  const auto secret = [&](const std::string& name, const std::string& type, WallTime expiry) {
    c.must_post(secrets, R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":")" + name +
                             R"("},"type":")" + type + R"(","stringData":{"expiration":")" +
                             Time(expiry).str() + "\"}}");
  };
  const WallTime soon = c.clock.now() + Seconds{30};
  secret("bootstrap-token-abcdef", "bootstrap.kubernetes.io/token", soon);
  secret("other", "Opaque", soon);
  c.advance(Seconds{28});
  CHECK(c.get(secrets + "/bootstrap-token-abcdef").status == 200);
  c.advance(Seconds{5});
  CHECK(c.get(secrets + "/bootstrap-token-abcdef").status == 404);
  CHECK(c.get(secrets + "/other").status == 200);
}

TEST_CASE("a token Secret without its ServiceAccount goes") {
  Cluster c;
  const std::string secrets = "/api/v1/namespaces/default/secrets";
  c.must_post(secrets, R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"lost",)"
                       R"("annotations":{"kubernetes.io/service-account.name":"nobody"}},)"
                       R"("type":"kubernetes.io/service-account-token"})");
  c.settle();
  CHECK(c.get(secrets + "/lost").status == 404);
}

}  // namespace
}  // namespace orch::server
