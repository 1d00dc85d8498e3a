#include "server/etcd/shared_identity.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "orch/base/crypto.h"
#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::server::etcd {

namespace {

constexpr std::string_view kKey = "/orch/identity";
constexpr std::string_view kBound = "orch identity 1";
constexpr std::string_view kNames[] = {"tls/server-ca.crt", "tls/server-ca.key",
                                       "tls/client-ca.crt", "tls/client-ca.key", "tls/service.key"};
constexpr size_t kSaltBytes = 16;
constexpr int kRounds = 100'000;

// PBKDF2 with HMAC-SHA-256 (RFC 8018), one block.
std::string hmac(std::string_view key, std::string_view message) {
  std::string pad(64, '\0');
  if (key.size() > pad.size()) {
    Sha256 long_key;
    long_key.add(key);
    pad.replace(0, kSha256Bytes, long_key.finish());
  } else {
    pad.replace(0, key.size(), key);
  }
  std::string inner = pad, outer = pad;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  Sha256 first, second;
  first.add(inner);
  first.add(message);
  second.add(outer);
  second.add(first.finish());
  return second.finish();
}

std::string derive(const std::string& secret, std::string_view salt) {
  std::string block = hmac(secret, std::string(salt) + std::string("\0\0\0\1", 4));
  std::string key = block;
  for (int round = 1; round < kRounds; ++round) {
    block = hmac(secret, block);
    for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(key[i] ^ block[i]);
  }
  return key;
}

struct File {
  std::string name, content;
};
template <class V>
void fields(V& v, File& m) {
  v.field(1, m.name);
  v.field(2, m.content);
}
struct Files {
  std::vector<File> files;
};
template <class V>
void fields(V& v, Files& m) {
  v.repeated(1, m.files);
}

// Empty files are what a power cut leaves: as good as none.
Result<IdentityFiles, std::string> read_local(const std::string& directory) {
  IdentityFiles files;
  for (const std::string_view name : kNames) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (!file_exists(path)) continue;
    ORCH_TRY(std::string content, read_file(path));
    if (!content.empty()) files[std::string(name)] = std::move(content);
  }
  return files;
}

Result<Unit, std::string> write_local(const std::string& directory, const IdentityFiles& files) {
  ORCH_CHECK(make_directories(directory + "/tls", 0700));
  // Keys first: a certificate without its key would be refused at the next start.
  for (const bool keys : {true, false}) {
    for (const auto& [name, content] : files) {
      if (name.ends_with(".key") != keys) continue;
      ORCH_CHECK(write_file_atomic(directory + "/" + name, content, keys ? 0600 : 0644));
    }
  }
  return Unit{};
}

Result<std::optional<std::string>, std::string> fetch(EtcdClient& client) {
  RangeRequest range;
  range.key = kKey;
  auto answer = client.call<RangeResponse>("KV/Range", range, true);
  if (!answer) return Err("--datastore-endpoint: " + answer.error().message);
  if (answer->kvs.empty() || !answer->kvs[0].value) return std::optional<std::string>();
  return std::optional<std::string>(*answer->kvs[0].value);
}

}  // namespace

std::string seal_identity(const IdentityFiles& files, const std::string& secret) {
  Files message;
  for (const auto& [name, content] : files) message.files.push_back({name, content});
  const std::string salt = random_key(kSaltBytes).value_or("");
  const auto sealed = aes_gcm_seal(derive(secret, salt), encode(message), kBound);
  return sealed && !salt.empty() ? salt + *sealed : "";
}

std::optional<IdentityFiles> open_identity(std::string_view sealed, const std::string& secret) {
  if (sealed.size() < kSaltBytes) return std::nullopt;
  const auto plain =
      aes_gcm_open(derive(secret, sealed.substr(0, kSaltBytes)), sealed.substr(kSaltBytes), kBound);
  Files message;
  if (!plain || !decode(*plain, message)) return std::nullopt;
  IdentityFiles files;
  for (File& file : message.files) {
    const bool known =
        std::find(std::begin(kNames), std::end(kNames), file.name) != std::end(kNames);
    if (known) files[file.name] = std::move(file.content);
  }
  return files;
}

Result<bool, std::string> share_identity(EtcdClient& client, const std::string& directory,
                                         const std::string& secret, bool fresh) {
  for (int tries = 0; tries < 2; ++tries) {
    ORCH_TRY(const IdentityFiles local, read_local(directory));
    ORCH_TRY(const std::optional<std::string> stored, fetch(client));
    if (stored) {
      if (secret.empty()) {
        return Err(
            std::string("--token: the datastore belongs to a cluster already; its token is "
                        "needed (see DATA_DIR/server/token on one of its servers)"));
      }
      const auto shared = open_identity(*stored, secret);
      if (!shared) {
        return Err(std::string("--token: not the token of the cluster the datastore belongs to"));
      }
      for (const auto& [name, content] : local) {
        const auto theirs = shared->find(name);
        if (theirs == shared->end() || theirs->second != content) {
          return Err(
              fmt::format("{}/{} is not the one of the cluster the datastore belongs to; "
                          "remove {}/tls to take that one",
                          directory, name, directory));
        }
      }
      if (local.size() < shared->size()) {
        ORCH_CHECK(write_local(directory, *shared));
        log::info("datastore", "certificate authorities and keys taken from the datastore");
      }
      return true;
    }
    if (local.size() < std::size(kNames) || secret.empty()) return false;
    const std::string sealed = seal_identity(local, secret);
    if (sealed.empty()) return Err(std::string("cannot seal the cluster's keys: no randomness"));
    TxnRequest txn;
    Compare absent;
    absent.key = kKey;
    txn.compare.push_back(absent);
    RequestOp put;
    put.has_put = true;
    put.put.key = kKey;
    put.put.value = std::make_shared<const std::string>(sealed);
    txn.success.push_back(put);
    auto answer = client.call<TxnResponse>("KV/Txn", txn, false);
    if (!answer) return Err("--datastore-endpoint: " + answer.error().message);
    if (answer->succeeded) return true;
    // Another server was first; its files win over those just made.
    if (!fresh) continue;
    for (const auto& [name, content] : local) ::unlink((directory + "/" + name).c_str());
  }
  return Err(std::string("--datastore-endpoint: the cluster's keys change while they are read"));
}

}  // namespace orch::server::etcd
