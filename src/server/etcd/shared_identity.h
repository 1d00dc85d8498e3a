// What servers over one datastore must have in common, kept in the datastore: certificate
// authorities, signing keys, the keys of encryption at rest. Sealed with a key derived from the
// token, so that who may read the datastore cannot read them.
#pragma once

#include <map>

#include "server/etcd/etcd_client.h"

namespace orch::server::etcd {

inline constexpr std::string_view kIdentityKey = "/orch/identity";
inline constexpr std::string_view kEncryptionKeysName = "cred/encryption-config.json";

// File names relative to <data-dir>/server, to their contents.
using IdentityFiles = std::map<std::string, std::string>;

std::string seal_identity(const IdentityFiles& files, const std::string& secret);
// Nothing: sealed with another secret, or damaged.
std::optional<IdentityFiles> open_identity(std::string_view sealed, const std::string& secret);

// The token's secret; and the one before, as long as the datastore may still be sealed with that.
struct IdentitySecrets {
  std::string now, before;
};

// What to do about files that differ. Pure.
struct IdentityMerge {
  IdentityFiles take;    // the datastore's, to be written here
  IdentityFiles put;     // all that is to lie in the datastore; empty: it stays as it is
  std::string conflict;  // a file that is neither's successor; then nothing else counts
};
// `fresh`: what is here was made just now, nobody uses it, and the datastore's wins. Else the
// newer of two wins: rotated authorities are followed by those before (`orch certificate
// rotate-ca`).
IdentityMerge merge_identity(const IdentityFiles& local, const IdentityFiles& stored, bool fresh);

// Makes the files of `directory` (<data-dir>/server) and the datastore's the same, by
// compare-and-swap; of servers that start at once one puts and the others take. With neither, does
// nothing and answers false: make them and call again. Error: a sentence naming the flag or file.
Result<bool, std::string> share_identity(EtcdClient& client, const std::string& directory,
                                         const IdentitySecrets& secrets, bool fresh);

// What a running server sees of the datastore's.
enum class IdentityState : uint8_t {
  kSame,
  kSealedBefore,   // with the secret before: `orch token rotate` was here, reseal_identity() is due
  kSealedByOther,  // with a secret unknown here: it was rotated on another server
  kNewer,          // its authorities follow those here
  kOlder,          // those here follow its: rotated here, to be put there at the next start
  kForeign,
};
IdentityState identity_state(std::string_view sealed, const std::string& directory,
                             const IdentitySecrets& secrets);
Result<Unit, std::string> reseal_identity(EtcdClient& client, const IdentitySecrets& secrets);

}  // namespace orch::server::etcd
