// The pod machinery over a real containerd, in a network namespace and a data directory of its own.
// The API server's side is a table of objects: what the agent writes there is what is checked.
#include <catch2/catch.hpp>

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "agent/containerd/containerd.h"
#include "agent/containerd/process.h"
#include "agent/cri/cri_runtime.h"
#include "agent/pod/cgroups.h"
#include "agent/pod_manager.h"
#include "orch/api/authenticationv1.h"  // generated
#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;
namespace fs = std::filesystem;

namespace {

// Pods, ConfigMaps and Secrets by "plural/ns/name"; status updates, deletes and token requests.
class Table final : public client::Transport {
 public:
  api::ApiResult<client::Response> call(const client::Request& r) override {
    std::lock_guard lock(mutex_);
    const std::string key = r.resource + "/" + r.namespace_ + "/" + r.name;
    if (r.subresource == "token") {
      api::authenticationv1::TokenRequest token;
      token.status.token = "token-of-" + r.name;
      token.status.expirationTimestamp = api::Time(system_clock().now() + Seconds{3600});
      return client::Response{201, api::to_json(token)};
    }
    auto it = objects_.find(key);
    if (down_) return Err(api::service_unavailable("down"));
    if (it == objects_.end()) return Err(api::not_found({"", r.resource}, r.name));
    if (r.verb == "update") {
      auto pod = std::make_shared<corev1::Pod>(static_cast<const corev1::Pod&>(*r.object));
      pod->metadata.resourceVersion = std::to_string(++version_);
      it->second = pod;
    } else if (r.verb == "delete") {
      objects_.erase(it);
      return client::Response{200, "{}"};
    }
    return client::Response{200, api::to_json(*it->second)};
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(const client::Request&,
                                                             client::WatchCallbacks) override {
    return Err(api::service_unavailable("no watches here"));
  }
  void put(const char* plural, std::shared_ptr<const api::Object> o) {
    std::lock_guard lock(mutex_);
    objects_[std::string(plural) + "/" + o->metadata.namespace_ + "/" + o->metadata.name] =
        std::move(o);
  }
  std::shared_ptr<const corev1::Pod> pod(const std::string& name) {
    std::lock_guard lock(mutex_);
    auto it = objects_.find("pods/default/" + name);
    return it == objects_.end() ? nullptr : std::static_pointer_cast<const corev1::Pod>(it->second);
  }
  void set_down(bool down) {
    std::lock_guard lock(mutex_);
    down_ = down;
  }

 private:
  std::mutex mutex_;
  int64_t version_ = 100;
  bool down_ = false;
  std::map<std::string, std::shared_ptr<const api::Object>> objects_;
};

class Events final : public client::EventRecorder {
 public:
  void record(const client::EventSubject& s, std::string_view, std::string_view reason,
              std::string_view message) override {
    std::lock_guard lock(mutex_);
    all_ += s.name + " " + std::string(reason) + ": " + std::string(message) + "\n";
  }
  std::string all() {
    std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::string all_;
};

// The folder of the sources, above the build folder that this program lies in; "" = not found.
std::string source_dir() {
  std::error_code ec;
  for (fs::path p = fs::canonical("/proc/self/exe", ec); p.has_relative_path();
       p = p.parent_path()) {
    if (fs::exists(p / "tests/support/make_image.sh", ec)) return p.string();
  }
  return "";
}

void loopback_up() {
  int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  ::ioctl(fd, SIOCSIFFLAGS, &request);
  ::close(fd);
}

bool wait_until(Millis timeout, const std::function<bool()>& condition) {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis{5});
  }
  return condition();
}

struct Node {
  explicit Node(std::string dir) : data_dir(std::move(dir)) {
    executor = ThreadPoolExecutor::create(2);
    env = std::make_unique<Env>(Env{system_clock(), *executor, system_random(), no_faults()});
  }
  ~Node() {
    down();
    executor->stop();
    for (const auto& error : kill_containerd(data_dir)) WARN(error);
    std::error_code ec;
    fs::remove_all(data_dir, ec);
  }
  bool up() {
    auto started = Containerd::start(*env, {.data_dir = data_dir});
    if (!started) {
      WARN(started.error());
      return false;
    }
    containerd = std::move(*started);
    if (!containerd->wait_ready(Millis{20'000})) return false;
    runtime = make_cri_runtime(containerd->paths().endpoint);
    manage();
    return true;
  }
  void manage() {
    manager = PodManager::create(
        *env,
        {.transport = table,
         .runtime = *runtime,
         .events = events,
         .services = nullptr,
         .node = nullptr,
         .allocatable = nullptr,
         .config = {.data_dir = data_dir, .node_name = "n1", .node_ips = {"127.0.0.1"}}});
    manager->start();
  }
  void down() {
    if (manager) manager->stop();
    manager.reset();
    runtime.reset();
    if (containerd) containerd->stop();
    containerd.reset();
  }
  std::shared_ptr<corev1::Pod> apply(const std::string& name, const std::string& spec) {
    auto pod = std::make_shared<corev1::Pod>(pod_of(spec));
    pod->metadata.name = name;
    pod->metadata.uid = name + "-uid";
    pod->metadata.resourceVersion = "1";
    pod->spec.hostNetwork = true;
    for (auto* list : {&pod->spec.containers, &pod->spec.initContainers}) {
      for (auto& c : *list) {
        c.image = "docker.io/library/orch-test:1";
        c.imagePullPolicy = "IfNotPresent";
        c.terminationMessagePath = "/dev/termination-log";
      }
    }
    table.put("pods", pod);
    manager->on_pod_change(nullptr, pod);
    return pod;
  }
  void remove(const std::string& name, int64_t grace) {
    auto now = std::make_shared<corev1::Pod>(*table.pod(name));
    now->metadata.deletionTimestamp = api::Time(system_clock().now());
    now->metadata.deletionGracePeriodSeconds = grace;
    table.put("pods", now);
    manager->on_pod_change(now, now);
  }
  std::string phase(const std::string& name) {
    auto pod = table.pod(name);
    return pod ? pod->status.phase : "gone";
  }
  bool is_ready(const std::string& name) {
    auto pod = table.pod(name);
    if (!pod) return false;
    for (const auto& c : pod->status.conditions) {
      if (c.type == "Ready") return c.status == "True";
    }
    return false;
  }
  std::string log(const std::string& pod, const std::string& container, bool previous = false) {
    auto path = manager->log_path({"default", pod, container, ""}, previous);
    return path ? read_file(*path).value_or("?") : path.error().message;
  }

  std::string data_dir;
  std::unique_ptr<ThreadPoolExecutor> executor;
  std::unique_ptr<Env> env;
  Table table;
  Events events;
  std::unique_ptr<Containerd> containerd;
  std::unique_ptr<ContainerRuntime> runtime;
  std::unique_ptr<PodManager> manager;
};

// Runs `test` on a node of its own; false = this machine cannot.
bool on_node(const std::function<void(Node&)>& test) {
  if (::geteuid() != 0 || !find_program("containerd") || !find_program("runc") ||
      !find_program("busybox")) {
    WARN("skipped: needs root, containerd, runc and busybox");
    return false;
  }
  std::thread([&] {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    loopback_up();
    char name[] = "/tmp/orch-real-XXXXXX";
    Node node(::mkdtemp(name));
    const std::string images = containerd_paths(node.data_dir).images_dir;
    REQUIRE(make_directories(images));
    const std::string script = source_dir() + "/tests/support/make_image.sh";
    REQUIRE(run_program({"/bin/bash", script, images + "/test.tar"}, Millis{60'000}));
    REQUIRE(node.up());
    REQUIRE(wait_until(Millis{20'000}, [&] {
      bool there = false, answered = false;
      std::mutex mutex;
      node.runtime->image_status("docker.io/library/orch-test:1", [&](auto r) {
        std::lock_guard lock(mutex);
        there = r && r->has_value();
        answered = true;
      });
      return wait_until(Millis{5000},
                        [&] {
                          std::lock_guard lock(mutex);
                          return answered;
                        }) &&
             there;
    }));
    test(node);
  }).join();
  return true;
}

}  // namespace

TEST_CASE("pods over containerd: start, volumes, environment, probes, stop", "[real]") {
  on_node([](Node& node) {
    auto map = std::make_shared<corev1::ConfigMap>();
    map->metadata.name = "cm";
    map->metadata.namespace_ = "default";
    map->data = {{"key", "from-map"}};
    node.table.put("configmaps", map);
    node.manager->on_pods_synced();

    node.apply("web", R"({"volumes":[{"name":"cm","configMap":{"name":"cm"}},
        {"name":"shared","emptyDir":{}},{"name":"token","projected":{"sources":[
          {"serviceAccountToken":{"path":"token","expirationSeconds":3607}}]}}],
      "initContainers":[{"name":"init","command":["sh","-c","echo made-by-init > /shared/f"],
        "volumeMounts":[{"name":"shared","mountPath":"/shared"}]}],
      "containers":[{"name":"c",
        "command":["sh","-c"],
        "args":["echo $(KEY) $(cat /cm/key) $(cat /shared/f) $(cat /t/token) $(cat /sub); exec httpd -f -p 8080 -h /www"],
        "env":[{"name":"KEY","valueFrom":{"configMapKeyRef":{"name":"cm","key":"key"}}}],
        "volumeMounts":[{"name":"cm","mountPath":"/cm"},{"name":"shared","mountPath":"/shared"},
          {"name":"token","mountPath":"/t"},{"name":"shared","mountPath":"/sub","subPath":"f"}],
        "resources":{"requests":{"cpu":"100m"},"limits":{"memory":"64Mi"}},
        "readinessProbe":{"httpGet":{"port":8080,"path":"/"},"periodSeconds":1},
        "livenessProbe":{"exec":{"command":["test","-d","/www"]},"periodSeconds":1}}]})");
    auto began = std::chrono::steady_clock::now();
    CHECK(wait_until(Millis{15'000}, [&] { return node.is_ready("web"); }));
    WARN("pod with init container ready after "
         << std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - began).count()
         << " ms");
    INFO(node.events.all());
    CHECK(node.phase("web") == "Running");
    CHECK(wait_until(Millis{2000}, [&] {
      return node.log("web", "c")
                 .find("from-map from-map made-by-init token-of-default made-by-init") !=
             std::string::npos;
    }));
    const std::string cgroup = cgroup_root_of(node.data_dir) + "/kubepods/burstable/podweb-uid";
    CHECK_FALSE(cgroup_processes(cgroup).empty());

    node.apply("plain", R"({"containers":[{"name":"c","command":["sleep","1000"]}]})");
    began = std::chrono::steady_clock::now();
    CHECK(wait_until(Millis{15'000}, [&] { return node.phase("plain") == "Running"; }));
    WARN("plain pod running after "
         << std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - began).count()
         << " ms");

    auto url = node.manager->exec_url({"default", "web", "", ""}, {.command = {"true"}});
    REQUIRE(url);
    CHECK(url->find("http://127.0.0.1:") == 0);

    node.remove("plain", 1);  // sleep as process 1 ignores SIGTERM: killed after a second
    node.remove("web", 5);
    CHECK(wait_until(Millis{10'000},
                     [&] { return node.phase("plain") == "gone" && node.phase("web") == "gone"; }));
    CHECK_FALSE(file_exists(node.data_dir + "/agent/pods/web-uid/volumes"));
    CHECK(cgroup_processes(cgroup).empty());
    for (const char* name : {"web", "plain"}) {
      node.manager->on_pod_change(std::make_shared<corev1::Pod>([&] {
                                    corev1::Pod p;
                                    p.metadata.name = name;
                                    p.metadata.namespace_ = "default";
                                    p.metadata.uid = std::string(name) + "-uid";
                                    return p;
                                  }()),
                                  nullptr);
    }
    CHECK(wait_until(Millis{10'000}, [&] { return node.manager->pod_count() == 0; }));
    CHECK_FALSE(file_exists(node.data_dir + "/agent/pods/web-uid"));
  });
}

TEST_CASE("pods over containerd: failures, restarts, ends", "[real]") {
  on_node([](Node& node) {
    node.manager->on_pods_synced();
    node.apply("job", R"({"restartPolicy":"Never","containers":[{"name":"c",
        "command":["sh","-c","echo bye > /dev/termination-log; exit 3"]}]})");
    node.apply("crash", R"({"containers":[{"name":"c","command":["false"]}]})");
    node.apply("done",
               R"({"restartPolicy":"OnFailure","containers":[{"name":"c","command":["true"]}]})");
    node.apply("config", R"({"containers":[{"name":"c","command":["true"],"env":[{"name":"K",
        "valueFrom":{"configMapKeyRef":{"name":"none","key":"k"}}}]}]})");
    node.apply("sick", R"({"terminationGracePeriodSeconds":1,"containers":[{"name":"c",
        "command":["sleep","1000"],
        "livenessProbe":{"exec":{"command":["false"]},"periodSeconds":1,"failureThreshold":1}}]})");
    auto image = node.apply("image", R"({"containers":[{"name":"c"}]})");
    node.apply("late", R"({"activeDeadlineSeconds":2,"terminationGracePeriodSeconds":1,
        "containers":[{"name":"c","command":["sleep","1000"]}]})");

    auto container = [&](const std::string& name) {
      auto pod = node.table.pod(name);
      return pod && !pod->status.containerStatuses.empty() ? pod->status.containerStatuses[0]
                                                           : corev1::ContainerStatus{};
    };
    auto waiting = [&](const std::string& name) {
      auto s = container(name);
      return s.state.waiting ? s.state.waiting->reason : "";
    };
    CHECK(wait_until(Millis{10'000}, [&] { return node.phase("job") == "Failed"; }));
    auto job = container("job");
    REQUIRE(job.state.terminated);
    CHECK(job.state.terminated->exitCode == 3);
    CHECK(job.state.terminated->message == "bye\n");
    CHECK(wait_until(Millis{10'000}, [&] { return node.phase("done") == "Succeeded"; }));
    CHECK(wait_until(Millis{10'000}, [&] { return waiting("crash") == "CrashLoopBackOff"; }));
    CHECK(container("crash").restartCount >= 1);
    CHECK(container("crash").lastState.terminated);
    CHECK(wait_until(Millis{10'000},
                     [&] { return waiting("config") == "CreateContainerConfigError"; }));
    CHECK(container("config").state.waiting->message == "configmap \"none\" not found");
    CHECK(wait_until(Millis{15'000}, [&] { return container("sick").restartCount >= 1; }));
    CHECK(wait_until(Millis{15'000}, [&] { return node.phase("late") == "Failed"; }));
    CHECK(node.table.pod("late")->status.reason == "DeadlineExceeded");
    INFO(node.events.all());
    CHECK(node.events.all().find("sick Unhealthy: Liveness probe failed") != std::string::npos);
    CHECK(node.events.all().find("Container c failed liveness probe, will be restarted") !=
          std::string::npos);
    CHECK(node.events.all().find("Back-off restarting failed container c in pod crash_default") !=
          std::string::npos);
  });
}

TEST_CASE("an image that is not there backs off", "[real]") {
  on_node([](Node& node) {
    auto pod = std::make_shared<corev1::Pod>(
        pod_of(R"({"hostNetwork":true,"containers":[{"name":"c","image":"127.0.0.1:9/no/image:1",
                   "imagePullPolicy":"Always"}]})"));
    pod->metadata.resourceVersion = "1";
    node.table.put("pods", pod);
    node.manager->on_pod_change(nullptr, pod);
    auto waiting = [&] {
      auto p = node.table.pod("web");
      return p->status.containerStatuses.empty() || !p->status.containerStatuses[0].state.waiting
                 ? std::string()
                 : p->status.containerStatuses[0].state.waiting->reason;
    };
    CHECK(wait_until(Millis{10'000}, [&] { return waiting() == "ErrImagePull"; }));
    CHECK(wait_until(Millis{10'000}, [&] { return waiting() == "ImagePullBackOff"; }));
    // A pod that waits for an image is deleted at once.
    node.remove("web", 30);
    CHECK(wait_until(Millis{5000}, [&] { return node.phase("web") == "gone"; }));
  });
}

TEST_CASE("containers survive the agent; a restart finds them, also without a server", "[real]") {
  on_node([](Node& node) {
    node.manager->on_pods_synced();
    node.apply("keep", R"({"containers":[{"name":"c","command":["sleep","1000"]}]})");
    node.apply("orphan", R"({"terminationGracePeriodSeconds":1,
        "containers":[{"name":"c","command":["sleep","1000"]}]})");
    REQUIRE(wait_until(Millis{15'000}, [&] {
      return node.phase("keep") == "Running" && node.phase("orphan") == "Running";
    }));
    const std::string id = node.table.pod("keep")->status.containerStatuses[0].containerID;
    std::this_thread::sleep_for(Millis{800});  // the checkpoint is written after half a second
    node.down();
    const std::string cgroup = cgroup_root_of(node.data_dir) + "/kubepods/besteffort/podkeep-uid";
    CHECK_FALSE(cgroup_processes(cgroup).empty());

    // Without a server: the pods of the checkpoint go on, and what dies is started again.
    node.table.set_down(true);
    REQUIRE(node.up());
    REQUIRE(wait_until(Millis{10'000}, [&] { return node.manager->pods().size() == 2; }));
    auto shown = [&](const std::string& name) -> corev1::ContainerStatus {
      for (const auto& pod : node.manager->pods()) {
        if (pod->metadata.name == name && !pod->status.containerStatuses.empty()) {
          return pod->status.containerStatuses[0];
        }
      }
      return {};
    };
    CHECK(wait_until(Millis{10'000}, [&] { return bool(shown("keep").state.running); }));
    CHECK(shown("keep").containerID == id);
    for (pid_t pid : cgroup_processes(cgroup)) {
      auto words = command_line_of(pid);
      if (!words.empty() && words[0] == "sleep") ::kill(pid, SIGKILL);
    }
    CHECK(wait_until(Millis{10'000}, [&] {
      return shown("keep").restartCount == 1 && shown("keep").state.running;
    }));

    // The server is back and knows only one of them.
    node.table.set_down(false);
    node.manager->on_pod_change(nullptr, node.table.pod("keep"));
    node.manager->on_pods_synced();
    CHECK(wait_until(Millis{10'000}, [&] { return node.manager->pod_count() == 1; }));
    CHECK(wait_until(Millis{5000}, [&] {
      auto pod = node.table.pod("keep");
      return pod->status.containerStatuses[0].restartCount == 1;
    }));
    CHECK(cgroup_processes(cgroup_root_of(node.data_dir) + "/kubepods/besteffort/podorphan-uid")
              .empty());
  });
}
