#include "server/maintenance/store.h"

namespace orch::server {

storage::StoreOptions store_options(const std::string& server_directory, bool volatile_tier) {
  storage::StoreOptions options;
  options.path = store_directory(server_directory);
  if (volatile_tier) {
    options.volatile_prefixes = {"/registry/coordination.k8s.io/leases/kube-node-lease/",
                                 "/registry/core/events/"};
  }
  return options;
}

Result<std::shared_ptr<Encryption>, std::string> load_encryption(
    const std::string& server_directory, const std::string& provider_file, bool wanted) {
  return Encryption::load(server_directory + "/cred/encryption-config.json", provider_file, wanted);
}

}  // namespace orch::server
