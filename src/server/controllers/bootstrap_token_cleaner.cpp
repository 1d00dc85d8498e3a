// Bootstrap token cleaner: deletes bootstrap tokens (Secrets in kube-system) that have expired.
#include "orch/api/corev1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Secret;

// nullopt: it does not expire, or says nothing that is a time (then it is not accepted either).
std::optional<WallTime> expiry(const Secret& secret) {
  const auto at = secret.data.find("expiration");
  if (at == secret.data.end()) return std::nullopt;
  auto parsed = Time::parse(at->second);
  if (!parsed) return std::nullopt;
  return parsed->wall();
}

class TokenCleaner final : public client::Reconciler {
 public:
  explicit TokenCleaner(client::ControllerContext& context)
      : context_(context), secrets_(context.informers.lister<Secret>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto secret = secrets_.get(key.namespace_, key.name);
    if (!secret || secret->metadata.deletionTimestamp) return client::done();
    const auto due = expiry(*secret);
    if (!due) return client::done();
    const WallTime now = context_.env.clock.now();
    if (*due > now) return client::requeue_after(*due - now);
    client::DeleteOptions options;
    options.uid = secret->metadata.uid;
    options.resource_version = secret->metadata.resourceVersion;
    auto removed = context_.client.remove<Secret>(key.namespace_, key.name, options);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<Secret> secrets_;
};

}  // namespace

client::ControllerSpec bootstrap_token_cleaner(client::ControllerContext&,
                                               const ControllersConfig&) {
  return {.name = "token-cleaner-controller",
          .watches = {client::mapped<Secret>([](const Secret& secret) -> std::vector<ObjectKey> {
            if (secret.metadata.namespace_ != "kube-system" ||
                secret.type_ != "bootstrap.kubernetes.io/token") {
              return {};
            }
            return {key_of(secret)};
          })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<TokenCleaner>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
