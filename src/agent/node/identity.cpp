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

Result<Identity, client::JoinError> join_once(const AgentConfig& config,
                                              const client::JoinToken& token,
                                              const std::string& name, const std::string& ip,
                                              const std::string& password) {
  Identity identity;
  ORCH_TRY(identity.server_ca_pem, client::fetch_ca(config.join, token));
  const net::CsrInfo client_subject{.common_name = "system:node:" + name,
                                    .organizations = {"system:nodes"},
                                    .dns_names = {},
                                    .ip_addresses = {}};
  auto client_csr = net::make_csr(client_subject);
  if (!client_csr) return Err(client::JoinError{client_csr.error(), true});
  net::CsrInfo serving_subject = client_subject;
  serving_subject.dns_names = {name};
  serving_subject.ip_addresses = {ip};
  auto serving_csr = net::make_csr(serving_subject);
  if (!serving_csr) return Err(client::JoinError{serving_csr.error(), true});

  client::JoinRequest request;
  request.node_name = name;
  request.node_ips = {ip};
  request.client_csr_pem = client_csr->csr_pem;
  request.serving_csr_pem = serving_csr->csr_pem;
  request.node_password = password;
  ORCH_TRY(identity.cluster, client::join(config.join, identity.server_ca_pem, token, request));
  identity.client = {identity.cluster.client_certificate_pem, client_csr->private_key_pem};
  identity.serving = {identity.cluster.serving_certificate_pem, serving_csr->private_key_pem};
  return identity;
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

  Millis wait = kRetry;
  for (int tries = 1;; ++tries) {
    auto joined = join_once(config, *token, name, ip, password);
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

}  // namespace orch::agent
