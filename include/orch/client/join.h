// How an agent joins: it checks the server's CA against the token's hash, then gets certificates
// for the keys it made. The messages are one flat JSON object each way; both sides use this header.
//
//   GET  /cacerts          the server's CA, PEM; no credentials
//   POST /v1-orch/join     Authorization: Bearer <secret>; JoinRequest -> JoinAnswer
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::client {

inline constexpr std::string_view kCaPath = "/cacerts";
inline constexpr std::string_view kJoinPath = "/v1-orch/join";

// "K10<sha256 of the CA's PEM>::<user>:<secret>", or a bare secret (no CA check).
struct JoinToken {
  std::string ca_hash;  // lower-case hex, "" = not checked
  std::string user;     // "server" or "node"
  std::string secret;
  std::string str() const;
  // Error: what of the form is wrong, never the token itself.
  static Result<JoinToken, std::string> parse(std::string_view text);
};

struct JoinRequest {
  std::string node_name;
  std::vector<std::string> node_ips;
  std::string client_csr_pem, serving_csr_pem;
  // Made by the agent once and kept: a node's name stays with who knows it.
  std::string node_password;
  std::string encode() const;
  static Result<JoinRequest, std::string> decode(std::string_view text);
};

struct JoinAnswer {
  std::string client_certificate_pem, serving_certificate_pem;
  std::string client_ca_pem;  // who may call the agent's API
  std::string cluster_dns, cluster_domain, cluster_cidr, service_cidr;
  std::string encode() const;
  static Result<JoinAnswer, std::string> decode(std::string_view text);
};

struct JoinError {
  std::string message;
  bool permanent = false;  // wrong token, wrong CA, name taken: trying again does not help
};

// Fetches the server's CA (PEM) and checks it against the token. Blocks.
Result<std::string, JoinError> fetch_ca(const std::string& server_url, const JoinToken& token);
// Joins over a connection verified by `ca_pem`. Blocks.
Result<JoinAnswer, JoinError> join(const std::string& server_url, const std::string& ca_pem,
                                   const JoinToken& token, const JoinRequest& request);

}  // namespace orch::client
