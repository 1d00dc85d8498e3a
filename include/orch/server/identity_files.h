// What `orch certificate` and `orch token` do on a server's machine, beside or without a running
// server: certificates and static tokens are files of the data directory, bootstrap tokens Secrets
// of kube-system. Errors: a sentence.
#pragma once

#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"

namespace orch::server {

// ---- certificates ----

struct CertificateRow {
  std::string name;     // "serving-kube-apiserver"
  std::string subject;  // "CN=kube-apiserver", "O=system:masters, CN=..."
  std::string expires;  // RFC 3339
  std::string status;   // "ok", "renewal due", "expired", "not yet valid", or what is wrong
  bool good = false;
};
// Every certificate below the data directory: the server's, its CAs, the agent's.
Result<std::vector<CertificateRow>, std::string> list_certificates(const std::string& data_dir,
                                                                   WallTime now);
// Takes away the leaves of these names ("" = all): a running orch makes new ones within seconds,
// one that does not run, when it starts. Returns the names.
Result<std::vector<std::string>, std::string> rotate_certificates(
    const std::string& data_dir, const std::vector<std::string>& names);
// New CAs, signed by those before too, so that agents and kubeconfigs of before go on. In force
// from the server's next start.
Result<Unit, std::string> rotate_authorities(const std::string& data_dir, WallTime now);

// ---- tokens ----

struct TokenServer {
  std::string data_dir = "/var/lib/orch";
  std::string url = "https://127.0.0.1:6443";
};
struct NewToken {
  std::string token;        // "id.secret"; "" = a random one
  std::string ttl = "24h";  // "0" = it never expires
  std::string description;
};
struct TokenRow {
  std::string token;  // "id.secret", for static ones the file
  std::string expires, usages, description;
};
// The token as agents take it: "K10<ca hash>::id.secret".
Result<std::string, std::string> create_token(Env& env, const TokenServer& server,
                                              const NewToken& wanted);
Result<std::vector<TokenRow>, std::string> list_tokens(Env& env, const TokenServer& server);
Result<Unit, std::string> delete_token(const TokenServer& server, const std::string& token);
// A new secret in the static token's file ("" = a random one), which the running server heeds at
// once. Returns the whole token.
Result<std::string, std::string> rotate_token(Env& env, const std::string& data_dir,
                                              const std::string& secret);

}  // namespace orch::server
