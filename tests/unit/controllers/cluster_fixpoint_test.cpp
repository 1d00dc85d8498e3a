// At rest, controllers that start anew and look at everything once more write nothing.
#include "orch/api/policyv1.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;

// Passes everything on and notes what would change something.
class WatchedTransport final : public client::Transport {
 public:
  explicit WatchedTransport(client::Transport& below) : below_(below) {}
  api::ApiResult<client::Response> call(const client::Request& request) override {
    if (request.verb != "get" && request.verb != "list") {
      writes.push_back(request.verb + " " + request.resource + " " + request.namespace_ + "/" +
                       request.name + " " + request.subresource + " " + request.body);
    }
    return below_.call(request);
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const client::Request& request, client::WatchCallbacks callbacks) override {
    return below_.watch(request, std::move(callbacks));
  }
  std::vector<std::string> writes;

 private:
  client::Transport& below_;
};

std::string set_of(const std::string& kind, const std::string& more) {
  return R"({"apiVersion":"apps/v1","kind":")" + kind +
         R"(","metadata":{"name":"w"},"spec":{"selector":{"matchLabels":{"k":")" + kind +
         R"("}},"template":{"metadata":{"labels":{"k":")" + kind +
         R"("}},"spec":{"containers":[{"name":"c","image":"v1"}]}})" + more + "}}";
}

void fill(Cluster& c) {
  const std::string core = "/api/v1/namespaces/default/";
  const std::string apps = "/apis/apps/v1/namespaces/default/";
  c.must_post("/api/v1/namespaces", R"({"metadata":{"name":"kube-node-lease"}})");
  for (const char* node : {"n1", "n2"}) {
    c.must_post("/api/v1/nodes",
                R"({"metadata":{"name":")" + std::string(node) +
                    R"("},"status":{"conditions":[{"type":"Ready","status":"True",)"
                    R"("lastHeartbeatTime":"2024-01-01T00:00:00Z"}]}})");
  }
  c.must_post(kDeployments, deployment("web", 3));
  c.must_post(kDeployments, deployment("paused", 1, "v1", R"(,"paused":true)"));
  c.must_post(apps + "statefulsets",
              set_of("StatefulSet",
                     R"(,"replicas":2,"serviceName":"s","volumeClaimTemplates":[{"metadata":)"
                     R"({"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],"resources":)"
                     R"({"requests":{"storage":"1Gi"}}}}],"persistentVolumeClaimRetentionPolicy":)"
                     R"({"whenDeleted":"Delete","whenScaled":"Delete"})"));
  c.must_post(apps + "daemonsets", set_of("DaemonSet", ""));
  c.must_post(core + "replicationcontrollers",
              R"({"metadata":{"name":"rc"},"spec":{"replicas":1,"selector":{"app":"rc"},)"
              R"("template":{"metadata":{"labels":{"app":"rc"}},"spec":{"containers":)"
              R"([{"name":"c","image":"i"}]}}}})");
  c.must_post(kServices, R"({"metadata":{"name":"web"},"spec":{"selector":{"app":"web"},)"
                         R"("trafficDistribution":"PreferClose","ports":[{"port":80}]}})");
  c.must_post(kServices, R"({"metadata":{"name":"none"},"spec":{"selector":{"app":"none"},)"
                         R"("ports":[{"port":80}]}})");
  c.must_post(kServices, R"({"metadata":{"name":"db"},"spec":{"ports":[{"port":80}]}})");
  c.must_post(core + "endpoints",
              R"({"metadata":{"name":"db"},"subsets":[{"addresses":[{"ip":"192.0.2.1"}],)"
              R"("ports":[{"port":80}]}]})");
  for (const char* budget : {R"("maxUnavailable":"25%","selector":{"matchLabels":{"app":"web"}})",
                             R"("minAvailable":1,"selector":{"matchLabels":{"app":"none"}})"}) {
    c.must_post("/apis/policy/v1/namespaces/default/poddisruptionbudgets",
                R"({"metadata":{"generateName":"b-"},"spec":{)" + std::string(budget) + "}}");
  }
  c.must_post("/apis/batch/v1/namespaces/default/jobs",
              R"({"metadata":{"name":"job"},"spec":{"template":{"spec":{"restartPolicy":"Never",)"
              R"("containers":[{"name":"c","image":"i"}]}}}})");
  c.must_post("/apis/batch/v1/namespaces/default/cronjobs",
              R"({"metadata":{"name":"cron"},"spec":{"schedule":"0 0 1 1 *","jobTemplate":{"spec":)"
              R"({"template":{"spec":{"restartPolicy":"Never","containers":)"
              R"([{"name":"c","image":"i"}]}}}}}})");
}

TEST_CASE("at the fixpoint of every controller a further round writes nothing") {
  Cluster c;
  fill(c);
  c.settle();
  c.agents_act();
  c.advance(Seconds{3});
  c.check_quiet();
  c.controllers.stop();
  c.informers.stop();

  WatchedTransport watched(*c.transport);
  client::Client client(watched);
  client::InformerSet informers(c.env, watched);
  Controllers again(c.env, client, informers, *c.events,
                    {.cluster_cidr = "10.42.0.0/16", .root_ca_pem = "the CA"});
  again.start();
  informers.start_all();
  c.advance(Seconds{3});
  for (const auto& write : watched.writes) {
    INFO(write);
    CHECK(false);
  }
  size_t pods = 0;  // of all but the Job; the paused Deployment has none
  for (const auto& pod : c.pods()) pods += pod->metadata.name.starts_with("job-") ? 0 : 1;
  CHECK(pods == 3 + 2 + 2 + 1);
  // It would have written, had there been anything to do.
  c.del(std::string(kPods) + "/" + c.pods()[0]->metadata.name + "?gracePeriodSeconds=0");
  c.advance(Seconds{1});
  CHECK(!watched.writes.empty());
  again.stop();
  informers.stop();
  c.executor->run_until_idle();
}

}  // namespace
}  // namespace orch::server
