#include "server/datastore.h"

#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/client/join.h"
#include "orch/net/tls.h"
#include "server/etcd/shared_identity.h"

namespace orch::server {

namespace {

Result<std::string, std::string> file_of_flag(const std::string& flag, const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path);
  if (!text) return Err(flag + ": " + text.error());
  return std::move(*text);
}

Result<std::string, std::string> token_secret(const ServerConfig& config,
                                              const std::string& directory) {
  std::string text = config.token, source = "--token";
  const std::string path = directory + "/token";
  if (text.empty() && file_exists(path)) {
    ORCH_TRY(std::string content, read_file(path));
    text = trim(content);
    source = path;
  }
  if (text.empty()) return std::string();
  auto token = client::JoinToken::parse(text);
  if (!token) return Err(source + ": " + token.error());
  return token->secret;
}

}  // namespace

Result<std::shared_ptr<etcd::EtcdClient>, std::string> make_datastore_client(
    const ServerConfig& config) {
  if (config.datastore_endpoint.empty()) return std::shared_ptr<etcd::EtcdClient>();
  etcd::EtcdClientOptions options;
  bool tls = false;
  for (const std::string& text : split(config.datastore_endpoint, ',')) {
    const std::string endpoint(trim(text));
    const bool https = endpoint.starts_with("https://");
    if (!https && !endpoint.starts_with("http://") && !endpoint.starts_with("unix://")) {
      return Err("--datastore-endpoint: \"" + endpoint +
                 "\" must begin with https://, http:// or unix://");
    }
    tls |= https;
    options.endpoints.push_back(endpoint);
  }
  if (tls) {
    net::TlsClientContext::Options context;
    context.http2 = true;
    ORCH_TRY(context.ca_pem, file_of_flag("--datastore-cafile", config.datastore_cafile));
    ORCH_TRY(context.key_pair.certificate_pem,
             file_of_flag("--datastore-certfile", config.datastore_certfile));
    ORCH_TRY(context.key_pair.private_key_pem,
             file_of_flag("--datastore-keyfile", config.datastore_keyfile));
    auto made = net::TlsClientContext::create(context);
    if (!made) return Err("--datastore-certfile: " + made.error());
    options.tls = std::move(*made);
  }
  return std::make_shared<etcd::EtcdClient>(std::move(options));
}

Result<bool, std::string> share_identity(etcd::EtcdClient& client, const ServerConfig& config,
                                         const std::string& directory, bool fresh) {
  ORCH_TRY(const std::string secret, token_secret(config, directory));
  return etcd::share_identity(client, directory, secret, fresh);
}

}  // namespace orch::server
