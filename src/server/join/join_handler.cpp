#include "server/join/join_handler.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "server/pki/join_token.h"

namespace orch::server {
namespace {

using namespace api;

constexpr Seconds kRegistersWithin{300};

void answer_error(net::HttpResponse& response, const Error& error) {
  response.status = error.code;
  response.set("Content-Type", "application/json");
  response.body = status_json(error);
}

ApiResult<std::string> sign(const net::KeyPair& ca, const std::string& csr, std::string_view field,
                            net::CertificateRequest request, WallTime now, Seconds valid) {
  set_validity(request, ca, now, valid);
  auto certificate = net::sign_csr(ca, csr, request);
  if (!certificate) return Err(bad_request(fmt::format("{}: {}", field, certificate.error())));
  return *certificate + chain_of(ca);
}

// Of the static tokens in a file the secret; "" = none there.
std::string secret_in(const std::string& path) {
  if (!file_exists(path)) return "";
  auto text = read_file(path);
  if (!text) return "";
  auto token = client::JoinToken::parse(trim(*text));
  return token ? token->secret : "";
}

bool is_node(const net::PeerCertificate& peer, const std::string& name) {
  const auto& groups = peer.organizations;
  return peer.error.empty() && peer.common_name == "system:node:" + name &&
         std::find(groups.begin(), groups.end(), "system:nodes") != groups.end();
}

}  // namespace

JoinHandler::JoinHandler(Env& env, const Pki& pki, JoinOptions options, ClusterFacts facts,
                         const client::Client& client)
    : env_(env),
      pki_(pki),
      options_(std::move(options)),
      facts_(std::move(facts)),
      client_(client) {}

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
  std::string_view credentials = net::header(request.headers, "Authorization");
  if (!credentials.starts_with("Bearer ") && request.peer.common_name.empty()) {
    return answer_error(response, unauthorized());
  }
  auto decoded = client::JoinRequest::decode(request.body);
  if (!decoded) {
    // Who is nobody learns nothing of what is wrong with the rest.
    if (auto known = may_join(request, {}); !known) return answer_error(response, known.error());
    return answer_error(response, bad_request(decoded.error()));
  }
  if (auto may = may_join(request, *decoded); !may) {
    log::warn("join", "{}: {}", request.remote_address, may.error().message);
    return answer_error(response, may.error());
  }
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

ApiResult<Unit> JoinHandler::may_join(const net::HttpRequest& request,
                                      const client::JoinRequest& wish) const {
  if (!wish.node_name.empty() && is_node(request.peer, wish.node_name)) return Unit{};
  std::string_view secret = net::header(request.headers, "Authorization");
  if (!secret.starts_with("Bearer ")) return Err(unauthorized());
  secret.remove_prefix(7);
  return check_token(secret);
}

ApiResult<Unit> JoinHandler::check_token(std::string_view secret) const {
  if (secret.empty()) return Err(unauthorized("the token is empty"));
  bool in_files = false;
  for (const auto& path : options_.token_files) {
    const std::string kept = secret_in(path);
    in_files = in_files || !kept.empty();
    if (!kept.empty() && net::constant_time_equal(secret, kept)) return Unit{};
  }
  if (!in_files && net::constant_time_equal(secret, options_.token.secret)) return Unit{};
  if (auto bootstrap = parse_bootstrap_token(secret)) {
    return check_bootstrap_token(bootstrap->id, bootstrap->secret);
  }
  return Err(unauthorized("the token is wrong or was changed since"));
}

// As upstream's bootstrap token authenticator reads the Secret, but that it says what is wrong: ids
// are no secret.
ApiResult<Unit> JoinHandler::check_bootstrap_token(const std::string& id,
                                                   std::string_view secret) const {
  auto found = client_.get<corev1::Secret>("kube-system", "bootstrap-token-" + id);
  if (!found && !found.error().is("NotFound")) return Err(std::move(found).error());
  auto field = [&](const char* key) { return found ? found->data[key] : std::string(); };
  if (!found || found->metadata.deletionTimestamp ||
      found->type_ != "bootstrap.kubernetes.io/token" || field("token-id") != id) {
    return Err(unauthorized(fmt::format(
        "there is no token with id \"{}\": it expired or was deleted; make another one on the "
        "server with orch token create",
        id)));
  }
  if (!net::constant_time_equal(secret, field("token-secret"))) {
    return Err(unauthorized("the token is wrong or was changed since"));
  }
  if (const std::string expiration = field("expiration"); !expiration.empty()) {
    const auto until = Time::parse(expiration);
    if (!until || until->wall() <= env_.clock.now()) {
      return Err(unauthorized(
          fmt::format("token expired on {}; make another one on the server with orch token create",
                      expiration)));
    }
  }
  if (field("usage-bootstrap-authentication") != "true") {
    return Err(
        unauthorized(fmt::format("the token \"{}\" is not for joining: it lacks "
                                 "usage-bootstrap-authentication",
                                 id)));
  }
  return Unit{};
}

// Whose Node was deleted has given up its name. One that has just joined has no Node yet.
ApiResult<bool> JoinHandler::is_abandoned(const corev1::Secret& password,
                                          const std::string& node) const {
  const WallTime made = password.metadata.creationTimestamp.wall();
  if (env_.clock.now() - made < kRegistersWithin) return false;
  auto found = client_.get<corev1::Node>("", node);
  if (found) return false;
  if (!found.error().is("NotFound")) return Err(std::move(found).error());
  return true;
}

// The first agent under a name leaves the hash of its password; later ones must know it. Deleting
// the Secret, or the Node, frees the name.
ApiResult<Unit> JoinHandler::check_node_password(const client::JoinRequest& request) const {
  const std::string name = request.node_name + ".node-password.orch";
  const std::string hash = net::sha256_hex(request.node_name + ":" + request.node_password);
  auto secret = client_.get<corev1::Secret>("kube-system", name);
  if (secret) {
    const std::string& kept = secret->data["hash"];
    if (net::constant_time_equal(kept, hash)) return Unit{};
    ORCH_TRY(const bool abandoned, is_abandoned(*secret, request.node_name));
    if (!abandoned) {
      return Err(forbidden({"", "nodes"}, request.node_name,
                           fmt::format("the name belongs to another machine (node password does "
                                       "not match); choose another --node-name, or delete the "
                                       "Node {} or the Secret kube-system/{}",
                                       request.node_name, name)));
    }
    client::DeleteOptions options;
    options.uid = secret->metadata.uid;
    ORCH_CHECK(client_.remove<corev1::Secret>("kube-system", name, options));
  } else if (!secret.error().is("NotFound")) {
    return Err(std::move(secret).error());
  }
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
  ORCH_TRY(answer.client_certificate_pem,
           sign(pki_.client_ca, request.client_csr_pem, "clientCSR",
                {.common_name = user, .organizations = {"system:nodes"}, .client_auth = true}, now,
                options_.leaf_valid));
  ORCH_TRY(answer.serving_certificate_pem,
           sign(pki_.server_ca, request.serving_csr_pem, "servingCSR",
                {.common_name = user,
                 .organizations = {"system:nodes"},
                 .dns_names = {request.node_name},
                 .ip_addresses = request.node_ips,
                 .server_auth = true},
                now, options_.leaf_valid));
  answer.client_ca_pem = pki_.client_ca.certificate_pem;
  answer.server_ca_pem = pki_.server_ca.certificate_pem;
  answer.cluster_dns = facts_.cluster_dns;
  answer.cluster_domain = facts_.cluster_domain;
  answer.cluster_cidr = facts_.cluster_cidr;
  answer.service_cidr = facts_.service_cidr;
  return answer;
}

}  // namespace orch::server
