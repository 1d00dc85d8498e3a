// Encryption at rest: values lie in the database and in snapshots as Kubernetes' API server would
// write them to etcd, "k8s:enc:aesgcm:v1:<key name>:" and the sealed bytes, bound to their key.
//
// The configuration is upstream's EncryptionConfiguration: a file of the administrator's
// (--encryption-provider-config), or orch's own, <data-dir>/server/cred/encryption-config.json,
// which the verbs enable, disable and rotate change. Providers: aesgcm, aescbc, identity.
// Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/json_value.h"
#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/storage/transformer.h"

namespace orch::server {

struct EncryptionKey {
  std::string name;
  std::string secret;  // raw bytes
};
struct EncryptionProvider {
  enum class Kind : uint8_t { kIdentity, kAesGcm, kAesCbc };
  Kind kind = Kind::kIdentity;
  std::vector<EncryptionKey> keys;  // the first one writes
};
struct EncryptionRule {
  std::vector<std::string> resources;         // "secrets", "deployments.apps", "*.apps", "*.*"
  std::vector<EncryptionProvider> providers;  // the first one writes
};
struct EncryptionConfig {
  std::vector<EncryptionRule> rules;

  // Of YAML or JSON. Error: names the field.
  static Result<EncryptionConfig, std::string> parse(std::string_view text);
  std::string json() const;
  // "secrets", "configmaps" ...: whether the rule is for the key of such a resource.
  const EncryptionRule* rule_for(std::string_view key) const;
};

class Encryption final : public storage::ValueTransformer {
 public:
  // `own_file`: orch's; read if it is there. `provider_file`: the administrator's, "" = none.
  // `wanted`: makes the own file with a new key if there is neither. Error: a sentence that names
  // the file.
  static Result<std::shared_ptr<Encryption>, std::string> load(const std::string& own_file,
                                                               const std::string& provider_file,
                                                               bool wanted);

  storage::StoreResult<storage::Bytes> to_disk(std::string_view key,
                                               const storage::Bytes& value) const override;
  storage::StoreResult<Read> from_disk(std::string_view key,
                                       const storage::Bytes& stored) const override;

  // "enable", "disable", "rotate": changes the file, then has the store written anew, then forgets
  // keys that nothing uses any more. Returns when all is done. "status" changes nothing.
  Result<Unit, std::string> act(std::string_view action, storage::KvStore& store, WallTime now);
  // Writes the store anew if some of it is in an old form (an action that was cut off, another
  // configuration). Blocks.
  Result<Unit, std::string> settle(storage::KvStore& store);
  // Other servers use the keys, too: act() changes nothing, and no key is forgotten. Before use.
  void share() { shared_ = true; }
  // For people and programs: {"enabled":true,"provider":"aesgcm","key":"...","keys":[...],
  // "configuration":"FILE","staleValues":0}
  api::JsonValue status(const storage::KvStore& store) const;

 private:
  using Config = std::shared_ptr<const EncryptionConfig>;
  Encryption(std::string own_file, std::string provider_file);
  Config config() const;
  Result<Unit, std::string> save(EncryptionConfig config);
  Result<Unit, std::string> change(std::string_view action, WallTime now);
  Result<Unit, std::string> forget_old_keys();

  const std::string own_file_, provider_file_;
  bool shared_ = false;
  std::mutex acting_;
  mutable std::mutex mutex_;
  Config config_;
};

}  // namespace orch::server
