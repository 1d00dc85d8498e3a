#include "server/join/join_handler.h"

#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::server {
namespace {

using namespace api;

constexpr Seconds kBackdated{3600};

void answer_error(net::HttpResponse& response, const Error& error) {
  response.status = error.code;
  response.set("Content-Type", "application/json");
  response.body = status_json(error);
}

ApiResult<std::string> sign(const net::KeyPair& ca, const std::string& csr, std::string_view field,
                            net::CertificateRequest request, WallTime now) {
  request.not_before = now - kBackdated;
  request.not_after = now + kLeafValid;
  auto certificate = net::sign_csr(ca, csr, request);
  if (!certificate) return Err(bad_request(fmt::format("{}: {}", field, certificate.error())));
  return std::move(*certificate);
}

}  // namespace

JoinHandler::JoinHandler(Env& env, const Pki& pki, client::JoinToken token, ClusterFacts facts,
                         const client::Client& client)
    : env_(env), pki_(pki), token_(std::move(token)), facts_(std::move(facts)), client_(client) {}

bool JoinHandler::handle(const net::HttpRequest& request, net::HttpResponse& response) {
  if (request.path == client::kCaPath && request.method == "GET") {
    response.set("Content-Type", "text/plain");
    response.body = pki_.server_ca.certificate_pem;
    return true;
  }
  if (request.path != client::kJoinPath) return false;
  if (request.method != "POST") {
    answer_error(response, method_not_supported({"", "join"}, request.method));
    return true;
  }
  join(request, response);
  return true;
}

void JoinHandler::join(const net::HttpRequest& request, net::HttpResponse& response) {
  std::string_view secret = net::header(request.headers, "Authorization");
  if (!secret.starts_with("Bearer ")) return answer_error(response, unauthorized());
  secret.remove_prefix(7);
  if (!net::constant_time_equal(secret, token_.secret)) {
    log::warn("join", "{}: wrong token", request.remote_address);
    return answer_error(response, unauthorized("the token is wrong or was changed since"));
  }
  auto decoded = client::JoinRequest::decode(request.body);
  if (!decoded) return answer_error(response, bad_request(decoded.error()));
  if (auto why = check_dns1123_subdomain(decoded->node_name); !why.empty()) {
    return answer_error(response, bad_request(fmt::format("nodeName: {}", why)));
  }
  if (auto owner = check_node_password(*decoded); !owner) {
    return answer_error(response, owner.error());
  }
  auto answer = issue(*decoded);
  if (!answer) return answer_error(response, answer.error());
  log::info("join", "node \"{}\" joined from {}", decoded->node_name, request.remote_address);
  response.set("Content-Type", "application/json");
  response.body = answer->encode();
}

// The first agent under a name leaves the hash of its password; later ones must know it. Deleting
// the Secret frees the name.
ApiResult<Unit> JoinHandler::check_node_password(const client::JoinRequest& request) const {
  const std::string name = request.node_name + ".node-password.orch";
  const std::string hash = net::sha256_hex(request.node_name + ":" + request.node_password);
  auto secret = client_.get<corev1::Secret>("kube-system", name);
  if (secret) {
    const std::string& kept = secret->data["hash"];
    if (net::constant_time_equal(kept, hash)) return Unit{};
    return Err(forbidden({"", "nodes"}, request.node_name,
                         fmt::format("the name belongs to another machine (node password does not "
                                     "match); choose another --node-name or delete the Secret "
                                     "kube-system/{}",
                                     name)));
  }
  if (!secret.error().is("NotFound")) return Err(std::move(secret).error());
  corev1::Secret fresh;
  fresh.metadata.name = name;
  fresh.metadata.namespace_ = "kube-system";
  fresh.type_ = "Opaque";
  fresh.immutable = true;
  fresh.data["hash"] = hash;
  ORCH_CHECK(client_.create(fresh));
  return Unit{};
}

ApiResult<client::JoinAnswer> JoinHandler::issue(const client::JoinRequest& request) const {
  const WallTime now = env_.clock.now();
  const std::string user = "system:node:" + request.node_name;
  client::JoinAnswer answer;
  ORCH_TRY(
      answer.client_certificate_pem,
      sign(pki_.client_ca, request.client_csr_pem, "clientCSR",
           {.common_name = user, .organizations = {"system:nodes"}, .client_auth = true}, now));
  ORCH_TRY(answer.serving_certificate_pem,
           sign(pki_.server_ca, request.serving_csr_pem, "servingCSR",
                {.common_name = user,
                 .organizations = {"system:nodes"},
                 .dns_names = {request.node_name},
                 .ip_addresses = request.node_ips,
                 .server_auth = true},
                now));
  answer.client_ca_pem = pki_.client_ca.certificate_pem;
  answer.cluster_dns = facts_.cluster_dns;
  answer.cluster_domain = facts_.cluster_domain;
  answer.cluster_cidr = facts_.cluster_cidr;
  answer.service_cidr = facts_.service_cidr;
  return answer;
}

}  // namespace orch::server
