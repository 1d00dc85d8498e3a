// The kubeconfig file: which server, as whom, in which namespace.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/failure.h"
#include "orch/api/json_value.h"

namespace orch::ctl {

struct Connection {
  std::string server;  // "https://host:6443"
  std::string ca_pem, certificate_pem, key_pem, token, server_name;
  bool insecure = false;
  std::string namespace_ = "default";
  std::vector<std::pair<std::string, std::string>> headers = {};  // sent with every request
};

// Flags that win over the file; "" = not given.
struct ConnectionOverrides {
  std::string context, server, token;
  bool insecure = false;
  std::string cluster = "", user = "", server_name = "";
  std::string ca_file = "", certificate_file = "", key_file = "";
};

// $KUBECONFIG (the first existing of its list), ~/.kube/config, /etc/orch/orch.yaml; "" = none is
// there.
std::string default_kubeconfig_path();
// Error: `error loading config file "PATH": ...`.
Outcome<api::JsonValue> load_kubeconfig(const std::string& path);
// `folder`: what relative file names in it are relative to. Reads the files it names.
Outcome<Connection> connection_of(const api::JsonValue& config, const std::string& folder,
                                  const ConnectionOverrides& overrides);

}  // namespace orch::ctl
