#include "server/controllers/legacy_token_cleaner.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "orch/api/token_claims.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Pod;
using corev1::Secret;
using corev1::ServiceAccount;

constexpr Seconds kDay{24 * 3600};
constexpr Seconds kUnused{365 * kDay};

std::string day(WallTime time) { return Time(time).str().substr(0, 10); }

std::optional<WallTime> parse_day(const std::string& text) {
  auto time = Time::parse(text + "T00:00:00Z");
  if (!time) return std::nullopt;
  return time->wall();
}

std::string value_of(const std::map<std::string, std::string>& map, const char* key) {
  const auto at = map.find(key);
  return at == map.end() ? "" : at->second;
}

bool lists(const ServiceAccount& account, const std::string& secret) {
  return std::any_of(account.secrets.begin(), account.secrets.end(),
                     [&](const auto& reference) { return reference.name == secret; });
}

class LegacyTokenCleaner final : public client::Reconciler {
 public:
  explicit LegacyTokenCleaner(client::ControllerContext& context)
      : context_(context),
        secrets_(context.informers.lister<Secret>()),
        accounts_(context.informers.lister<ServiceAccount>()),
        pods_(context.informers.lister<Pod>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    const WallTime now = context_.env.clock.now();
    const auto tracking = context_.client.get<corev1::ConfigMap>("kube-system", kTokenTracking);
    if (!tracking && !tracking.error().is("NotFound")) return Err(tracking.error());
    if (tracking && tracked_long_enough(value_of(tracking->data, "since"), now)) {
      for (const auto& secret : secrets_.list("")) ORCH_CHECK(look_at(*secret, now));
    }
    return client::requeue_after(kDay);
  }

 private:
  Result<Unit, client::ReconcileError> look_at(const Secret& secret, WallTime now) {
    if (secret.type_ != "kubernetes.io/service-account-token") return Unit{};
    const auto& meta = secret.metadata;
    const auto account = accounts_.get(
        meta.namespace_, value_of(meta.annotations, "kubernetes.io/service-account.name"));
    if (!account ||
        account->metadata.uid != value_of(meta.annotations, "kubernetes.io/service-account.uid")) {
      return Unit{};
    }
    switch (plan_legacy_token({secret, *account, is_mounted(secret), now})) {
      case LegacyTokenMove::kKeep:
        return Unit{};
      case LegacyTokenMove::kInvalidate: {
        auto marked = context_.client.patch<Secret>(
            meta.namespace_, meta.name, PatchType::kMerge,
            fmt::format(
                R"({{"metadata":{{"uid":"{}","resourceVersion":"{}","labels":{{"{}":"{}"}}}}}})",
                meta.uid, meta.resourceVersion, kTokenInvalidSince, day(now)));
        return checked(marked);
      }
      case LegacyTokenMove::kDelete: {
        client::DeleteOptions options;
        options.uid = meta.uid;
        options.resource_version = meta.resourceVersion;
        return checked(context_.client.remove<Secret>(meta.namespace_, meta.name, options));
      }
    }
    return Unit{};
  }

  // One that changed meanwhile is looked at again tomorrow.
  template <class T>
  static Result<Unit, client::ReconcileError> checked(const ApiResult<T>& done) {
    if (done || done.error().is("NotFound") || done.error().is("Conflict")) return Unit{};
    return Err(client::ReconcileError(done.error()));
  }

  bool is_mounted(const Secret& secret) {
    for (const auto& pod : pods_.list(secret.metadata.namespace_)) {
      for (const auto& volume : pod->spec.volumes) {
        if (volume.secret && volume.secret->secretName == secret.metadata.name) return true;
      }
    }
    return false;
  }

  client::ControllerContext context_;
  client::Lister<Secret> secrets_;
  client::Lister<ServiceAccount> accounts_;
  client::Lister<Pod> pods_;
};

}  // namespace

LegacyTokenMove plan_legacy_token(const LegacyTokenFacts& facts) {
  const auto& meta = facts.secret.metadata;
  const WallTime limit = facts.now - kUnused;
  if (meta.deletionTimestamp || meta.creationTimestamp.wall() >= limit || facts.mounted ||
      !lists(facts.account, meta.name)) {
    return LegacyTokenMove::kKeep;
  }
  // Without the label it has not been used since use is noted.
  const std::string last_used = value_of(meta.labels, kTokenLastUsed);
  if (!last_used.empty() && (!parse_day(last_used) || last_used >= day(limit))) {
    return LegacyTokenMove::kKeep;
  }
  const std::string invalid_since = value_of(meta.labels, kTokenInvalidSince);
  if (!parse_day(invalid_since)) return LegacyTokenMove::kInvalidate;
  return invalid_since >= day(limit) ? LegacyTokenMove::kKeep : LegacyTokenMove::kDelete;
}

bool tracked_long_enough(const std::string& since, WallTime now) {
  const auto began = parse_day(since);
  // The first day was not noted from its beginning.
  return began && now - (*began + kDay) >= kUnused;
}

client::ControllerSpec legacy_token_cleaner(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "legacy-serviceaccount-token-cleaner-controller",
          .watches = {},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<LegacyTokenCleaner>(c);
          },
          .initial_keys = {{"", "all"}}};
}

}  // namespace orch::server
