#include "server/access.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/value.h"
#include "orch/base/file.h"
#include "server/auth/access_files.h"
#include "server/auth/bootstrap_tokens.h"
#include "server/auth/webhook.h"

namespace orch::server {
namespace {

using List = std::vector<std::string>;
using Sources = std::vector<std::unique_ptr<TokenSource>>;
using Modes = std::vector<std::unique_ptr<Authorizer>>;

constexpr Millis kWebhookTimeout{30000};

class FixedAuthorizer final : public Authorizer {
 public:
  explicit FixedAuthorizer(Decision decision) : decision_(decision) {}
  Authorization authorize(const Attributes&) override {
    return {decision_, decision_ == Decision::kAllow ? "" : "Everything is forbidden.", ""};
  }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override {
    if (decision_ != Decision::kAllow) return {};
    return {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
  }

 private:
  const Decision decision_;
};

Result<Micros, std::string> flag_duration(const char* flag, const std::string& text) {
  const auto parsed = api::Duration::parse(text);
  if (!parsed) return Err(fmt::format("--{}: {}", flag, parsed.error()));
  return Micros{parsed->nanos / 1000};
}

Result<std::string, std::string> flag_file(const char* flag, const std::string& path) {
  auto text = read_file(path);
  if (!text) return Err(fmt::format("--{}: {}", flag, text.error()));
  return std::move(*text);
}

// The --oidc-* flags as an issuer; false = there are none.
Result<bool, std::string> issuer_of_flags(const AccessConfig& config, JwtIssuerConfig& out) {
  if (config.oidc_issuer_url.empty() && config.oidc_client_id.empty()) return false;
  if (config.oidc_issuer_url.empty() || config.oidc_client_id.empty()) {
    return Err(
        std::string("oidc-issuer-url and oidc-client-id must be specified together when "
                    "any oidc flags are specified"));
  }
  if (!config.oidc_issuer_url.starts_with("https://")) {
    return Err(std::string("--oidc-issuer-url: URL scheme must be https"));
  }
  out.url = config.oidc_issuer_url;
  out.audiences = {config.oidc_client_id};
  out.algorithms = config.oidc_signing_algs.empty() ? List{"RS256"} : config.oidc_signing_algs;
  const JwtIssuerConfig known;
  for (const auto& algorithm : out.algorithms) {
    const auto& all = known.algorithms;
    if (std::find(all.begin(), all.end(), algorithm) != all.end()) continue;
    return Err(fmt::format("--oidc-signing-algs: unsupported signing algorithm {}", algorithm));
  }
  if (!config.oidc_ca_file.empty()) {
    ORCH_TRY(out.ca_pem, flag_file("oidc-ca-file", config.oidc_ca_file));
  }
  // Names of one's own issuer and names of Kubernetes stay apart unless "-" says otherwise.
  std::string prefix = config.oidc_username_prefix;
  if (prefix.empty() && config.oidc_username_claim != "email") prefix = out.url + "#";
  if (prefix == "-") prefix.clear();
  out.username = {config.oidc_username_claim, prefix};
  out.groups = {config.oidc_groups_claim, config.oidc_groups_prefix};
  for (const auto& pair : config.oidc_required_claim) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      return Err(fmt::format("--oidc-required-claim: \"{}\" is not of the form key=value", pair));
    }
    out.required_claims[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return true;
}

Result<Unit, std::string> add_issuer(const Clock& clock, JwtIssuerConfig config, const char* flag,
                                     Sources& sources) {
  const std::string url = config.url;
  auto issuer = JwtIssuer::create(clock, std::move(config));
  if (!issuer) return Err(fmt::format("--{}: {}: {}", flag, url, issuer.error()));
  sources.push_back(std::move(*issuer));
  return Unit{};
}

Result<Unit, std::string> make_authentication(const Access::Deps& deps, const AccessConfig& config,
                                              Sources& sources, AuthenticatorOptions& options) {
  const Clock& clock = deps.env.clock;
  sources.push_back(std::make_unique<BootstrapTokens>(clock, deps.client));
  options.anonymous = config.anonymous_auth;
  options.request_header = request_header_options(config);
  JwtIssuerConfig issuer;
  ORCH_TRY(const bool by_flags, issuer_of_flags(config, issuer));
  if (!config.authentication_config.empty()) {
    if (by_flags) {
      return Err(std::string("authentication-config file and oidc-* flags are mutually exclusive"));
    }
    ORCH_TRY(const auto text, flag_file("authentication-config", config.authentication_config));
    auto file = parse_authentication_file(text);
    if (!file) {
      return Err(fmt::format("--authentication-config: {}: {}", config.authentication_config,
                             file.error()));
    }
    for (auto& entry : file->issuers) {
      ORCH_CHECK(add_issuer(clock, std::move(entry), "authentication-config", sources));
    }
    options.anonymous = file->anonymous.value_or(options.anonymous);
    options.anonymous_paths = std::move(file->anonymous_paths);
  } else if (by_flags) {
    ORCH_CHECK(add_issuer(clock, std::move(issuer), "oidc-issuer-url", sources));
  }
  if (config.authentication_token_webhook_config_file.empty()) return Unit{};
  ORCH_TRY(const Micros lifetime, flag_duration("authentication-token-webhook-cache-ttl",
                                                config.authentication_token_webhook_cache_ttl));
  auto call = make_webhook(config.authentication_token_webhook_config_file, kWebhookTimeout);
  if (!call) return Err("--authentication-token-webhook-config-file: " + call.error());
  sources.push_back(std::make_unique<WebhookTokens>(clock, std::move(*call), lifetime));
  return Unit{};
}

Result<std::vector<AuthorizerEntry>, std::string> entries_of(const AccessConfig& config) {
  if (!config.authorization_config.empty()) {
    if (!config.authorization_mode.empty() || !config.authorization_webhook_config_file.empty()) {
      return Err(
          std::string("--authorization-config can not be specified when "
                      "--authorization-mode or --authorization-webhook-* flags are "
                      "defined"));
    }
    ORCH_TRY(const auto text, flag_file("authorization-config", config.authorization_config));
    auto entries = parse_authorization_file(text);
    if (entries) return entries;
    return Err(fmt::format("--authorization-config: {}: {}", config.authorization_config,
                           entries.error()));
  }
  List modes = config.authorization_mode;
  if (modes.empty()) modes = {"Node", "RBAC"};
  std::vector<AuthorizerEntry> out;
  for (const auto& mode : modes) {
    AuthorizerEntry entry;
    entry.type = entry.name = mode;
    const bool twice =
        std::any_of(out.begin(), out.end(), [&](const auto& other) { return other.type == mode; });
    if (twice) {
      return Err(fmt::format("authorization-mode \"{}\" has mode specified more than once", mode));
    }
    if (mode == "Webhook") {
      if (config.authorization_webhook_config_file.empty()) {
        return Err(
            std::string("authorization-mode Webhook's authorization config file not passed"));
      }
      entry.kubeconfig = config.authorization_webhook_config_file;
      ORCH_TRY(entry.authorized_ttl,
               flag_duration("authorization-webhook-cache-authorized-ttl",
                             config.authorization_webhook_cache_authorized_ttl));
      ORCH_TRY(entry.unauthorized_ttl,
               flag_duration("authorization-webhook-cache-unauthorized-ttl",
                             config.authorization_webhook_cache_unauthorized_ttl));
    } else if (mode != "Node" && mode != "RBAC" && mode != "AlwaysAllow" && mode != "AlwaysDeny") {
      return Err(fmt::format("authorization-mode \"{}\" is not a valid mode", mode));
    }
    out.push_back(std::move(entry));
  }
  return out;
}

Result<Modes, std::string> make_modes(const Access::Deps& deps, const AccessConfig& config) {
  ORCH_TRY(const auto entries, entries_of(config));
  Modes out;
  for (const auto& entry : entries) {
    if (entry.type == "Node") {
      out.push_back(std::make_unique<NodeAuthorizer>(deps.informers));
    } else if (entry.type == "RBAC") {
      out.push_back(std::make_unique<RbacAuthorizer>(deps.informers));
    } else if (entry.type == "Webhook") {
      auto call = make_webhook(entry.kubeconfig, std::chrono::duration_cast<Millis>(entry.timeout));
      if (!call) return Err("authorization webhook: " + call.error());
      out.push_back(std::make_unique<WebhookAuthorizer>(
          deps.env.clock, std::move(*call),
          WebhookAuthorizer::Options{entry.authorized_ttl, entry.unauthorized_ttl,
                                     entry.deny_on_failure}));
    } else {
      out.push_back(std::make_unique<FixedAuthorizer>(
          entry.type == "AlwaysAllow" ? Decision::kAllow : Decision::kNoOpinion));
    }
  }
  return out;
}

List without_empty(List names) {
  names.erase(std::remove(names.begin(), names.end(), ""), names.end());
  return names;
}

}  // namespace

RequestHeaderOptions request_header_options(const AccessConfig& config) {
  return {.allowed_names = without_empty(config.requestheader_allowed_names),
          .username_headers = without_empty(config.requestheader_username_headers),
          .uid_headers = without_empty(config.requestheader_uid_headers),
          .group_headers = without_empty(config.requestheader_group_headers),
          .extra_headers_prefix = without_empty(config.requestheader_extra_headers_prefix)};
}

Result<std::string, std::string> front_proxy_ca(const AccessConfig& config,
                                                const net::KeyPair& own) {
  if (config.requestheader_client_ca_file.empty()) return own.certificate_pem;
  ORCH_TRY(auto pem,
           flag_file("requestheader-client-ca-file", config.requestheader_client_ca_file));
  for (const auto& certificate : net::pem_certificates(pem)) {
    if (auto info = net::parse_certificate(certificate); !info) {
      return Err("--requestheader-client-ca-file: " + info.error());
    }
  }
  if (net::pem_certificates(pem).empty()) {
    return Err(std::string("--requestheader-client-ca-file: no PEM certificate found"));
  }
  return pem;
}

Result<std::unique_ptr<Access>, std::string> Access::create(const Deps& deps,
                                                            const AccessConfig& config,
                                                            const List& disabled) {
  std::unique_ptr<Access> access(new Access(deps.tokens));
  Sources sources;
  AuthenticatorOptions options;
  ORCH_CHECK(make_authentication(deps, config, sources, options));
  access->authenticator_ =
      std::make_unique<DefaultAuthenticator>(deps.tokens, std::move(sources), std::move(options));
  ORCH_TRY(auto modes, make_modes(deps, config));
  access->authorizer_ = std::make_unique<DefaultAuthorizer>(deps.informers, std::move(modes));

  AdmissionSettings settings;
  settings.enabled = config.enable_admission_plugins;
  settings.disabled = config.disable_admission_plugins;
  for (const auto& name : disabled) {
    if (PluginChain::knows(name)) settings.disabled.push_back(name);
  }
  if (!config.admission_control_config_file.empty()) {
    auto read = read_admission_configuration(config.admission_control_config_file, settings);
    if (!read) return Err("--admission-control-config-file: " + read.error());
  }
  ORCH_TRY(access->admission_, PluginChain::create({.informers = deps.informers,
                                                    .random = deps.env.random,
                                                    .client = deps.client,
                                                    .clock = &deps.env.clock,
                                                    .authorizer = access->authorizer_.get()},
                                                   settings));
  access->guard_ = std::make_unique<EscalationGuard>(*access->authorizer_, *access->admission_);
  return access;
}

}  // namespace orch::server
