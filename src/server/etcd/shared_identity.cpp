#include "server/etcd/shared_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/crypto.h"
#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::server::etcd {

namespace {

constexpr std::string_view kBound = "orch identity 1";
constexpr std::string_view kNames[] = {"tls/server-ca.crt",         "tls/server-ca.key",
                                       "tls/client-ca.crt",         "tls/client-ca.key",
                                       "tls/service.key",           "tls/request-header-ca.crt",
                                       "tls/request-header-ca.key", kEncryptionKeysName};
constexpr size_t kNeeded = 5;  // of them; the rest may be missing
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
  v.field(1, m.files);
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

// What is replaced stays beside as *.old.
Result<Unit, std::string> write_local(const std::string& directory, const IdentityFiles& files,
                                      const IdentityFiles& before) {
  ORCH_CHECK(make_directories(directory + "/tls", 0700));
  ORCH_CHECK(make_directories(directory + "/cred", 0700));
  // Keys first: a certificate without its key would be refused at the next start.
  for (const bool secret : {true, false}) {
    for (const auto& [name, content] : files) {
      if (name.ends_with(".crt") == secret) continue;
      const int mode = secret ? 0600 : 0644;
      const std::string path = directory + "/" + name;
      if (const auto old = before.find(name); old != before.end() && old->second != content) {
        ORCH_CHECK(write_file_atomic(path + ".old", old->second, mode));
      }
      ORCH_CHECK(write_file_atomic(path, content, mode));
    }
  }
  return Unit{};
}

struct Sealed {
  std::string value;         // "" = not there
  int64_t mod_revision = 0;  // 0 = not there
};
Result<Sealed, std::string> fetch(EtcdClient& client) {
  RangeRequest range;
  range.key = kIdentityKey;
  auto answer = client.call<RangeResponse>("KV/Range", range, true);
  if (!answer) return Err("--datastore-endpoint: " + answer.error().message);
  if (answer->kvs.empty() || !answer->kvs[0].value) return Sealed{};
  return Sealed{*answer->kvs[0].value, answer->kvs[0].mod_revision};
}

// False: another server wrote it meanwhile.
Result<bool, std::string> replace(EtcdClient& client, const Sealed& seen,
                                  const IdentityFiles& files, const std::string& secret) {
  const std::string sealed = seal_identity(files, secret);
  if (sealed.empty()) return Err(std::string("cannot seal the cluster's keys: no randomness"));
  TxnRequest txn;
  Compare unchanged;
  unchanged.key = kIdentityKey;
  unchanged.target = 2;
  unchanged.mod_revision = seen.mod_revision;
  txn.compare.push_back(unchanged);
  RequestOp put;
  put.has_put = true;
  put.put.key = kIdentityKey;
  put.put.value = std::make_shared<const std::string>(sealed);
  txn.success.push_back(put);
  auto answer = client.call<TxnResponse>("KV/Txn", txn, false);
  if (!answer) return Err("--datastore-endpoint: " + answer.error().message);
  return answer->succeeded;
}

bool complete(const IdentityFiles& files) {
  return std::all_of(std::begin(kNames), std::begin(kNames) + kNeeded,
                     [&](std::string_view name) { return files.contains(std::string(name)); });
}

// With the secret of now, or with the one before (`resealing`).
std::optional<IdentityFiles> open_with(std::string_view sealed, const IdentitySecrets& secrets,
                                       bool& resealing) {
  resealing = false;
  auto files = open_identity(sealed, secrets.now);
  if (files || secrets.before.empty()) return files;
  files = open_identity(sealed, secrets.before);
  resealing = files.has_value();
  return files;
}

enum class Newer : uint8_t { kSame, kLocal, kStored, kNeither };

Newer newer_of(const std::string& name, const IdentityFiles& local, const IdentityFiles& stored,
               bool fresh) {
  const auto here = local.find(name), there = stored.find(name);
  if (name.ends_with("-ca.key")) {  // goes with its certificate
    const auto authority = newer_of(name.substr(0, name.size() - 3) + "crt", local, stored, fresh);
    if (authority == Newer::kLocal) return here == local.end() ? Newer::kNeither : authority;
    if (authority == Newer::kStored) return there == stored.end() ? Newer::kNeither : authority;
  }
  if (here == local.end()) return there == stored.end() ? Newer::kSame : Newer::kStored;
  if (there == stored.end()) return Newer::kLocal;
  if (here->second == there->second) return Newer::kSame;
  if (fresh) return Newer::kStored;
  // A rotated authority is followed by those before it.
  if (name.ends_with("-ca.crt") && there->second.ends_with(here->second)) return Newer::kStored;
  if (name.ends_with("-ca.crt") && here->second.ends_with(there->second)) return Newer::kLocal;
  return Newer::kNeither;
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

IdentityMerge merge_identity(const IdentityFiles& local, const IdentityFiles& stored, bool fresh) {
  IdentityMerge merge;
  IdentityFiles all = stored;
  for (const std::string_view of : kNames) {
    const std::string name(of);
    switch (newer_of(name, local, stored, fresh)) {
      case Newer::kSame:
        break;
      case Newer::kStored:
        merge.take[name] = stored.at(name);
        break;
      case Newer::kLocal:
        all[name] = local.at(name);
        break;
      case Newer::kNeither:
        return {{}, {}, name};
    }
  }
  if (all != stored) merge.put = std::move(all);
  return merge;
}

Result<bool, std::string> share_identity(EtcdClient& client, const std::string& directory,
                                         const IdentitySecrets& secrets, bool fresh) {
  constexpr int kTries = 8;  // each lost race means that another server was done
  for (int tries = 0; tries < kTries; ++tries) {
    ORCH_TRY(const IdentityFiles local, read_local(directory));
    ORCH_TRY(const Sealed seen, fetch(client));
    if (seen.value.empty()) {
      if (!complete(local) || secrets.now.empty()) return false;
      ORCH_TRY(const bool done, replace(client, seen, local, secrets.now));
      if (done) return true;
      continue;
    }
    if (secrets.now.empty()) {
      return Err(
          std::string("--token: the datastore belongs to a cluster already; its token is "
                      "needed (see DATA_DIR/server/token on one of its servers)"));
    }
    bool resealing = false;
    const auto stored = open_with(seen.value, secrets, resealing);
    if (!stored) {
      return Err(
          std::string("--token: not the token of the cluster the datastore belongs to (if it was "
                      "rotated on another server, give the new one)"));
    }
    const IdentityMerge merge = merge_identity(local, *stored, fresh);
    if (!merge.conflict.empty()) {
      return Err(
          fmt::format("{}/{} is not the one of the cluster the datastore belongs to; "
                      "remove it to take that one",
                      directory, merge.conflict));
    }
    if (resealing || !merge.put.empty()) {
      ORCH_TRY(const bool done,
               replace(client, seen, merge.put.empty() ? *stored : merge.put, secrets.now));
      if (!done) continue;
      log::info("datastore", "{} put into the datastore",
                merge.put.empty() ? "the cluster's keys, sealed with the new token,"
                                  : "new authorities and keys");
    }
    if (!merge.take.empty()) {
      ORCH_CHECK(write_local(directory, merge.take, fresh ? IdentityFiles{} : local));
      log::info("datastore", "certificate authorities and keys taken from the datastore");
    }
    return true;
  }
  return Err(std::string("--datastore-endpoint: the cluster's keys change while they are read"));
}

IdentityState identity_state(std::string_view sealed, const std::string& directory,
                             const IdentitySecrets& secrets) {
  bool resealing = false;
  const auto stored = open_with(sealed, secrets, resealing);
  if (!stored) return IdentityState::kSealedByOther;
  if (resealing) return IdentityState::kSealedBefore;
  const auto local = read_local(directory);
  if (!local) return IdentityState::kForeign;
  const IdentityMerge merge = merge_identity(*local, *stored, false);
  if (!merge.conflict.empty()) return IdentityState::kForeign;
  if (!merge.take.empty()) return IdentityState::kNewer;
  return merge.put.empty() ? IdentityState::kSame : IdentityState::kOlder;
}

Result<Unit, std::string> reseal_identity(EtcdClient& client, const IdentitySecrets& secrets) {
  ORCH_TRY(const Sealed seen, fetch(client));
  bool resealing = false;
  const auto stored = open_with(seen.value, secrets, resealing);
  if (!stored) return Err(std::string("the datastore is sealed with another token"));
  if (!resealing) return Unit{};
  ORCH_TRY(const bool done, replace(client, seen, *stored, secrets.now));
  if (!done) return Err(std::string("another server changed it meanwhile"));
  return Unit{};
}

}  // namespace orch::server::etcd
