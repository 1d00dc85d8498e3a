// Who is let in and what they may: the server's flags of authentication, authorization and
// admission. Names and meaning are kube-apiserver's.
#pragma once

#include <string>
#include <vector>

namespace orch::server {

// Every field is also a flag (--kebab-case), an ORCH_* variable and a config key.
struct AccessConfig {
  // Callers without credentials are system:anonymous, who may see health and version.
  bool anonymous_auth = true;
  std::string authentication_config;  // a file with an AuthenticationConfiguration
  std::string authentication_token_webhook_config_file;
  std::string authentication_token_webhook_cache_ttl = "2m0s";
  std::string oidc_issuer_url, oidc_client_id, oidc_ca_file;
  std::string oidc_username_claim = "sub", oidc_username_prefix;
  std::string oidc_groups_claim, oidc_groups_prefix;
  std::vector<std::string> oidc_required_claim, oidc_signing_algs;

  // Proxies that say in headers who a request is from, by a certificate of this authority.
  std::string requestheader_client_ca_file;  // "" = <data-dir>/server/tls/request-header-ca.crt
  std::vector<std::string> requestheader_allowed_names = {"system:auth-proxy"};  // empty = any
  std::vector<std::string> requestheader_username_headers = {"X-Remote-User"};
  std::vector<std::string> requestheader_uid_headers;
  std::vector<std::string> requestheader_group_headers = {"X-Remote-Group"};
  std::vector<std::string> requestheader_extra_headers_prefix = {"X-Remote-Extra-"};

  std::vector<std::string> authorization_mode;  // empty = Node,RBAC
  std::string authorization_config;             // a file with an AuthorizationConfiguration
  std::string authorization_webhook_config_file;
  std::string authorization_webhook_cache_authorized_ttl = "5m0s";
  std::string authorization_webhook_cache_unauthorized_ttl = "30s";

  std::vector<std::string> enable_admission_plugins, disable_admission_plugins;
  std::string admission_control_config_file;
};

}  // namespace orch::server
