// How an agent joins: it checks the server's CA against the token's hash, then gets certificates
// for the keys it made. The messages are one flat JSON object each way; both sides use this header.
//
//   GET  /cacerts          the server's CA, PEM; no credentials
//   POST /v1-orch/join     Authorization: Bearer <secret>; JoinRequest -> JoinAnswer
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/tls.h"

namespace orch::client {

inline constexpr std::string_view kCaPath = "/cacerts";
inline constexpr std::string_view kJoinPath = "/v1-orch/join";

// "K10<sha256 of the CA's PEM>::<user>:<secret>", the same with a bootstrap token ("id.secret")
// after the colons, or one of both without the hash (no CA check).
struct JoinToken {
  std::string ca_hash;  // lower-case hex, "" = not checked
  std::string user;     // "server" or "node"; "" = a bootstrap token
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
  std::string server_ca_pem;  // whom to trust from now on; "" = as before
  std::string cluster_dns, cluster_domain, cluster_cidr, service_cidr;
  std::string encode() const;
  static Result<JoinAnswer, std::string> decode(std::string_view text);
};

struct JoinError {
  std::string message;
  bool permanent = false;  // wrong token, wrong CA, name taken: trying again does not help
};

// Fetches the server's CA (PEM) and checks it against the token: of several certificates the one
// that the token is of is returned. `now` is this machine's time. Blocks.
Result<std::string, JoinError> fetch_ca(const std::string& server_url, const JoinToken& token,
                                        WallTime now);
// Picks, of the server's CA certificates, what a token with this hash lets one trust.
Result<std::string, JoinError> trusted_ca(const std::string& server_url, const std::string& pem,
                                          const JoinToken& token, WallTime now);
// Joins over a connection verified by `ca_pem`. Who has joined before shows its certificate, which
// is as good as the token. Blocks.
Result<JoinAnswer, JoinError> join(const std::string& server_url, const std::string& ca_pem,
                                   const JoinToken& token, const JoinRequest& request,
                                   const net::KeyPair& certificate = {});
// "" = a certificate is valid now, else a sentence; one from the future names the clocks.
std::string check_validity(std::string_view what, std::string_view certificate_pem, WallTime now);

}  // namespace orch::client
