#include "cmd/access_options.h"

namespace orch::cmd {
namespace {

void add_authentication(Options& options, server::AccessConfig& config) {
  options.add("anonymous-auth", config.anonymous_auth,
              "Callers without credentials are system:anonymous, who may see health and version "
              "(--anonymous-auth=false: they are refused)");
  options.add("authentication-config", config.authentication_config,
              "A file with an AuthenticationConfiguration: issuers of tokens");
  options.add("authentication-token-webhook-config-file",
              config.authentication_token_webhook_config_file,
              "A kubeconfig file of who is asked about other tokens (TokenReview)");
  options.add("authentication-token-webhook-cache-ttl",
              config.authentication_token_webhook_cache_ttl, "How long its answers are kept");
  options.add("oidc-issuer-url", config.oidc_issuer_url,
              "URL of an OpenID Connect issuer, https only");
  options.add("oidc-client-id", config.oidc_client_id, "The audience of its tokens");
  options.add("oidc-ca-file", config.oidc_ca_file,
              "The CA of the issuer's certificate (default: the system's)");
  options.add("oidc-username-claim", config.oidc_username_claim, "The claim with the user's name");
  options.add("oidc-username-prefix", config.oidc_username_prefix,
              "Put before it (default: ISSUER# unless the claim is email; - = nothing)");
  options.add("oidc-groups-claim", config.oidc_groups_claim, "The claim with the user's groups");
  options.add("oidc-groups-prefix", config.oidc_groups_prefix, "Put before each of them");
  options.add("oidc-required-claim", config.oidc_required_claim,
              "A claim that tokens must have, key=value");
  options.add("oidc-signing-algs", config.oidc_signing_algs,
              "Algorithms its tokens are signed with (default: RS256)");
}

void add_authorization(Options& options, server::AccessConfig& config) {
  options.add("authorization-mode", config.authorization_mode,
              "Who is asked what a caller may, in order: Node, RBAC, Webhook, AlwaysAllow, "
              "AlwaysDeny (default: Node,RBAC)");
  options.add("authorization-config", config.authorization_config,
              "A file with an AuthorizationConfiguration instead");
  options.add("authorization-webhook-config-file", config.authorization_webhook_config_file,
              "A kubeconfig file of whom mode Webhook asks (SubjectAccessReview)");
  options.add("authorization-webhook-cache-authorized-ttl",
              config.authorization_webhook_cache_authorized_ttl, "How long its answer yes is kept");
  options.add("authorization-webhook-cache-unauthorized-ttl",
              config.authorization_webhook_cache_unauthorized_ttl,
              "How long its answer no is kept");
}

void add_front_proxies(Options& options, server::AccessConfig& config) {
  options.add("requestheader-client-ca-file", config.requestheader_client_ca_file,
              "The CA of proxies that say in headers who a request is from (default: "
              "DATA_DIR/server/tls/request-header-ca.crt)");
  options.add("requestheader-allowed-names", config.requestheader_allowed_names,
              "Common names of their certificates; \"\" = any");
  options.add("requestheader-username-headers", config.requestheader_username_headers,
              "The headers with the user's name, the first that is there");
  options.add("requestheader-uid-headers", config.requestheader_uid_headers,
              "The headers with the user's UID (X-Remote-Uid; default: none)");
  options.add("requestheader-group-headers", config.requestheader_group_headers,
              "The headers with the user's groups");
  options.add("requestheader-extra-headers-prefix", config.requestheader_extra_headers_prefix,
              "How headers begin that have more about the user");
}

}  // namespace

void add_access_options(Options& options, server::AccessConfig& config) {
  add_authentication(options, config);
  add_front_proxies(options, config);
  add_authorization(options, config);
  options.add("enable-admission-plugins", config.enable_admission_plugins,
              "Admission plugins to run beside those that run by default");
  options.add("disable-admission-plugins", config.disable_admission_plugins,
              "Admission plugins that run by default, to leave out");
  options.add("admission-control-config-file", config.admission_control_config_file,
              "A file with an AdmissionConfiguration: how plugins are set");
}

}  // namespace orch::cmd
