// orch token: bootstrap tokens by the API, static ones in their file
// (include/orch/server/identity_files.h).
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/client/client.h"
#include "orch/client/http_transport.h"
#include "orch/server/identity_files.h"
#include "server/pki/join_token.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Secret;

constexpr const char* kNamespace = "kube-system";
constexpr const char* kType = "bootstrap.kubernetes.io/token";

struct Api {
  std::unique_ptr<client::HttpTransport> transport;
  std::unique_ptr<client::Client> client;
  std::string ca_pem;
};

// As the admin whose certificate lies in the data directory.
Result<Api, std::string> connect(const TokenServer& server) {
  const std::string tls = server.data_dir + "/server/tls/";
  Api api;
  ORCH_TRY(api.ca_pem, read_file(tls + "server-ca.crt"));
  net::KeyPair admin;
  ORCH_TRY(admin.certificate_pem, read_file(tls + "client-admin.crt"));
  ORCH_TRY(admin.private_key_pem, read_file(tls + "client-admin.key"));
  auto context = net::TlsClientContext::create({.ca_pem = api.ca_pem, .key_pair = admin});
  if (!context) return Err(tls + ": " + context.error());
  client::HttpTransportOptions options;
  options.base_url = server.url;
  options.tls = *context;
  options.user_agent = "orch-token";
  api.transport = client::make_http_transport(options);
  api.client = std::make_unique<client::Client>(*api.transport);
  return api;
}

std::string random_word(Random& random, size_t length) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string out;
  while (out.size() < length) out += kLetters[random_below(random, kLetters.size())];
  return out;
}

// "24h", "30m", "90s", "7d"; "0" = for ever.
Result<Seconds, std::string> parse_ttl(const std::string& text) {
  if (text == "0") return Seconds{0};
  const std::string_view units = "smhd";
  constexpr int64_t kSeconds[] = {1, 60, 3600, 24 * 3600};
  const size_t unit = text.empty() ? std::string_view::npos : units.find(text.back());
  const auto count =
      unit == std::string_view::npos ? std::nullopt : parse_int(text.substr(0, text.size() - 1));
  if (!count || *count < 1 || *count > 1000000) {
    return Err(
        fmt::format("--ttl: \"{}\" is not a time such as 24h, 30m or 7d, or 0 for ever", text));
  }
  return Seconds{*count * kSeconds[unit]};
}

std::string secret_field(const Secret& secret, const char* key) {
  auto found = secret.data.find(key);
  return found == secret.data.end() ? "" : found->second;
}

}  // namespace

Result<std::string, std::string> create_token(Env& env, const TokenServer& server,
                                              const NewToken& wanted) {
  ORCH_TRY(const Seconds ttl, parse_ttl(wanted.ttl));
  auto token = parse_bootstrap_token(wanted.token);
  if (!wanted.token.empty() && !token) {
    return Err(std::string("the token is not of the form [a-z0-9]{6}.[a-z0-9]{16}"));
  }
  if (!token) token = BootstrapToken{random_word(env.random, 6), random_word(env.random, 16)};
  ORCH_TRY(const Api api, connect(server));
  Secret secret;
  secret.metadata.namespace_ = kNamespace;
  secret.metadata.name = "bootstrap-token-" + token->id;
  secret.type_ = kType;
  secret.data["token-id"] = token->id;
  secret.data["token-secret"] = token->secret;
  secret.data["usage-bootstrap-authentication"] = "true";
  secret.data["usage-bootstrap-signing"] = "true";
  secret.data["auth-extra-groups"] = "system:bootstrappers:orch:default-node-token";
  if (!wanted.description.empty()) secret.data["description"] = wanted.description;
  if (ttl.count() > 0) secret.data["expiration"] = Time(env.clock.now() + ttl).str();
  auto made = api.client->create(secret);
  if (!made) return Err(made.error().message);
  return client::JoinToken{ca_hash(api.ca_pem), "", token->str()}.str();
}

Result<std::vector<TokenRow>, std::string> list_tokens(Env& env, const TokenServer& server) {
  ORCH_TRY(const Api api, connect(server));
  client::ListOptions options;
  options.field_selector = std::string("type=") + kType;
  auto secrets = api.client->list<Secret>(kNamespace, options);
  if (!secrets) return Err(secrets.error().message);
  std::vector<TokenRow> rows;
  for (const auto& secret : secrets->items) {
    TokenRow row;
    row.token = secret_field(*secret, "token-id") + "." + secret_field(*secret, "token-secret");
    row.expires = secret_field(*secret, "expiration");
    if (row.expires.empty()) {
      row.expires = "<forever>";
    } else if (auto until = Time::parse(row.expires); !until || until->wall() < env.clock.now()) {
      row.expires += " (expired)";
    }
    for (const auto& [key, value] : secret->data) {
      if (!key.starts_with("usage-bootstrap-") || value != "true") continue;
      row.usages += (row.usages.empty() ? "" : ",") + key.substr(16);
    }
    row.description = secret_field(*secret, "description");
    rows.push_back(std::move(row));
  }
  for (const char* name : {"token", "agent-token"}) {
    const std::string path = server.data_dir + "/server/" + name;
    if (file_exists(path)) {
      rows.push_back({path, "<forever>", "authentication",
                      std::string(name) == "token" ? "static" : "static, for agents"});
    }
  }
  return rows;
}

Result<Unit, std::string> delete_token(const TokenServer& server, const std::string& token) {
  // The id, or any longer form of it.
  std::string text = token;
  if (size_t colons = text.rfind("::"); colons != std::string::npos) text.erase(0, colons + 2);
  const std::string id = text.substr(0, text.find('.'));
  if (id.size() != 6) {
    return Err(fmt::format("\"{}\" is not the id of a token (6 characters) or a token", id));
  }
  ORCH_TRY(const Api api, connect(server));
  auto removed = api.client->remove<Secret>(kNamespace, "bootstrap-token-" + id);
  if (!removed && removed.error().is("NotFound")) {
    return Err(fmt::format("there is no token with id \"{}\"", id));
  }
  if (!removed) return Err(removed.error().message);
  return Unit{};
}

Result<std::string, std::string> rotate_token(Env& env, const std::string& data_dir,
                                              const std::string& secret) {
  const std::string path = data_dir + "/server/token";
  if (!file_exists(path)) return Err(path + ": No such file or directory: not a server's");
  ORCH_TRY(const std::string ca_pem, read_file(data_dir + "/server/tls/server-ca.crt"));
  // Servers over a datastore must first seal what they share there with the new one.
  if (!file_exists(data_dir + "/server/db") && !file_exists(path + ".old")) {
    ORCH_TRY(const std::string before, read_file(path));
    ORCH_CHECK(write_file_atomic(path + ".old", before, 0600));
  }
  const std::string fresh = secret.empty() ? random_hex(env.random, 16) : secret;
  ORCH_TRY(auto token,
           load_or_create_token(path, fresh, ca_pem, env.random, "server", "--new-token"));
  return token.str();
}

}  // namespace orch::server
