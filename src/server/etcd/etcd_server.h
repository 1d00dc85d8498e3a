// The store's etcd v3 API: `--etcd-listen-client-url`. Built by the server over its store, stopped
// before it. Any thread.
#pragma once

#include "orch/base/env.h"
#include "orch/net/tls.h"
#include "orch/storage/kv_store.h"

namespace orch::server::etcd {

inline constexpr std::string_view kDefaultListenUrl = "https://127.0.0.1:2379";

struct EtcdServerOptions {
  std::string listen_urls;  // comma list; kDefaultListenUrl: a taken port is no error
  net::KeyPair server_key_pair;
  std::string ca_pem;  // signs the certificates of clients
  std::string member_name;
  Micros progress_interval = Seconds(600);
};

class EtcdServer {
 public:
  // Error: a sentence naming the flag. Null: switched off, or the default URL is taken.
  static Result<std::unique_ptr<EtcdServer>, std::string> start(storage::KvStore& store,
                                                                const EtcdServerOptions& options);
  virtual ~EtcdServer() = default;
  virtual const std::vector<std::string>& urls() const = 0;  // with the real ports
  // New connections see this certificate; running ones go on.
  virtual Result<Unit, std::string> use_certificate(const net::KeyPair& pair) = 0;
  virtual void stop() = 0;  // idempotent
};

}  // namespace orch::server::etcd
