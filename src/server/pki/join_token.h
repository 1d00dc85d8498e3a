// The static join tokens, kept in <data-dir>/server/token and agent-token, and the form of
// bootstrap tokens (Secrets of kube-system).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orch/base/random.h"
#include "orch/base/result.h"
#include "orch/client/join.h"

namespace orch::server {

// `configured` (from --token) wins over the file; neither: a fresh secret. The file is written when
// it differs. `user` is "server" or "node", `flag` names the option in errors. Error: a sentence
// naming the file or flag.
Result<client::JoinToken, std::string> load_or_create_token(
    const std::string& path, const std::string& configured, const std::string& ca_pem,
    Random& random, const std::string& user = "server", const std::string& flag = "--token");

// The hash in tokens: of the CA's own certificate, not of what belongs to it.
std::string ca_hash(const std::string& ca_pem);

// "abcdef.0123456789abcdef": id and secret. nullopt: not of this form.
struct BootstrapToken {
  std::string id, secret;
  std::string str() const { return id + "." + secret; }
};
std::optional<BootstrapToken> parse_bootstrap_token(std::string_view text);

// The admin's kubeconfig text.
std::string make_kubeconfig(const std::string& server_url, const std::string& ca_pem,
                            const std::string& certificate_pem, const std::string& key_pem);

}  // namespace orch::server
