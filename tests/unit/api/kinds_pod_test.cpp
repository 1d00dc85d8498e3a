#include <catch2/catch.hpp>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/scheme.h"

namespace orch::api {
namespace {

using corev1::Pod;
const WallTime kNow{Seconds{1'700'000'000}};

template <class T>
T decoded(const std::string& json) {
  T out;
  auto read = decode_json(json, T::type_info(), &out);
  INFO((read ? "" : read.error().message));
  REQUIRE(read);
  set_defaults(resource_of<T>(), out);
  return out;
}
Pod pod_of(const std::string& spec) {
  return decoded<Pod>(R"({"metadata":{"name":"web","namespace":"default"},"spec":{)" + spec + "}}");
}
const std::string kContainer = R"("containers":[{"name":"c","image":"i"}])";

template <class T>
std::vector<std::string> complaints(const T& now, const T* old = nullptr) {
  std::vector<std::string> out;
  for (const auto& cause : validate(resource_of<T>(), now, old)) {
    out.push_back(cause.field + ": " + cause.message);
  }
  return out;
}
using Texts = std::vector<std::string>;

// The columns READY, STATUS and RESTARTS.
Texts row(const std::string& status, const std::string& spec = kContainer,
          const std::string& meta = "") {
  const auto pod = decoded<Pod>(R"({"metadata":{"name":"web")" + meta + R"(},"spec":{)" + spec +
                                R"(},"status":{)" + status + "}}");
  const auto cells = resource_of<Pod>().row(pod, kNow);
  return {cells[1].text, cells[2].text, cells[3].text};
}

TEST_CASE("pod defaults") {
  const auto pod = pod_of(
      R"("containers":[{"name":"a","image":"x","ports":[{"containerPort":80}],)"
      R"("livenessProbe":{"httpGet":{"port":80}},"resources":{"limits":{"cpu":"1"}}},)"
      R"({"name":"b","image":"reg:5000/x:1.2"}],"volumes":[{"name":"v","secret":{"secretName":"s"}},)"
      R"({"name":"e"}])");
  CHECK(pod.spec.restartPolicy == "Always");
  CHECK(pod.spec.dnsPolicy == "ClusterFirst");
  CHECK(pod.spec.schedulerName == "default-scheduler");
  CHECK(pod.spec.terminationGracePeriodSeconds == 30);
  CHECK(pod.spec.enableServiceLinks == true);
  CHECK(pod.spec.securityContext);
  const auto& a = pod.spec.containers[0];
  CHECK(a.imagePullPolicy == "Always");
  CHECK(a.terminationMessagePath == "/dev/termination-log");
  CHECK(a.terminationMessagePolicy == "File");
  CHECK(a.ports[0].protocol == "TCP");
  CHECK(a.livenessProbe->periodSeconds == 10);
  CHECK(a.livenessProbe->failureThreshold == 3);
  CHECK(a.livenessProbe->httpGet->scheme == "HTTP");
  CHECK(a.livenessProbe->httpGet->path == "/");
  CHECK(a.resources.requests.at("cpu").str() == "1");
  CHECK(pod.spec.containers[1].imagePullPolicy == "IfNotPresent");
  CHECK(pod.spec.volumes[0].secret->defaultMode == 0644);
  CHECK(pod.spec.volumes[1].emptyDir);
  CHECK(complaints(pod).empty());
  const auto host = pod_of(R"("hostNetwork":true,"containers":[{"name":"a","image":"x",)"
                           R"("ports":[{"containerPort":80}]}])");
  CHECK(host.spec.containers[0].ports[0].hostPort == 80);
}

TEST_CASE("pod validation names the field and says what is wrong") {
  CHECK(complaints(pod_of("")) == Texts{"spec.containers: Required value"});
  CHECK(complaints(pod_of(kContainer + R"(,"restartPolicy":"Sometimes")")) ==
        Texts{"spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: "
              "\"Always\", \"OnFailure\", \"Never\""});
  CHECK(complaints(pod_of(R"("containers":[{"name":"c","image":"i"},{"name":"c","image":"i"}])")) ==
        Texts{"spec.containers[1].name: Duplicate value: \"c\""});
  CHECK(complaints(pod_of(kContainer + R"(,"hostname":"A")")) ==
        Texts{"spec.hostname: Invalid value: \"A\": a lowercase RFC 1123 label must consist of "
              "lower case alphanumeric characters or '-', and must start and end with an "
              "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
              "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"});
  CHECK(complaints(pod_of(R"("containers":[{"name":"c","image":"i","volumeMounts":)"
                          R"([{"name":"v","mountPath":"/x"}]}])")) ==
        Texts{"spec.containers[0].volumeMounts[0].name: Not found: \"v\""});
  CHECK(complaints(pod_of(R"("containers":[{"name":"c","image":"i","resources":)"
                          R"({"requests":{"cpu":"2"},"limits":{"cpu":"1"}}}])")) ==
        Texts{"spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or "
              "equal to cpu limit of 1"});
  CHECK(complaints(pod_of(kContainer + R"(,"tolerations":[{"operator":"Exists",)"
                                       R"("effect":"NoSchedule","tolerationSeconds":1}])")) ==
        Texts{"spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be "
              "'NoExecute' when `tolerationSeconds` is set"});
}

TEST_CASE("pod updates: the image may change, the rest may not") {
  const auto old = pod_of(kContainer);
  auto now = old;
  now.metadata.resourceVersion = "1";
  now.spec.containers[0].image = "j";
  CHECK(complaints(now, &old).empty());
  now.spec.containers[0].command = {"sh"};
  const auto refused = complaints(now, &old);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].starts_with(
      "spec: Forbidden: pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
      "`spec.tolerations` (only additions to existing tolerations),"
      "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
      "negative)\n"));
}

TEST_CASE("pod rows: what STATUS says") {
  const std::string running =
      R"("phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":)"
      R"([{"name":"c","ready":true,"restartCount":0,"state":{"running":{}}}])";
  CHECK(row(running) == Texts{"1/1", "Running", "0"});
  CHECK(row(R"("phase":"Pending")") == Texts{"0/1", "Pending", "0"});
  const std::string deleted = R"(,"deletionTimestamp":"2023-11-14T22:13:20Z")";
  CHECK(row(running, kContainer, deleted)[1] == "Terminating");
  CHECK(row(R"("phase":"Succeeded","containerStatuses":[{"name":"c","state":{"terminated":)"
            R"({"reason":"Completed","exitCode":0}}}])",
            kContainer, deleted)[1] == "Completed");
  CHECK(row(running + R"(,"reason":"NodeLost")", kContainer, deleted)[1] == "Unknown");
  CHECK(row(R"("phase":"Running","containerStatuses":[{"name":"c","restartCount":5,)"
            R"("state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":)"
            R"({"exitCode":1,"finishedAt":"2023-11-14T22:08:20Z"}}}])") ==
        Texts{"0/1", "CrashLoopBackOff", "5 (5m ago)"});
  CHECK(row(R"("phase":"Pending","containerStatuses":[{"name":"c","state":{"waiting":)"
            R"({"reason":"ImagePullBackOff"}}}])")[1] == "ImagePullBackOff");
  CHECK(row(R"("phase":"Failed","containerStatuses":[{"name":"c","state":{"terminated":)"
            R"({"exitCode":3}}}])")[1] == "ExitCode:3");
  CHECK(row(R"("phase":"Failed","containerStatuses":[{"name":"c","state":{"terminated":)"
            R"({"exitCode":137,"signal":9}}}])")[1] == "Signal:9");
  CHECK(row(R"("phase":"Failed","reason":"Evicted")")[1] == "Evicted");
  CHECK(row(R"("phase":"Pending","conditions":[{"type":"PodScheduled","status":"False",)"
            R"("reason":"SchedulingGated"}])")[1] == "SchedulingGated");
  // One container ended well, another goes on.
  const std::string two = R"("containers":[{"name":"c","image":"i"},{"name":"d","image":"i"}])";
  const std::string half =
      R"("phase":"Running","containerStatuses":[{"name":"c","state":{"terminated":)"
      R"({"reason":"Completed","exitCode":0}}},{"name":"d","ready":true,"state":{"running":{}}}])";
  CHECK(row(half, two) == Texts{"1/2", "NotReady", "0"});
  CHECK(row(half + R"(,"conditions":[{"type":"Ready","status":"True"}])", two)[1] == "Running");
}

TEST_CASE("pod rows: init containers and sidecars") {
  const std::string spec =
      R"("initContainers":[{"name":"i","image":"i"},{"name":"j","image":"i"}],)" + kContainer;
  const auto init = [&](const std::string& statuses) {
    return row(R"("phase":"Pending","initContainerStatuses":[)" + statuses +
                   R"(],"containerStatuses":[{"name":"c","state":{"waiting":)"
                   R"({"reason":"PodInitializing"}}}])",
               spec)[1];
  };
  const std::string done = R"({"name":"i","state":{"terminated":{"exitCode":0}}})";
  const std::string waiting = R"({"name":"j","state":{"waiting":{"reason":"PodInitializing"}}})";
  CHECK(init(R"({"name":"i","state":{"running":{}}},)" + waiting) == "Init:0/2");
  CHECK(init(done + "," + waiting) == "Init:1/2");
  CHECK(init(R"({"name":"i","state":{"terminated":{"exitCode":1,"reason":"Error"}}})") ==
        "Init:Error");
  CHECK(init(R"({"name":"i","state":{"terminated":{"exitCode":2}}})") == "Init:ExitCode:2");
  CHECK(init(R"({"name":"i","state":{"waiting":{"reason":"CrashLoopBackOff"}}})") ==
        "Init:CrashLoopBackOff");
  CHECK(init(done + R"(,{"name":"j","state":{"terminated":{"exitCode":0}}})") == "PodInitializing");

  const std::string sidecar =
      R"("initContainers":[{"name":"s","image":"i","restartPolicy":"Always"}],)" + kContainer;
  CHECK(row(R"("phase":"Running","initContainerStatuses":[{"name":"s","started":true,)"
            R"("ready":true,"state":{"running":{}}}],"containerStatuses":[{"name":"c",)"
            R"("ready":true,"state":{"running":{}}}])",
            sidecar) == Texts{"2/2", "Running", "0"});
  // A sidecar that crashes once the pod was initialized does not hide the containers.
  CHECK(row(R"("phase":"Running","conditions":[{"type":"Initialized","status":"True"}],)"
            R"("initContainerStatuses":[{"name":"s","started":false,"restartCount":1,)"
            R"("state":{"waiting":{"reason":"CrashLoopBackOff"}}}],"containerStatuses":)"
            R"([{"name":"c","state":{"waiting":{"reason":"ErrImagePull"}}}])",
            sidecar) == Texts{"0/2", "ErrImagePull", "1"});
}

}  // namespace
}  // namespace orch::api
