// All controllers against the real API server over the memory store, in virtual time.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/coordinationv1.h"
#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "server/controllers/controllers.h"
#include "server/controllers/daemon_set.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {

namespace corev1 = api::corev1;
namespace appsv1 = api::appsv1;

// Lets a test act right before a request of the controllers: what they know is then behind.
class Watched final : public client::Transport {
 public:
  explicit Watched(std::unique_ptr<client::Transport> inner) : inner_(std::move(inner)) {}
  api::ApiResult<client::Response> call(const client::Request& request) override {
    if (before) before(request);
    if (answer) {
      if (auto body = answer(request)) return client::Response{200, *body};
    }
    return inner_->call(request);
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const client::Request& request, client::WatchCallbacks callbacks) override {
    return inner_->watch(request, std::move(callbacks));
  }
  std::function<void(const client::Request&)> before;
  // In place of the API server, where it returns a body: of APIs that others serve.
  std::function<std::optional<std::string>(const client::Request&)> answer;

 private:
  const std::unique_ptr<client::Transport> inner_;
};

struct Cluster : ApiFixture {
  std::unique_ptr<Watched> transport = std::make_unique<Watched>(server->local_transport(
      {.name = "system:kube-controller-manager", .groups = {"system:masters"}}));
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  std::unique_ptr<client::EventRecorder> events =
      client::make_event_recorder(env, *transport, "controllermanager");
  Controllers controllers{
      env, client, informers, *events, {.cluster_cidr = "10.42.0.0/16", .root_ca_pem = "the CA"}};

  Cluster() {
    controllers.start();
    informers.start_all();
    settle();
  }
  ~Cluster() {
    controllers.stop();
    informers.stop();
    executor->run_until_idle();
    events.reset();
  }

  void settle() { advance(Millis{200}); }

  Answer must_post(const std::string& path, const std::string& body) {
    auto answer = post(path, body);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    return answer;
  }
  void must_delete(const std::string& path, const std::string& policy = "") {
    const auto answer = del(path, policy.empty() ? ""
                                                 : R"({"kind":"DeleteOptions","apiVersion":"v1",)"
                                                   R"("propagationPolicy":")" +
                                                       policy + "\"}");
    INFO(answer.body);
    REQUIRE((answer.status == 200 || answer.status == 202));
    settle();
  }

  template <class T>
  std::vector<std::shared_ptr<const T>> all(const std::string& ns = "default") {
    auto list = client.list<T>(ns);
    REQUIRE(list);
    return list->items;
  }
  std::vector<std::shared_ptr<const corev1::Pod>> pods(const std::string& ns = "default") {
    return all<corev1::Pod>(ns);
  }

  // Bound (to n1, unless pinned), running, ready, with an address: what scheduler and agent would
  // do. Pods that are being deleted go.
  void agents_act() {
    for (int round = 0; round < 20; ++round) {
      bool acted = false;
      for (const auto& pod : pods("")) {
        const std::string path =
            "/api/v1/namespaces/" + pod->metadata.namespace_ + "/pods/" + pod->metadata.name;
        if (pod->metadata.deletionTimestamp) {
          del(path + "?gracePeriodSeconds=0");
          acted = true;
          continue;
        }
        if (pod->status.phase == "Running") continue;
        if (pod->spec.nodeName.empty()) {
          post(path + "/binding", R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":")" +
                                      pod->metadata.name + R"("},"target":{"name":")" +
                                      node_of(*pod) + "\"}}");
        }
        // Its controller may have thought better of it.
        if (get(path).status == 200) run_pod(path);
        acted = true;
      }
      settle();
      if (!acted) return;
    }
    FAIL("pods never come to rest");
  }
  static std::string node_of(const corev1::Pod& pod) {
    const std::string pinned = target_node(pod);
    return pinned.empty() ? "n1" : pinned;
  }
  void run_pod(const std::string& path) {
    const std::string ip = "10.42.0." + std::to_string(++addresses);
    const auto answer = patch(
        path + "/status", "application/merge-patch+json",
        R"({"status":{"phase":"Running","podIP":")" + ip + R"(","podIPs":[{"ip":")" + ip +
            R"("}],"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2024-01-01T00:00:00Z"}]}})");
    INFO(answer.body);
    REQUIRE(answer.status == 200);
  }

  std::string revision() { return get("/api/v1/configmaps").at("metadata.resourceVersion"); }
  // At the fixpoint nobody writes.
  void check_quiet() {
    settle();
    const std::string before = revision();
    advance(Millis{300});
    CHECK(revision() == before);
  }
  std::vector<std::string> events_of(const std::string& name) {
    std::vector<std::string> out;
    for (const auto& event : all<corev1::Event>()) {
      if (event->involvedObject.name == name) out.push_back(event->reason + ": " + event->message);
    }
    return out;
  }
  int addresses = 1;
};

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr const char* kReplicaSets = "/apis/apps/v1/namespaces/default/replicasets";

inline std::string deployment(const std::string& name, int replicas,
                              const std::string& image = "v1", const std::string& spec_more = "") {
  return R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")" + name +
         R"("},"spec":{"replicas":)" + std::to_string(replicas) +
         R"(,"selector":{"matchLabels":{"app":")" + name +
         R"("}},"template":{"metadata":{"labels":{"app":")" + name +
         R"("}},"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}})" + spec_more +
         "}}";
}

}  // namespace orch::server::test
