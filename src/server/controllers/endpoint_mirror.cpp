// EndpointSlice mirroring: the shell.
#include <fmt/format.h>

#include "server/controllers/endpoint_slices.h"
#include "server/controllers/slice_writer.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Endpoints;
using corev1::Service;
using discoveryv1::EndpointSlice;

class MirrorReconciler final : public client::Reconciler {
 public:
  explicit MirrorReconciler(client::ControllerContext& context)
      : context_(context),
        services_(context.informers.lister<Service>()),
        endpoints_(context.informers.lister<Endpoints>()),
        slices_(context.informers.lister<EndpointSlice>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto endpoints = endpoints_.get(key.namespace_, key.name);
    // Without Endpoints their slices go by garbage collection.
    if (!endpoints || endpoints->metadata.deletionTimestamp) return client::done();
    const auto service = services_.get(key.namespace_, key.name);
    MirrorPlan plan;
    if (should_mirror(*endpoints, service.get())) plan = plan_mirror(*endpoints);
    const auto existing = slices_.by_index("owner", endpoints->metadata.uid);
    if (existing.empty() && plan.slices.empty()) return client::done();
    report(*endpoints, plan);
    ORCH_CHECK(write_slices(context_, existing, kMirrorController, std::move(plan.slices)));
    return client::done();
  }

 private:
  void report(const Endpoints& endpoints, const MirrorPlan& plan) {
    const auto subject = client::subject_of(endpoints);
    if (plan.invalid > 0) {
      context_.events.record(
          subject, "Warning", "InvalidIPAddress",
          fmt::format("Skipped {} invalid IP addresses when mirroring to EndpointSlices",
                      plan.invalid));
    }
    if (plan.skipped > 0) {
      context_.events.record(
          subject, "Warning", "TooManyAddressesToMirror",
          fmt::format("A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints "
                      "subset. {} addresses were skipped",
                      plan.skipped));
    }
  }

  client::ControllerContext context_;
  client::Lister<Service> services_;
  client::Lister<Endpoints> endpoints_;
  client::Lister<EndpointSlice> slices_;
};

}  // namespace

client::ControllerSpec endpoint_slice_mirroring_controller(client::ControllerContext&,
                                                           const ControllersConfig&) {
  return {.name = "endpointslice-mirroring-controller",
          .watches = {client::primary<Endpoints>(), client::primary<Service>(),
                      client::owned<EndpointSlice, Endpoints>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<MirrorReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
