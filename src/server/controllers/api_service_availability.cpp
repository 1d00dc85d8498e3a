// APIService availability, of those that other servers serve: the condition Available says what is
// missing (kube-aggregator's reasons). Requests for them are not forwarded by this server: with
// Service and endpoints in place that is what the condition says.
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/apiregistrationv1.h"
#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using apiregistrationv1::APIService;
using corev1::Service;
using discoveryv1::EndpointSlice;

constexpr const char* kServiceName = "kubernetes.io/service-name";

struct Verdict {
  std::string reason, message;
};

bool has_ready_endpoint(const EndpointSlice& slice, const std::string& port) {
  const bool serves = std::any_of(slice.ports.begin(), slice.ports.end(),
                                  [&](const auto& p) { return p.name.value_or("") == port; });
  return serves && std::any_of(slice.endpoints.begin(), slice.endpoints.end(),
                               [](const auto& e) { return e.conditions.ready.value_or(true); });
}

class Availability final : public client::Reconciler {
 public:
  explicit Availability(client::ControllerContext& context)
      : context_(context),
        api_services_(context.informers.lister<APIService>()),
        services_(context.informers.lister<Service>()),
        slices_(context.informers.lister<EndpointSlice>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto api_service = api_services_.get("", key.name);
    if (!api_service || !api_service->spec.service || api_service->metadata.deletionTimestamp) {
      return client::done();
    }
    const Verdict verdict = judge(*api_service);
    APIService changed = *api_service;
    auto& conditions = changed.status.conditions;
    auto at = std::find_if(conditions.begin(), conditions.end(),
                           [](const auto& c) { return c.type == "Available"; });
    if (at == conditions.end()) at = conditions.emplace(conditions.end());
    if (at->status == "False" && at->reason == verdict.reason && at->message == verdict.message) {
      return client::done();
    }
    if (at->status != "False") at->lastTransitionTime = Time(context_.env.clock.now());
    at->type = "Available";
    at->status = "False";
    at->reason = verdict.reason;
    at->message = verdict.message;
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

 private:
  Verdict judge(const APIService& api_service) const {
    const auto& wanted = *api_service.spec.service;
    const auto service = services_.get(wanted.namespace_, wanted.name);
    const std::string where = fmt::format("service/{} in \"{}\"", wanted.name, wanted.namespace_);
    if (!service) return {"ServiceNotFound", where + " is not present"};
    if (service->spec.type == "ExternalName") return not_forwarded();
    const int port = wanted.port.value_or(443);
    const auto& ports = service->spec.ports;
    const auto found =
        std::find_if(ports.begin(), ports.end(), [&](const auto& p) { return p.port == port; });
    if (found == ports.end()) {
      return {"ServicePortError", fmt::format("{} is not listening on port {}", where, port)};
    }
    bool any = false;
    for (const auto& slice : slices_.list(wanted.namespace_)) {
      auto label = slice->metadata.labels.find(kServiceName);
      if (label == slice->metadata.labels.end() || label->second != wanted.name) continue;
      any = true;
      if (has_ready_endpoint(*slice, found->name)) return not_forwarded();
    }
    if (!any) {
      return {"EndpointsNotFound", fmt::format("cannot find endpoints for {}", where)};
    }
    return {"MissingEndpoints",
            fmt::format("endpoints for {} have no addresses with port name \"{}\"", where,
                        found->name)};
  }
  static Verdict not_forwarded() {
    return {"FailedDiscoveryCheck", "this server does not forward requests to other API servers"};
  }

  client::ControllerContext context_;
  client::Lister<APIService> api_services_;
  client::Lister<Service> services_;
  client::Lister<EndpointSlice> slices_;
};

}  // namespace

client::ControllerSpec api_service_availability(client::ControllerContext& context,
                                                const ControllersConfig&) {
  auto all = context.informers.lister<APIService>();
  const auto of_service = [all](const std::string& ns, const std::string& name) {
    std::vector<ObjectKey> keys;
    for (const auto& api_service : all.list()) {
      const auto& service = api_service->spec.service;
      if (service && service->namespace_ == ns && service->name == name) {
        keys.push_back(key_of(*api_service));
      }
    }
    return keys;
  };
  return {.name = "apiservice-status-remote-available-controller",
          .watches = {client::primary<APIService>(),
                      client::mapped<Service>([of_service](const Service& service) {
                        return of_service(service.metadata.namespace_, service.metadata.name);
                      }),
                      client::mapped<EndpointSlice>([of_service](const EndpointSlice& slice) {
                        auto label = slice.metadata.labels.find(kServiceName);
                        return label == slice.metadata.labels.end()
                                   ? std::vector<ObjectKey>{}
                                   : of_service(slice.metadata.namespace_, label->second);
                      })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<Availability>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
