// Tokens in Secrets of type kubernetes.io/service-account-token: fills in a token bound to the
// Secret, the CA and the namespace; deletes the Secret when its ServiceAccount is gone.
#include "orch/api/authenticationv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Secret;
using corev1::ServiceAccount;

constexpr const char* kAccountName = "kubernetes.io/service-account.name";
constexpr const char* kAccountUid = "kubernetes.io/service-account.uid";
// Such tokens live as long as their Secret: the longest that can be asked for.
constexpr int64_t kLongest = int64_t{1} << 32;

bool is_token_secret(const Secret& secret) {
  return secret.type_ == "kubernetes.io/service-account-token";
}

std::string annotation(const Secret& secret, const char* key) {
  const auto at = secret.metadata.annotations.find(key);
  return at == secret.metadata.annotations.end() ? "" : at->second;
}

class TokenSecrets final : public client::Reconciler {
 public:
  TokenSecrets(client::ControllerContext& context, std::string ca_pem)
      : context_(context),
        ca_pem_(std::move(ca_pem)),
        secrets_(context.informers.lister<Secret>()),
        accounts_(context.informers.lister<ServiceAccount>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto secret = secrets_.get(key.namespace_, key.name);
    if (!secret || !is_token_secret(*secret) || secret->metadata.deletionTimestamp) {
      return client::done();
    }
    const std::string name = annotation(*secret, kAccountName);
    const std::string uid = annotation(*secret, kAccountUid);
    auto account = accounts_.get(key.namespace_, name);
    if (!account || (!uid.empty() && account->metadata.uid != uid)) {
      // The cache may not know the account yet.
      auto live = context_.client.get<ServiceAccount>(key.namespace_, name);
      if (!live && !live.error().is("NotFound")) return Err(live.error());
      if (!live || (!uid.empty() && live->metadata.uid != uid)) return remove(*secret);
      account = std::make_shared<const ServiceAccount>(std::move(*live));
    }
    return fill(*secret, *account);
  }

 private:
  client::ReconcileResult remove(const Secret& secret) {
    client::DeleteOptions options;
    options.uid = secret.metadata.uid;
    options.resource_version = secret.metadata.resourceVersion;
    auto removed =
        context_.client.remove<Secret>(secret.metadata.namespace_, secret.metadata.name, options);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

  client::ReconcileResult fill(const Secret& secret, const ServiceAccount& account) {
    Secret changed = secret;
    changed.metadata.annotations[kAccountUid] = account.metadata.uid;
    if (!ca_pem_.empty()) changed.data["ca.crt"] = ca_pem_;
    if (changed.data["namespace"].empty()) changed.data["namespace"] = secret.metadata.namespace_;
    if (changed.data["token"].empty()) {
      auto token = issue(secret, account);
      if (!token) return Err(token.error());
      changed.data["token"] = std::move(*token);
    }
    if (equal(changed, secret)) return client::done();
    auto written = context_.client.update(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

  ApiResult<std::string> issue(const Secret& secret, const ServiceAccount& account) {
    authenticationv1::TokenRequest request;
    request.spec.expirationSeconds = kLongest;
    auto& bound = request.spec.boundObjectRef.ensure();
    bound.apiVersion = "v1";
    bound.kind = "Secret";
    bound.name = secret.metadata.name;
    bound.uid = secret.metadata.uid;
    ORCH_TRY(const auto answer, context_.client.raw().post_subresource(
                                    resource_of<ServiceAccount>(), account.metadata.namespace_,
                                    account.metadata.name, "token", to_json(request)));
    auto issued = from_json<authenticationv1::TokenRequest>(answer);
    if (!issued) return Err(internal_error("the token's answer cannot be read"));
    return std::move(issued->status.token);
  }

  client::ControllerContext context_;
  const std::string ca_pem_;
  client::Lister<Secret> secrets_;
  client::Lister<ServiceAccount> accounts_;
};

}  // namespace

client::ControllerSpec token_secrets_controller(client::ControllerContext& context,
                                                const ControllersConfig& config) {
  auto secrets = context.informers.lister<Secret>();
  const auto of_account = [secrets](const ServiceAccount& account) {
    std::vector<ObjectKey> keys;
    for (const auto& secret : secrets.list(account.metadata.namespace_)) {
      if (is_token_secret(*secret) && annotation(*secret, kAccountName) == account.metadata.name) {
        keys.push_back(key_of(*secret));
      }
    }
    return keys;
  };
  const auto of_secret = [](const Secret& secret) -> std::vector<ObjectKey> {
    if (!is_token_secret(secret)) return {};
    return {key_of(secret)};
  };
  return {
      .name = "serviceaccount-token-controller",
      .watches = {client::mapped<Secret>(of_secret), client::mapped<ServiceAccount>(of_account)},
      .strands = 1,
      .make = [ca = config.root_ca_pem](client::ControllerContext& c)
          -> std::unique_ptr<client::Reconciler> { return std::make_unique<TokenSecrets>(c, ca); },
      .initial_keys = {}};
}

}  // namespace orch::server
