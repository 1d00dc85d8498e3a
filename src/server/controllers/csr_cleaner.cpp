// CSR cleaner: certificate signing requests are forgotten an hour after they were decided, a day
// after they were made if nobody did.
#include <algorithm>

#include "orch/api/certificatesv1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using certificatesv1::CertificateSigningRequest;

constexpr Micros kDecided = std::chrono::hours{1};
constexpr Micros kPending = std::chrono::hours{24};

// When the request may go.
std::optional<WallTime> expiry(const CertificateSigningRequest& request) {
  std::optional<WallTime> soonest;
  const auto by = [&](WallTime at) { soonest = std::min(soonest.value_or(at), at); };
  for (const auto& condition : request.status.conditions) {
    const bool decided = condition.type == "Denied" || condition.type == "Failed" ||
                         (condition.type == "Approved" && !request.status.certificate.empty());
    if (decided) by(condition.lastUpdateTime.wall() + kDecided);
  }
  // Approved, but not signed yet, is neither decided nor pending.
  if (request.status.conditions.empty()) by(request.metadata.creationTimestamp.wall() + kPending);
  return soonest;
}

class CsrCleaner final : public client::Reconciler {
 public:
  explicit CsrCleaner(client::ControllerContext& context)
      : context_(context), requests_(context.informers.lister<CertificateSigningRequest>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto request = requests_.get("", key.name);
    const auto due = request ? expiry(*request) : std::nullopt;
    if (!due) return client::done();
    const WallTime now = context_.env.clock.now();
    if (*due > now) return client::requeue_after(*due - now);
    client::DeleteOptions options;
    options.uid = request->metadata.uid;
    auto removed = context_.client.remove<CertificateSigningRequest>("", key.name, options);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<CertificateSigningRequest> requests_;
};

}  // namespace

client::ControllerSpec csr_cleaner(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "certificatesigningrequest-cleaner-controller",
          .watches = {client::primary<CertificateSigningRequest>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<CsrCleaner>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
