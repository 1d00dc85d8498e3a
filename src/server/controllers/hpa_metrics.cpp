// The metrics APIs, as an autoscaler asks them. What nobody serves is an error like any other.
#include <fmt/format.h>

#include "orch/api/metricsv1beta1.h"
#include "orch/api/selector.h"
#include "orch/base/json_scan.h"
#include "server/controllers/hpa.h"

namespace orch::server {
namespace {

using namespace api;
using autoscalingv2::MetricIdentifier;
using Samples = Result<PodSamples, std::string>;

std::string selector_of(const MetricIdentifier& metric) {
  if (!metric.selector) return "";
  auto parsed = LabelSelector::from(*metric.selector);
  return parsed ? parsed->str() : "";
}

int64_t milli_of(std::string_view object) {
  auto quantity = Quantity::parse(json_string_at(object, "value").value_or("0"));
  return quantity ? quantity->milli() : 0;
}

// Plural and names of a described object's kind; "" = unknown.
const ResourceInfo* resource_of_kind(const autoscalingv2::CrossVersionObjectReference& target) {
  const size_t slash = target.apiVersion.find('/');
  const bool core = slash == std::string::npos;
  return find_resource_by_kind(core ? "" : target.apiVersion.substr(0, slash),
                               core ? target.apiVersion : target.apiVersion.substr(slash + 1),
                               target.kind);
}

}  // namespace

Samples HpaMetrics::resource(const std::string& ns, const std::string& selector,
                             const std::string& resource, const std::string& container) {
  auto list = context_.client.list<metricsv1beta1::PodMetrics>(ns, {.label_selector = selector});
  if (!list) {
    return Err("unable to fetch metrics from resource metrics API: " + list.error().message);
  }
  if (list->items.empty()) return Err(std::string("no metrics returned from resource metrics API"));
  PodSamples out;
  for (const auto& pod : list->items) {
    PodSample sample{0, pod->timestamp.wall(), Micros{pod->window.nanos / 1000}};
    bool complete = true, found = container.empty();
    for (const auto& c : pod->containers) {
      if (!container.empty() && c.name != container) continue;
      found = true;
      const auto usage = c.usage.find(resource);
      complete = complete && usage != c.usage.end();
      if (complete) sample.milli += usage->second.milli();
    }
    if (!found) {
      return Err(
          fmt::format("failed to get container metrics: container {} not present in metrics "
                      "for pod {}/{}",
                      container, ns, pod->metadata.name));
    }
    if (complete) out[pod->metadata.name] = sample;
  }
  return out;
}

Samples HpaMetrics::pods(const std::string& ns, const std::string& selector,
                         const MetricIdentifier& metric) {
  client::Request request{.verb = "get",
                          .group = "custom.metrics.k8s.io",
                          .version = "v1beta2",
                          .resource = "pods",
                          .namespace_ = ns,
                          .name = "*",
                          .subresource = metric.name,
                          .query = {{"labelSelector", selector}}};
  if (auto of = selector_of(metric); !of.empty()) {
    request.query.emplace_back("metricLabelSelector", of);
  }
  auto answer = context_.client.raw().transport().call(request);
  if (!answer) {
    return Err(
        fmt::format("unable to fetch metrics from custom metrics API: {}", answer.error().message));
  }
  PodSamples out;
  json_elements(json_member(answer->body, "items").value_or(""), [&](std::string_view item) {
    const auto at = Time::parse(json_string_at(item, "timestamp").value_or(""));
    PodSample sample{milli_of(item), at ? at->wall() : WallTime{}, Seconds{60}};
    out[json_string_at(item, "describedObject.name").value_or("")] = sample;
    return true;
  });
  if (out.empty()) return Err(std::string("no metrics returned from custom metrics API"));
  return out;
}

Result<int64_t, std::string> HpaMetrics::object(
    const std::string& ns, const autoscalingv2::CrossVersionObjectReference& target,
    const MetricIdentifier& metric) {
  const auto* resource = resource_of_kind(target);
  if (resource == nullptr) {
    return Err(fmt::format("unable to get metric {}: no matches for kind \"{}\" in version \"{}\"",
                           metric.name, target.kind, target.apiVersion));
  }
  const GroupResource plural = resource->group_resource();
  client::Request request{.verb = "get",
                          .group = "custom.metrics.k8s.io",
                          .version = "v1beta2",
                          .resource = plural.str(),
                          .namespace_ = ns,
                          .name = target.name,
                          .subresource = metric.name};
  if (auto of = selector_of(metric); !of.empty()) {
    request.query.emplace_back("metricLabelSelector", of);
  }
  auto answer = context_.client.raw().transport().call(request);
  if (!answer) {
    return Err(fmt::format("unable to get metric {}: {} on {} {}/{}", metric.name, target.kind, ns,
                           target.name, answer.error().message));
  }
  std::optional<int64_t> value;
  json_elements(json_member(answer->body, "items").value_or(""), [&](std::string_view item) {
    value = milli_of(item);
    return false;
  });
  if (!value) return Err(std::string("no metrics returned from custom metrics API"));
  return *value;
}

Result<int64_t, std::string> HpaMetrics::external(const std::string& ns,
                                                  const MetricIdentifier& metric) {
  const std::string selector = selector_of(metric);
  client::Request request{.verb = "list",
                          .group = "external.metrics.k8s.io",
                          .version = "v1beta1",
                          .resource = metric.name,
                          .namespace_ = ns};
  if (!selector.empty()) request.query.emplace_back("labelSelector", selector);
  auto answer = context_.client.raw().transport().call(request);
  if (!answer) {
    return Err(
        fmt::format("unable to get external metric {}/{}/{}: unable to fetch metrics from "
                    "external metrics API: {}",
                    ns, metric.name, selector, answer.error().message));
  }
  int64_t sum = 0;
  bool any = false;
  json_elements(json_member(answer->body, "items").value_or(""), [&](std::string_view item) {
    sum += milli_of(item);
    any = true;
    return true;
  });
  if (!any) return Err(std::string("no metrics returned from external metrics API"));
  return sum;
}

}  // namespace orch::server
