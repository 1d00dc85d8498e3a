#include <catch2/catch.hpp>
#include <set>

#include "server/controllers/endpoint_slices.h"

namespace orch::server {
namespace {

using api::IntOrString;
using api::corev1::Pod;
using api::corev1::Service;

Service service(IntOrString target = 80) {
  Service out;
  out.metadata.name = "web";
  out.metadata.namespace_ = "default";
  out.metadata.uid = "service-uid";
  out.metadata.labels = {{"app", "web"}};
  out.spec.type = "ClusterIP";
  out.spec.clusterIP = "10.43.0.7";
  auto& port = out.spec.ports.emplace_back();
  port.name = "http";
  port.port = 8080;
  port.protocol = "TCP";
  port.targetPort = std::move(target);
  return out;
}

Pod pod(const std::string& name, const std::string& ip, bool ready = true, int32_t port = 80) {
  Pod out;
  out.metadata.name = name;
  out.metadata.namespace_ = "default";
  out.metadata.uid = "uid-" + name;
  out.spec.nodeName = "n1";
  auto& container = out.spec.containers.emplace_back();
  auto& container_port = container.ports.emplace_back();
  container_port.name = "main";
  container_port.containerPort = port;
  container_port.protocol = "TCP";
  out.status.phase = "Running";
  out.status.podIP = ip;
  auto& condition = out.status.conditions.emplace_back();
  condition.type = "Ready";
  condition.status = ready ? "True" : "False";
  return out;
}

auto slices_of(const Service& service, const std::vector<Pod>& pods,
               const std::vector<SlicePtr>& existing = {}) {
  std::vector<PodPtr> pointers;
  for (const auto& p : pods) pointers.push_back(std::make_shared<const Pod>(p));
  return plan_slices(
      service, pointers, [](const std::string& node) { return node == "n1" ? "zone-a" : ""; },
      existing);
}
auto endpoints_of(const Service& service, const std::vector<Pod>& pods) {
  std::vector<PodPtr> pointers;
  for (const auto& p : pods) pointers.push_back(std::make_shared<const Pod>(p));
  return plan_endpoints(service, pointers);
}

TEST_CASE("endpoint slices: a pod that comes or goes changes one slice") {
  std::vector<Pod> pods;
  for (int i = 0; i < 250; ++i) {
    pods.push_back(pod("p" + std::to_string(i), "10.42.1." + std::to_string(i)));
  }
  std::vector<SlicePtr> held;
  const auto changed = [&] {
    int count = 0;
    std::vector<SlicePtr> now;
    size_t endpoints = 0;
    for (auto& slice : slices_of(service(), pods, held)) {
      CHECK(slice.endpoints.size() <= kEndpointsPerSlice);
      endpoints += slice.endpoints.size();
      bool same = false;
      for (const auto& before : held) same = same || api::equal(*before, slice);
      count += same ? 0 : 1;
      now.push_back(std::make_shared<const api::discoveryv1::EndpointSlice>(std::move(slice)));
    }
    CHECK(endpoints == pods.size());
    for (const auto& before : held) {
      count += std::none_of(now.begin(), now.end(), [&](const auto& slice) {
        return slice->metadata.name == before->metadata.name;
      });
    }
    held = std::move(now);
    return count;
  };
  CHECK(changed() == 3);
  CHECK(changed() == 0);
  pods.push_back(pod("first", "10.42.0.1"));  // would be the first by its address
  CHECK(changed() == 1);
  CHECK(held.size() == 3);
  pods.erase(pods.begin());
  CHECK(changed() == 1);
  pods.erase(pods.begin(), pods.begin() + 200);
  CHECK(changed() == 3);
  CHECK(held.size() == 2);  // what is left stays where it is
  pods.clear();
  changed();
  CHECK(held.size() == 1);  // without ports and endpoints
  // Names that are free are taken again, never those that are not.
  for (int i = 0; i < 350; ++i) {
    pods.push_back(pod("q" + std::to_string(i), "10.42.2." + std::to_string(i)));
  }
  CHECK(changed() >= 4);
  std::set<std::string> names;
  for (const auto& slice : held) names.insert(slice->metadata.name);
  CHECK(names.size() == 4);
}

TEST_CASE("endpoint slices: PreferClose says which zone is near") {
  Service close = service();
  close.spec.trafficDistribution = "PreferClose";
  Pod elsewhere = pod("b", "10.42.0.6");
  elsewhere.spec.nodeName = "n2";  // of no zone
  const auto slices =
      slices_of(close, {pod("a", "10.42.0.5"), elsewhere, pod("c", "10.42.0.7", false)});
  const auto& endpoints = slices.at(0).endpoints;
  REQUIRE(endpoints.size() == 3);
  REQUIRE(endpoints[0].hints);
  CHECK(endpoints[0].hints->forZones.at(0).name == "zone-a");
  CHECK(!endpoints[1].hints);
  CHECK(!endpoints[2].hints);  // not ready
  CHECK(!slices_of(service(), {pod("a", "10.42.0.5")})[0].endpoints[0].hints);
}

TEST_CASE("endpoint mirroring: whose, and what of it") {
  api::corev1::Endpoints kept;
  Service by_hand = service();
  CHECK_FALSE(should_mirror(kept, nullptr));
  CHECK(should_mirror(kept, &by_hand));
  by_hand.spec.selector = {{"a", "b"}};
  CHECK_FALSE(should_mirror(kept, &by_hand));
  by_hand.spec.selector.clear();
  kept.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true";
  CHECK_FALSE(should_mirror(kept, &by_hand));
  kept.metadata.labels.clear();
  kept.metadata.annotations["control-plane.alpha.kubernetes.io/leader"] = "{}";
  CHECK_FALSE(should_mirror(kept, &by_hand));
  kept.metadata.annotations.clear();

  kept.metadata.name = "web";
  kept.metadata.annotations = {{"mine", "x"},
                               {"kubectl.kubernetes.io/last-applied-configuration", "y"}};
  auto& subset = kept.subsets.emplace_back();
  for (const char* ip : {"192.0.2.1", "2001:db8::1", "nonsense"}) {
    subset.addresses.emplace_back().ip = ip;
  }
  subset.notReadyAddresses.emplace_back().ip = "192.0.2.2";
  subset.ports.emplace_back().port = 80;
  auto plan = plan_mirror(kept);
  CHECK(plan.invalid == 1);
  REQUIRE(plan.slices.size() == 2);
  CHECK(plan.slices[0].addressType == "IPv4");
  CHECK(plan.slices[1].addressType == "IPv6");
  CHECK(plan.slices[0].metadata.name != plan.slices[1].metadata.name);
  CHECK(plan.slices[0].metadata.annotations == std::map<std::string, std::string>{{"mine", "x"}});
  REQUIRE(plan.slices[0].endpoints.size() == 2);
  CHECK(plan.slices[0].endpoints[0].conditions.ready == true);
  CHECK(plan.slices[0].endpoints[1].conditions.ready == false);
  for (int i = 0; i < 1100; ++i) {
    subset.addresses.emplace_back().ip =
        "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
  }
  plan = plan_mirror(kept);
  CHECK(plan.skipped == 103);
  CHECK(plan.slices.size() == 11);
}

TEST_CASE("endpoint slices: labels, owner, port, endpoint") {
  const auto slices = slices_of(service(), {pod("a", "10.42.0.5")});
  REQUIRE(slices.size() == 1);
  const auto& slice = slices[0];
  CHECK(slice.metadata.name.starts_with("web-"));
  CHECK(slice.metadata.labels ==
        std::map<std::string, std::string>{
            {"app", "web"},
            {"kubernetes.io/service-name", "web"},
            {"endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"}});
  CHECK(slice.metadata.ownerReferences[0].uid == "service-uid");
  CHECK(slice.addressType == "IPv4");
  REQUIRE(slice.ports.size() == 1);
  CHECK(slice.ports[0].name == "http");
  CHECK(slice.ports[0].port == 80);
  REQUIRE(slice.endpoints.size() == 1);
  const auto& endpoint = slice.endpoints[0];
  CHECK(endpoint.addresses == std::vector<std::string>{"10.42.0.5"});
  CHECK(endpoint.conditions.ready == true);
  CHECK(endpoint.conditions.serving == true);
  CHECK(endpoint.conditions.terminating == false);
  CHECK(endpoint.nodeName == "n1");
  CHECK(endpoint.zone == "zone-a");
  CHECK(endpoint.targetRef->name == "a");
  CHECK_FALSE(endpoint.hostname);
}

TEST_CASE("endpoint slices: not ready, terminating, finished, without an address") {
  Pod going = pod("going", "10.42.0.2");
  going.metadata.deletionTimestamp = WallTime{Seconds{1'700'000'000}};
  Pod done = pod("done", "10.42.0.3");
  done.status.phase = "Succeeded";
  const std::vector<Pod> pods = {pod("unready", "10.42.0.1", false), going, done, pod("new", "")};
  const auto slices = slices_of(service(), pods);
  REQUIRE(slices.size() == 1);
  REQUIRE(slices[0].endpoints.size() == 2);
  const auto& unready = slices[0].endpoints[0].conditions;
  CHECK(unready.ready == false);
  CHECK(unready.serving == false);
  CHECK(unready.terminating == false);
  const auto& terminating = slices[0].endpoints[1].conditions;
  CHECK(terminating.ready == false);
  CHECK(terminating.serving == true);
  CHECK(terminating.terminating == true);

  Service all = service();
  all.spec.publishNotReadyAddresses = true;
  const auto published = slices_of(all, pods)[0].endpoints;
  CHECK(published[0].conditions.ready == true);
  CHECK(published[1].conditions.ready == true);

  const auto endpoints = endpoints_of(service(), pods);
  REQUIRE(endpoints.subsets.size() == 1);
  CHECK(endpoints.subsets[0].addresses.empty());
  REQUIRE(endpoints.subsets[0].notReadyAddresses.size() == 1);
  CHECK(endpoints.subsets[0].notReadyAddresses[0].ip == "10.42.0.1");
  CHECK(endpoints_of(all, pods).subsets[0].addresses.size() == 2);
}

TEST_CASE("endpoint slices: named target ports that differ stand in slices of their own") {
  const auto named = service(IntOrString(std::string("main")));
  const auto slices = slices_of(
      named, {pod("a", "10.42.0.1"), pod("b", "10.42.0.2", true, 81), pod("c", "10.42.0.3")});
  REQUIRE(slices.size() == 2);
  CHECK(slices[0].ports[0].port == 80);
  CHECK(slices[0].endpoints.size() == 2);
  CHECK(slices[1].ports[0].port == 81);
  CHECK(slices[1].endpoints.size() == 1);
  CHECK(slices[0].metadata.name != slices[1].metadata.name);
  CHECK(endpoints_of(named, {pod("a", "10.42.0.1"), pod("b", "10.42.0.2", true, 81)})
            .subsets.size() == 2);

  const auto missing = service(IntOrString(std::string("nowhere")));
  CHECK(endpoints_of(missing, {pod("a", "10.42.0.1")}).subsets.empty());
  Pod sidecar = pod("s", "10.42.0.9");
  sidecar.spec.initContainers = sidecar.spec.containers;
  sidecar.spec.containers[0].ports.clear();
  CHECK(find_port(sidecar, named.spec.ports[0]) == 80);
}

TEST_CASE("endpoint slices: a hundred endpoints a slice, names that stay") {
  std::vector<Pod> pods;
  for (int i = 0; i < 250; ++i) {
    pods.push_back(pod("p" + std::to_string(i), "10.42.1." + std::to_string(i)));
  }
  const auto slices = slices_of(service(), pods);
  REQUIRE(slices.size() == 3);
  std::set<std::string> names, addresses;
  for (const auto& slice : slices) {
    CHECK(slice.endpoints.size() <= kEndpointsPerSlice);
    names.insert(slice.metadata.name);
    for (const auto& e : slice.endpoints) addresses.insert(e.addresses[0]);
  }
  CHECK(names.size() == 3);
  CHECK(addresses.size() == 250);
  std::reverse(pods.begin(), pods.end());
  const auto again = slices_of(service(), pods);
  for (size_t i = 0; i < 3; ++i) CHECK(api::equal(again[i], slices[i]));
}

TEST_CASE("endpoint slices: a Service without pods has one empty slice") {
  const auto slices = slices_of(service(), {});
  REQUIRE(slices.size() == 1);
  CHECK(slices[0].endpoints.empty());
  CHECK(slices[0].ports.empty());
  CHECK(endpoints_of(service(), {}).subsets.empty());
}

TEST_CASE("endpoint slices: headless services carry host names and a label") {
  Service headless = service();
  headless.spec.clusterIP = "None";
  Pod member = pod("db-0", "10.42.0.1");
  member.spec.hostname = "db-0";
  member.spec.subdomain = "web";
  Pod stranger = pod("x", "10.42.0.2");
  stranger.spec.hostname = "x";
  stranger.spec.subdomain = "other";
  const auto slices = slices_of(headless, {member, stranger});
  CHECK(slices[0].metadata.labels.count("service.kubernetes.io/headless") == 1);
  CHECK(slices[0].endpoints[0].hostname == "db-0");
  CHECK_FALSE(slices[0].endpoints[1].hostname);
  const auto endpoints = endpoints_of(headless, {member, stranger});
  CHECK(endpoints.subsets[0].addresses[0].hostname == "db-0");

  headless.spec.ports.clear();
  CHECK(slices_of(headless, {member})[0].endpoints.size() == 1);
  CHECK(endpoints_of(headless, {member}).subsets[0].addresses.size() == 1);
}

TEST_CASE("endpoints are cut off at a thousand, and say so") {
  std::vector<Pod> pods;
  for (int i = 0; i < 1001; ++i) {
    pods.push_back(pod("p" + std::to_string(i),
                       "10.42." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  const auto endpoints = endpoints_of(service(), pods);
  CHECK(endpoints.subsets[0].addresses.size() == 1000);
  CHECK(endpoints.metadata.annotations.at(kOverCapacity) == "truncated");
  pods.resize(1000);
  CHECK(endpoints_of(service(), pods).metadata.annotations.empty());
}

}  // namespace
}  // namespace orch::server
