#include "orch/client/join.h"

#include <fmt/format.h>

#include "orch/api/error.h"
#include "orch/api/flat_yaml.h"
#include "orch/base/time_zone.h"
#include "orch/net/http.h"

namespace orch::client {
namespace {

using api::flat_value;
using api::FlatYaml;

Result<std::string, std::string> needed(const FlatYaml& values, std::string_view key) {
  std::string value = flat_value(values, key);
  if (value.empty()) return Err(fmt::format("{}: required", key));
  return value;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string JoinToken::str() const {
  if (!ca_hash.empty() && user.empty()) return fmt::format("K10{}::{}", ca_hash, secret);
  return ca_hash.empty() ? secret : fmt::format("K10{}::{}:{}", ca_hash, user, secret);
}

Result<JoinToken, std::string> JoinToken::parse(std::string_view text) {
  JoinToken token;
  if (text.empty()) return Err(std::string("the token is empty"));
  if (!text.starts_with("K10")) {
    token.user = "node";
    token.secret = std::string(text);
    return token;
  }
  text.remove_prefix(3);
  const size_t separator = text.find("::");
  if (separator == std::string_view::npos) {
    return Err(std::string("the token is not of the form K10<CA hash>::<user>:<secret>"));
  }
  token.ca_hash = std::string(text.substr(0, separator));
  if (token.ca_hash.size() != 64 || !is_hex(token.ca_hash)) {
    return Err(std::string("the token's CA hash is not 64 hex digits"));
  }
  text.remove_prefix(separator + 2);
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos && text.find('.') != std::string_view::npos) {
    token.secret = std::string(text);  // a bootstrap token
    return token;
  }
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return Err(std::string("the token has no <user>:<secret> after its CA hash"));
  }
  token.user = std::string(text.substr(0, colon));
  token.secret = std::string(text.substr(colon + 1));
  return token;
}

std::string JoinRequest::encode() const {
  return api::write_flat_json({{"nodeName", {node_name}},
                               {"nodeIPs", node_ips},
                               {"clientCSR", {client_csr_pem}},
                               {"servingCSR", {serving_csr_pem}},
                               {"nodePassword", {node_password}}});
}

Result<JoinRequest, std::string> JoinRequest::decode(std::string_view text) {
  ORCH_TRY(auto values, api::read_flat_yaml(text));
  JoinRequest request;
  ORCH_TRY(request.node_name, needed(values, "nodeName"));
  ORCH_TRY(request.client_csr_pem, needed(values, "clientCSR"));
  ORCH_TRY(request.serving_csr_pem, needed(values, "servingCSR"));
  ORCH_TRY(request.node_password, needed(values, "nodePassword"));
  request.node_ips = values["nodeIPs"];
  return request;
}

std::string JoinAnswer::encode() const {
  return api::write_flat_json({{"clientCertificate", {client_certificate_pem}},
                               {"servingCertificate", {serving_certificate_pem}},
                               {"clientCA", {client_ca_pem}},
                               {"serverCA", {server_ca_pem}},
                               {"clusterDNS", {cluster_dns}},
                               {"clusterDomain", {cluster_domain}},
                               {"clusterCIDR", {cluster_cidr}},
                               {"serviceCIDR", {service_cidr}}});
}

Result<JoinAnswer, std::string> JoinAnswer::decode(std::string_view text) {
  ORCH_TRY(auto values, api::read_flat_yaml(text));
  JoinAnswer answer;
  ORCH_TRY(answer.client_certificate_pem, needed(values, "clientCertificate"));
  ORCH_TRY(answer.serving_certificate_pem, needed(values, "servingCertificate"));
  ORCH_TRY(answer.client_ca_pem, needed(values, "clientCA"));
  answer.server_ca_pem = flat_value(values, "serverCA");
  ORCH_TRY(answer.cluster_dns, needed(values, "clusterDNS"));
  ORCH_TRY(answer.cluster_domain, needed(values, "clusterDomain"));
  ORCH_TRY(answer.cluster_cidr, needed(values, "clusterCIDR"));
  ORCH_TRY(answer.service_cidr, needed(values, "serviceCIDR"));
  return answer;
}

std::string check_validity(std::string_view what, std::string_view certificate_pem, WallTime now) {
  const auto date = [](WallTime at) {
    return TimeZone().rfc3339(std::chrono::floor<Seconds>(at).time_since_epoch().count());
  };
  auto info = net::parse_certificate(certificate_pem);
  if (!info) return fmt::format("{}: {}", what, info.error());
  if (now < info->not_before) {
    return fmt::format(
        "{} is not valid before {}, and this machine's clock says {}: check the "
        "clocks of both machines",
        what, date(info->not_before), date(now));
  }
  if (now > info->not_after) {
    return fmt::format("{} expired on {} (this machine's clock says {})", what,
                       date(info->not_after), date(now));
  }
  return "";
}

Result<std::string, JoinError> trusted_ca(const std::string& server_url, const std::string& pem,
                                          const JoinToken& token, WallTime now) {
  auto all = net::pem_certificates(pem);
  if (all.empty()) {
    return Err(JoinError{fmt::format("{}{}: no certificate came", server_url, kCaPath)});
  }
  std::string chosen;
  if (token.ca_hash.empty()) {
    chosen = pem;
  } else {
    // The hash vouches for one certificate, not for what somebody put beside it.
    for (const std::string& one : all) {
      if (net::constant_time_equal(net::sha256_hex(one), token.ca_hash)) chosen = one;
    }
  }
  if (chosen.empty()) {
    return Err(JoinError{fmt::format("the CA of {} has SHA-256 {}, but the token was made for {}: "
                                     "not the server that the token is of",
                                     server_url, net::sha256_hex(all.front()), token.ca_hash),
                         true});
  }
  if (auto why = check_validity("the CA of " + server_url, chosen, now); !why.empty()) {
    return Err(JoinError{std::move(why)});
  }
  return chosen;
}

Result<std::string, JoinError> fetch_ca(const std::string& server_url, const JoinToken& token,
                                        WallTime now) {
  // Unverified on purpose: what comes back is checked against the token's hash.
  auto tls =
      net::TlsClientContext::create({.ca_pem = "", .key_pair = {}, .insecure_skip_verify = true});
  if (!tls) return Err(JoinError{tls.error()});
  auto client = net::HttpClient::create({.base_url = server_url, .tls = *tls});
  auto answer = client->request("GET", kCaPath, {}, "");
  if (!answer) return Err(JoinError{fmt::format("{}: {}", server_url, answer.error())});
  if (answer->status != 200) {
    return Err(JoinError{fmt::format("{}{}: answered {}", server_url, kCaPath, answer->status)});
  }
  return trusted_ca(server_url, answer->body, token, now);
}

Result<JoinAnswer, JoinError> join(const std::string& server_url, const std::string& ca_pem,
                                   const JoinToken& token, const JoinRequest& request,
                                   const net::KeyPair& certificate) {
  auto tls = net::TlsClientContext::create({.ca_pem = ca_pem, .key_pair = certificate});
  if (!tls) return Err(JoinError{tls.error()});
  auto client = net::HttpClient::create({.base_url = server_url, .tls = *tls});
  const net::Headers headers = {{"Authorization", "Bearer " + token.secret},
                                {"Content-Type", "application/json"}};
  auto answer = client->request("POST", kJoinPath, headers, request.encode());
  if (!answer && answer.error().find("not yet valid") != std::string::npos) {
    return Err(JoinError{
        fmt::format("{}: {}: check the clocks of both machines", server_url, answer.error())});
  }
  if (!answer) return Err(JoinError{fmt::format("{}: {}", server_url, answer.error())});
  if (answer->status != 200) {
    const api::Error error = api::error_from_response(answer->status, answer->body);
    return Err(JoinError{fmt::format("{} refused to let node \"{}\" join: {}", server_url,
                                     request.node_name, error.message),
                         answer->status >= 400 && answer->status < 500 && answer->status != 429});
  }
  auto decoded = JoinAnswer::decode(answer->body);
  if (!decoded)
    return Err(JoinError{fmt::format("{}: bad answer: {}", server_url, decoded.error())});
  return std::move(*decoded);
}

}  // namespace orch::client
