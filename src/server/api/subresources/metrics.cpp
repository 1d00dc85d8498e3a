// metrics.k8s.io/v1beta1: NodeMetrics and PodMetrics, computed when asked for (metrics_window.h).
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/metricsv1beta1.h"
#include "orch/base/log.h"
#include "server/api/encode.h"
#include "server/api/internals.h"
#include "server/api/subresources/subresources.h"

namespace orch::server {
namespace {

using api::metricsv1beta1::NodeMetrics;
using api::metricsv1beta1::PodMetrics;

constexpr size_t kFetchersMax = 8;

bool is_ready(const api::corev1::Node& node) {
  for (const auto& condition : node.status.conditions) {
    if (condition.type == "Ready") return condition.status == "True";
  }
  return false;
}

std::optional<NodeSample> sample_of(ApiServer& server, const std::string& node) {
  auto client = server.nodes().kubelet(node);
  if (!client) return std::nullopt;
  auto answer = (*client)->request("GET", "/metrics/resource", {}, "");
  if (answer && answer->status == 200) return parse_resource_metrics(answer->body);
  log::warn("api", "metrics of node {}: {}", node,
            answer ? fmt::format("status {}", answer->status) : answer.error());
  return std::nullopt;
}

ClusterSample sample_nodes(ApiServer& server) {
  ClusterSample out;
  const auto& resource = api::resource_of<api::corev1::Node>();
  auto page = server.registry().list_all(resource);
  if (!page) return out;
  std::vector<std::string> names;
  for (const Stored& stored : page->items) {
    auto node = Registry::decode(resource, stored);
    if (!node || !is_ready(static_cast<const api::corev1::Node&>(**node))) continue;
    names.push_back((*node)->metadata.name);
  }
  std::mutex mutex;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < names.size();) {
      auto sample = sample_of(server, names[i]);
      std::lock_guard lock(mutex);
      if (sample) out.emplace(names[i], std::move(*sample));
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(names.size(), kFetchersMax); ++i) others.emplace_back(work);
  work();
  for (auto& thread : others) thread.join();
  return out;
}

std::shared_ptr<const UsageWindow> usage_of(ApiServer& server) {
  auto& internals = server.internals();
  std::shared_ptr<MetricsWindow> window;
  {
    std::lock_guard lock(internals.mutex);
    if (!internals.metrics) {
      internals.metrics = std::make_shared<MetricsWindow>(
          server.env().clock, [&server] { return sample_nodes(server); });
    }
    window = internals.metrics;
  }
  return window->get();
}

std::map<std::string, api::Quantity> quantities(const Usage& usage) {
  return {{"cpu",
           api::Quantity::parse(fmt::format("{}n", usage.cpu_nanocores)).value_or(api::Quantity())},
          {"memory", api::Quantity::of_bytes(usage.memory_bytes)}};
}

Stored stored_of(api::Object& object, const Stored& subject, WallTime now) {
  object.metadata.labels = {};
  for (auto& [key, value] : subject.labels()) object.metadata.labels.emplace(key, value);
  object.metadata.creationTimestamp = now;
  return {Stored::pack(Registry::encode(object)), subject.revision()};
}

Stored node_metrics(const std::string& name, const Usage& usage, const Stored& node, WallTime now) {
  NodeMetrics metrics;
  metrics.metadata.name = name;
  metrics.timestamp = usage.end;
  metrics.window.nanos = std::chrono::nanoseconds(usage.window).count();
  metrics.usage = quantities(usage);
  return stored_of(metrics, node, now);
}

Stored pod_metrics(const PodName& name, const std::map<std::string, Usage>& containers,
                   const Stored& pod, WallTime now) {
  PodMetrics metrics;
  metrics.metadata.namespace_ = name.first;
  metrics.metadata.name = name.second;
  for (const auto& [container, usage] : containers) {
    api::metricsv1beta1::ContainerMetrics item;
    item.name = container;
    item.usage = quantities(usage);
    metrics.containers.push_back(std::move(item));
    // The earliest end, as all containers were measured by then.
    if (metrics.window.nanos == 0 || usage.end < metrics.timestamp.wall()) {
      metrics.timestamp = usage.end;
      metrics.window.nanos = std::chrono::nanoseconds(usage.window).count();
    }
  }
  return stored_of(metrics, pod, now);
}

// The metrics of one Node or Pod as stored; false = none.
Stored metrics_of(const api::ResourceInfo& resource, const UsageWindow& window,
                  const Stored& subject, WallTime now) {
  const std::string name = subject.string_at("metadata.name").value_or("");
  if (!resource.namespaced) {
    const auto it = window.nodes.find(name);
    return it == window.nodes.end() ? Stored() : node_metrics(name, it->second, subject, now);
  }
  const PodName pod{subject.string_at("metadata.namespace").value_or(""), name};
  const auto it = window.pods.find(pod);
  if (it == window.pods.end() || it->second.empty()) return {};
  return pod_metrics(pod, it->second, subject, now);
}

}  // namespace

Answer answer_metrics(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                      net::HttpResponse& response) {
  const WallTime now = server.env().clock.now();
  ORCH_TRY(const Encoding encoding, encoding_of(call, now));
  const api::ResourceInfo& subjects = resource.namespaced ? api::resource_of<api::corev1::Pod>()
                                                          : api::resource_of<api::corev1::Node>();
  const RequestInfo& info = call.info;
  if (info.verb == "get") {
    const std::string shown = resource.namespaced ? info.namespace_ + "/" + info.name : info.name;
    auto subject = server.registry().get(subjects, info.namespace_, info.name);
    Stored found;
    if (subject) found = metrics_of(resource, *usage_of(server), *subject, now);
    if (!found) return Err(api::not_found(resource.group_resource(), shown));
    return answer_object(encoding, resource, found, 200, response);
  }
  ORCH_TRY(const ObjectFilter filter,
           ObjectFilter::make(resource, call.param("labelSelector"), call.param("fieldSelector")));
  ORCH_TRY(const Page all, server.registry().list_all(subjects, info.namespace_));
  const auto window = usage_of(server);
  Page page;
  page.revision = all.revision;
  for (const Stored& subject : all.items) {
    const Stored metrics = metrics_of(resource, *window, subject, now);
    if (metrics && (filter.empty() || filter.matches(metrics))) page.items.push_back(metrics);
  }
  return answer_list(encoding, resource, std::move(page), response);
}

}  // namespace orch::server
