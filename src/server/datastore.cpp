#include "server/datastore.h"

#include <unistd.h>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/client/join.h"
#include "orch/net/tls.h"
#include "server/maintenance/store.h"

namespace orch::server {

namespace {

Result<std::string, std::string> file_of_flag(const std::string& flag, const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path);
  if (!text) return Err(flag + ": " + text.error());
  return std::move(*text);
}

constexpr Seconds kLookPeriod{5};

// The secret of a token, or "" if there is none in the file.
Result<std::string, std::string> secret_of(const std::string& source, const std::string& text) {
  if (trim(text).empty()) return std::string();
  auto token = client::JoinToken::parse(trim(text));
  if (!token) return Err(source + ": " + token.error());
  return token->secret;
}
Result<std::string, std::string> secret_in(const std::string& path) {
  if (!file_exists(path)) return std::string();
  ORCH_TRY(const std::string text, read_file(path));
  return secret_of(path, text);
}

// `orch token rotate` keeps the token before beside, until the datastore is sealed with the new.
std::string former_token(const std::string& directory) { return directory + "/token.old"; }

Result<etcd::IdentitySecrets, std::string> token_secrets(const std::string& flag,
                                                         const std::string& directory) {
  etcd::IdentitySecrets secrets;
  if (flag.empty()) {
    ORCH_TRY(secrets.now, secret_in(directory + "/token"));
  } else {
    ORCH_TRY(secrets.now, secret_of("--token", flag));
  }
  ORCH_TRY(secrets.before, secret_in(former_token(directory)));
  return secrets;
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
  ORCH_TRY(const auto secrets, token_secrets(config.token, directory));
  ORCH_TRY(const bool shared, etcd::share_identity(client, directory, secrets, fresh));
  if (shared) ::unlink(former_token(directory).c_str());
  return shared;
}

Result<bool, std::string> make_encryption_keys(const ServerConfig& config,
                                               const std::string& directory) {
  if (!config.secrets_encryption || !config.encryption_provider_config.empty()) return false;
  if (file_exists(directory + "/" + std::string(etcd::kEncryptionKeysName))) return false;
  ORCH_CHECK(load_encryption(directory, "", true));
  return true;
}

IdentityKeeper::IdentityKeeper(Env& env, std::shared_ptr<etcd::EtcdClient> client,
                               storage::KvStore& store, std::string directory)
    : env_(env), client_(std::move(client)), store_(store), directory_(std::move(directory)) {}

std::shared_ptr<IdentityKeeper> IdentityKeeper::create(Env& env,
                                                       std::shared_ptr<etcd::EtcdClient> client,
                                                       storage::KvStore& store,
                                                       std::string directory) {
  return std::shared_ptr<IdentityKeeper>(
      new IdentityKeeper(env, std::move(client), store, std::move(directory)));
}

void IdentityKeeper::start() {
  strand_ = env_.executor.make_strand("shared-identity");
  repeat();
}

void IdentityKeeper::repeat() {
  strand_->post_after(kLookPeriod, [self = shared_from_this()] {
    std::lock_guard lock(self->mutex_);
    if (self->stopped_) return;
    self->look();
    self->repeat();
  });
}

void IdentityKeeper::look() {
  const auto secrets = token_secrets("", directory_);
  if (!secrets || secrets->now.empty()) return;
  storage::RangeRequest request;
  request.key = etcd::kIdentityKey;
  request.revision = store_.revision();  // what is in memory
  const auto found = store_.range(request);
  if (!found || found->kvs.empty()) return;
  const auto& kv = found->kvs.front();
  if (seen_ == kv.mod_revision && seen_with_ == secrets->now) return;
  using State = etcd::IdentityState;
  switch (etcd::identity_state(*kv.value, directory_, *secrets)) {
    case State::kSame:
      ::unlink(former_token(directory_).c_str());
      break;
    case State::kSealedBefore:
      // Looked at again, until it is done.
      if (auto done = etcd::reseal_identity(*client_, *secrets); !done) {
        return log::warn("datastore", "the rotated token: {}", done.error());
      }
      log::info("datastore", "the cluster's keys are sealed with the new token");
      return;
    case State::kSealedByOther:
      log::warn("datastore",
                "the token was rotated on another server: give this one the new one, too, with "
                "`orch token rotate --new-token SECRET`; until then it lets agents join with the "
                "old one, and does not start again");
      break;
    case State::kNewer:
      log::warn("datastore",
                "the authorities were rotated on another server: start this server again, then it "
                "takes the new ones");
      break;
    case State::kOlder:
      log::info("datastore", "new authorities: start this server again to put them in force");
      break;
    case State::kForeign:
      log::warn("datastore",
                "the authorities and keys in {}/tls are not those of the datastore any more",
                directory_);
      break;
  }
  seen_ = kv.mod_revision;
  seen_with_ = secrets->now;
}

void IdentityKeeper::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
}

}  // namespace orch::server
