#include "server/api/subresources/pod_resize.h"

#include "orch/api/corev1.h"
#include "orch/api/qos.h"
#include "server/api/resource_traits.h"

namespace orch::server {
namespace {

using api::corev1::Container;
using api::corev1::Pod;
using Amounts = std::map<std::string, api::Quantity>;

// A node that can resize says in the status what a container has.
bool node_resizes(const Pod& pod) {
  for (const auto& status : pod.status.containerStatuses) {
    if (status.state.running) return status.resources.has_value();
  }
  return true;
}

// The amounts with cpu and memory of `other`.
Amounts with_compute_of(Amounts amounts, const Amounts& other) {
  for (const char* name : {"cpu", "memory"}) {
    amounts.erase(name);
    if (const auto it = other.find(name); it != other.end()) amounts.insert(*it);
  }
  return amounts;
}

void take_resources(const std::vector<Container>& from, std::vector<Container>& to) {
  for (auto& container : to) {
    for (const auto& asked : from) {
      if (asked.name != container.name) continue;
      container.resources = asked.resources;
      container.resizePolicy = asked.resizePolicy;
    }
  }
}

void check(const Pod& now, const Pod& old, api::FieldErrors& errors) {
  if (api::qos_class(now.spec) != api::qos_class(old.spec)) {
    errors.invalid("spec", api::go_quoted(old.status.qosClass),
                   "Pod QOS Class may not change as a result of resizing");
  }
  if (!node_resizes(old)) {
    errors.forbidden("spec", "Pod running on node without support for resize");
  }
  api::corev1::PodSpec rest = now.spec;
  for (size_t i = 0; i < rest.containers.size(); ++i) {
    auto& resources = rest.containers[i].resources;
    const auto& before = old.spec.containers[i].resources;
    resources.requests = with_compute_of(resources.requests, before.requests);
    resources.limits = with_compute_of(resources.limits, before.limits);
  }
  if (api::equal(rest, old.spec)) return;
  errors.forbidden("spec",
                   "only cpu and memory resources are mutable\n" +
                       api::first_difference(api::corev1::PodSpec::type_info(), &old.spec, &rest));
}

}  // namespace

bool resizes_pod(const api::ResourceInfo& resource, std::string_view subresource) {
  return subresource == "resize" && is_resource(resource, "", "pods");
}

api::ApiResult<Unit> admit_pod_resize(const api::ResourceInfo& resource,
                                      const api::Object& old_object, api::Object& object) {
  const auto& old = static_cast<const Pod&>(old_object);
  auto& now = static_cast<Pod&>(object);
  const auto asked = std::move(now.spec.containers);
  auto fields = std::move(now.metadata.managedFields);
  now.metadata = old.metadata;
  now.metadata.managedFields = std::move(fields);
  now.spec = old.spec;
  now.status = old.status;
  take_resources(asked, now.spec.containers);
  api::FieldErrors errors;
  check(now, old, errors);
  auto causes = errors.take();
  // As a new Pod's: an update of a Pod itself may not change resources.
  for (auto& cause : api::validate(resource, now, nullptr)) causes.push_back(std::move(cause));
  if (causes.empty()) return Unit{};
  return Err(api::invalid("", "Pod", now.metadata.name, std::move(causes)));
}

}  // namespace orch::server
