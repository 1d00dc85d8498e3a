#include "server/pki/join_token.h"

#include <fmt/format.h>

#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::server {

std::string ca_hash(const std::string& ca_pem) {
  const auto all = net::pem_certificates(ca_pem);
  return net::sha256_hex(all.empty() ? ca_pem : all.front());
}

std::optional<BootstrapToken> parse_bootstrap_token(std::string_view text) {
  const auto is_word = [](std::string_view part) {
    return part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
  };
  if (text.size() != 23 || text[6] != '.' || !is_word(text.substr(0, 6)) ||
      !is_word(text.substr(7))) {
    return std::nullopt;
  }
  return BootstrapToken{std::string(text.substr(0, 6)), std::string(text.substr(7))};
}

Result<client::JoinToken, std::string> load_or_create_token(const std::string& path,
                                                            const std::string& configured,
                                                            const std::string& ca_pem,
                                                            Random& random, const std::string& user,
                                                            const std::string& flag) {
  std::string on_disk;
  if (file_exists(path)) {
    ORCH_TRY(on_disk, read_file(path));
    on_disk = std::string(trim(on_disk));
  }
  client::JoinToken token{.ca_hash = ca_hash(ca_pem), .user = user, .secret = ""};
  if (!configured.empty()) {
    auto given = client::JoinToken::parse(configured);
    if (!given) return Err(flag + ": " + given.error());
    token.secret = given->secret;
  } else if (!on_disk.empty()) {
    auto kept = client::JoinToken::parse(on_disk);
    if (!kept) return Err(path + ": " + kept.error());
    token.secret = kept->secret;
  } else {
    token.secret = random_hex(random, 16);
  }
  if (token.str() != on_disk) ORCH_CHECK(write_file_atomic(path, token.str() + "\n", 0600));
  return token;
}

std::string make_kubeconfig(const std::string& server_url, const std::string& ca_pem,
                            const std::string& certificate_pem, const std::string& key_pem) {
  return fmt::format(
      "apiVersion: v1\n"
      "kind: Config\n"
      "clusters:\n"
      "- name: default\n"
      "  cluster:\n"
      "    server: {}\n"
      "    certificate-authority-data: {}\n"
      "users:\n"
      "- name: default\n"
      "  user:\n"
      "    client-certificate-data: {}\n"
      "    client-key-data: {}\n"
      "contexts:\n"
      "- name: default\n"
      "  context:\n"
      "    cluster: default\n"
      "    user: default\n"
      "current-context: default\n"
      "preferences: {{}}\n",
      server_url, base64_encode(ca_pem), base64_encode(certificate_pem), base64_encode(key_pem));
}

}  // namespace orch::server
