#include "agent/node/identity.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/host.h"

namespace orch::agent {
namespace {

constexpr Millis kRetry{500};
constexpr Millis kRetryMax{10000};
// With certificates at hand a server that does not answer is not waited for.
constexpr int kTriesWithCache = 1;

struct Files {
  std::string directory;
  std::string at(std::string_view name) const { return fmt::format("{}/{}", directory, name); }
};

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return to_lower(name);
}

Result<std::string, std::string> read_or_empty(const std::string& path) {
  if (!file_exists(path)) return std::string();
  return read_file(path);
}

Result<std::string, std::string> node_password(Env& env, const Files& files) {
  ORCH_TRY(std::string password, read_or_empty(files.at("node-password")));
  if (!password.empty()) return password;
  password = random_hex(env.random, 16);
  ORCH_CHECK(write_file_atomic(files.at("node-password"), password, 0600));
  return password;
}

// What an earlier join left; an empty certificate = nothing usable.
Result<Identity, std::string> load(const Files& files, WallTime now) {
  Identity identity;
  ORCH_TRY(identity.server_ca_pem, read_or_empty(files.at("server-ca.crt")));
  ORCH_TRY(identity.client.certificate_pem, read_or_empty(files.at("client.crt")));
  ORCH_TRY(identity.client.private_key_pem, read_or_empty(files.at("client.key")));
  ORCH_TRY(identity.serving.certificate_pem, read_or_empty(files.at("serving.crt")));
  ORCH_TRY(identity.serving.private_key_pem, read_or_empty(files.at("serving.key")));
  ORCH_TRY(const std::string answer, read_or_empty(files.at("join.json")));
  auto decoded = client::JoinAnswer::decode(answer);
  auto info = net::parse_certificate(identity.client.certificate_pem);
  if (!decoded || !info || now > info->not_after || identity.server_ca_pem.empty()) {
    return Identity{};
  }
  identity.cluster = std::move(*decoded);
  return identity;
}

Result<Unit, std::string> save(const Files& files, const Identity& identity) {
  ORCH_CHECK(write_file_atomic(files.at("server-ca.crt"), identity.server_ca_pem, 0644));
  ORCH_CHECK(write_file_atomic(files.at("client.key"), identity.client.private_key_pem, 0600));
  ORCH_CHECK(write_file_atomic(files.at("client.crt"), identity.client.certificate_pem, 0644));
  ORCH_CHECK(write_file_atomic(files.at("serving.key"), identity.serving.private_key_pem, 0600));
  ORCH_CHECK(write_file_atomic(files.at("serving.crt"), identity.serving.certificate_pem, 0644));
  return write_file_atomic(files.at("join.json"), identity.cluster.encode(), 0600);
}

struct Joining {
  const AgentConfig& config;
  const client::JoinToken& token;
  std::string name, ip, password;
};

// One request for both certificates, over a connection that `ca_pem` vouches for. `known`: who has
// joined before shows its certificate.
Result<Identity, client::JoinError> ask(const Joining& joining, const std::string& ca_pem,
                                        const net::KeyPair& known) {
  Identity identity;
  identity.server_ca_pem = ca_pem;
  const net::CsrInfo client_subject{.common_name = "system:node:" + joining.name,
                                    .organizations = {"system:nodes"},
                                    .dns_names = {},
                                    .ip_addresses = {}};
  auto client_csr = net::make_csr(client_subject);
  if (!client_csr) return Err(client::JoinError{client_csr.error(), true});
  net::CsrInfo serving_subject = client_subject;
  serving_subject.dns_names = {joining.name};
  serving_subject.ip_addresses = {joining.ip};
  auto serving_csr = net::make_csr(serving_subject);
  if (!serving_csr) return Err(client::JoinError{serving_csr.error(), true});

  client::JoinRequest request;
  request.node_name = joining.name;
  request.node_ips = {joining.ip};
  request.client_csr_pem = client_csr->csr_pem;
  request.serving_csr_pem = serving_csr->csr_pem;
  request.node_password = joining.password;
  ORCH_TRY(identity.cluster,
           client::join(joining.config.join, ca_pem, joining.token, request, known));
  if (!identity.cluster.server_ca_pem.empty()) {
    identity.server_ca_pem = identity.cluster.server_ca_pem;
  }
  identity.client = {identity.cluster.client_certificate_pem, client_csr->private_key_pem};
  identity.serving = {identity.cluster.serving_certificate_pem, serving_csr->private_key_pem};
  identity.node_name = joining.name;
  identity.node_ip = joining.ip;
  identity.server_url = joining.config.join;
  return identity;
}

Result<Identity, client::JoinError> join_once(Env& env, const Joining& joining,
                                              const Identity& kept) {
  const WallTime now = env.clock.now();
  Result<Identity, client::JoinError> joined = Err(client::JoinError{""});
  // With a token rotated since, what an earlier join left still opens the door.
  if (!kept.server_ca_pem.empty()) joined = ask(joining, kept.server_ca_pem, kept.client);
  if (!joined) {
    ORCH_TRY(const std::string ca_pem, client::fetch_ca(joining.config.join, joining.token, now));
    joined = ask(joining, ca_pem, {});
  }
  if (!joined) return joined;
  for (const auto& [what, pair] :
       {std::pair{"the client certificate just issued", &joined->client},
        std::pair{"the serving certificate just issued", &joined->serving}}) {
    if (auto why = client::check_validity(what, pair->certificate_pem, now); !why.empty()) {
      return Err(client::JoinError{std::move(why)});
    }
  }
  return joined;
}

}  // namespace

Result<Identity, std::string> establish_identity(Env& env, const AgentConfig& config,
                                                 const std::function<bool()>& stopped) {
  auto token = client::JoinToken::parse(config.token);
  if (!token) return Err("--token: " + token.error());
  if (!config.join.starts_with("https://")) {
    return Err(fmt::format("--join: \"{}\" is not of the form https://SERVER:PORT", config.join));
  }
  const Files files{config.data_dir + "/agent"};
  ORCH_CHECK(make_directories(files.directory, 0700));
  const std::string name = config.node_name.empty() ? host_name() : config.node_name;
  std::string ip = config.node_ip;
  if (ip.empty()) {
    auto found = net::default_ipv4_address();
    if (!found) return Err("--node-ip: none given, and none found: " + found.error());
    ip = *found;
  }
  ORCH_TRY(const std::string password, node_password(env, files));
  ORCH_TRY(Identity kept, load(files, env.clock.now()));
  const bool cached = !kept.server_ca_pem.empty();
  const Joining joining{config, *token, name, ip, password};

  Millis wait = kRetry;
  for (int tries = 1;; ++tries) {
    auto joined = join_once(env, joining, kept);
    if (joined) {
      ORCH_CHECK(save(files, *joined));
      kept = std::move(*joined);
      break;
    }
    if (joined.error().permanent) return Err(joined.error().message);
    log::warn("agent", "joining: {}", joined.error().message);
    if (cached && tries >= kTriesWithCache) {
      log::warn("agent", "going on with the certificates of the last join");
      break;
    }
    if (stopped()) return Err(std::string("stopped before joining"));
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, kRetryMax);
  }
  kept.node_name = name;
  kept.node_ip = ip;
  kept.server_url = config.join;
  return kept;
}

Result<Identity, std::string> renew_identity(Env& env, const AgentConfig& config,
                                             const Identity& identity) {
  auto token = client::JoinToken::parse(config.token);
  if (!token) return Err("--token: " + token.error());
  const Files files{config.data_dir + "/agent"};
  ORCH_TRY(const std::string password, node_password(env, files));
  auto joined =
      join_once(env, {config, *token, identity.node_name, identity.node_ip, password}, identity);
  if (!joined) return Err(joined.error().message);
  ORCH_CHECK(save(files, *joined));
  return std::move(*joined);
}

bool identity_on_disk(const AgentConfig& config, const Identity& identity) {
  const Files files{config.data_dir + "/agent"};
  return read_or_empty(files.at("client.crt")).value_or("") == identity.client.certificate_pem &&
         read_or_empty(files.at("serving.crt")).value_or("") == identity.serving.certificate_pem;
}

}  // namespace orch::agent
