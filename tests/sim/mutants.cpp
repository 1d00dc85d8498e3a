#include "sim/mutants.h"

#include <fmt/format.h>

#include "orch/api/batchv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/base/json_scan.h"
#include "server/registry/stored.h"
#include "sim/world.h"

namespace orch::sim {
namespace corev1 = api::corev1;
namespace batchv1 = api::batchv1;

namespace {

using client::Request;
using client::Response;

// Passes everything on.
class Tamper : public client::Transport {
 public:
  Tamper(World& world, client::Transport& wire) : world_(world), wire_(wire) {}
  api::ApiResult<Response> call(const Request& request) override { return wire_.call(request); }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const Request& request, client::WatchCallbacks callbacks) override {
    return wire_.watch(request, std::move(callbacks));
  }

 protected:
  bool is(const Request& r, std::string_view verb, std::string_view resource,
          std::string_view subresource = "") const {
    return r.verb == verb && r.resource == resource && r.subresource == subresource;
  }
  // The body of a request, whichever way it carries it.
  static std::string body_of(const Request& r) {
    return r.object ? api::to_json(*r.object) : r.body;
  }
  World& world_;
  client::Transport& wire_;
};

// The scheduler believes every node to be a hundred times as large.
class BigNodes final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    auto answer = wire_.call(request);
    if (answer && is(request, "list", "nodes")) answer->body = enlarged(std::move(answer->body));
    return answer;
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const Request& request, client::WatchCallbacks callbacks) override {
    if (request.resource == "nodes") {
      callbacks.event = [pass = std::move(callbacks.event)](client::WatchEvent event) {
        event.object_json = enlarged(std::move(event.object_json));
        pass(std::move(event));
      };
    }
    return wire_.watch(request, std::move(callbacks));
  }

 private:
  static std::string enlarged(std::string json) {
    for (const auto& [small, large] : {std::pair{R"("cpu":"4")", R"("cpu":"400")"},
                                       std::pair{R"("pods":"20")", R"("pods":"2000")"},
                                       std::pair{R"("memory":"8Gi")", R"("memory":"800Gi")"}}) {
      const std::string_view from(small);
      for (size_t at = json.find(from); at != std::string::npos; at = json.find(from, at + 1)) {
        json.replace(at, from.size(), large);
      }
    }
    return json;
  }
};

// Some time after a binding the pod is on another node, behind the API server's back.
class Rebinds final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    auto answer = wire_.call(request);
    if (answer && is(request, "create", "pods", "binding") && ++bindings_ % 7 == 0) {
      move(fmt::format("/registry/core/pods/{}/{}", request.namespace_, request.name));
    }
    return answer;
  }

 private:
  void move(const std::string& key) {
    auto& store = world_.plane->store();
    storage::RangeRequest get;
    get.key = key;
    auto found = store.range(get);
    if (!found || found->kvs.empty()) return;
    auto object = api::decode_object(server::Stored(found->kvs.front().value, 1).raw(),
                                     corev1::Pod::type_info());
    if (!object) return;
    auto& pod = static_cast<corev1::Pod&>(**object);
    if (pod.spec.nodeName.empty()) return;
    pod.spec.nodeName = pod.spec.nodeName == "n0" ? "n1" : "n0";
    storage::TxnRequest put;
    put.success.push_back(
        storage::Op::put(key, server::Stored::pack(server::Registry::encode(pod))));
    (void)store.txn(put);
  }
  int bindings_ = 0;
};

// Pods of StatefulSets are deleted by force: gone from the API while their node still runs them.
class Hurries final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    auto answer = wire_.call(request);
    if (!answer || !is(request, "update", "statefulsets", "status")) return answer;
    Request forced;
    forced.verb = "delete";
    forced.version = "v1";
    forced.resource = "pods";
    forced.namespace_ = request.namespace_;
    forced.name = request.name + "-0";
    forced.body = R"({"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0})";
    if (++writes_ % 3 == 0) (void)wire_.call(forced);
    return answer;
  }

 private:
  int writes_ = 0;
};

// Who starts anew writes what is as it should be.
class Restless final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    auto answer = wire_.call(request);
    if (answer && is(request, "list", "services")) {
      // As an administrator: who lists may not write.
      (void)world_.plane->admin().patch<corev1::Service>(
          "default", "d0", api::PatchType::kMerge,
          fmt::format(R"({{"metadata":{{"annotations":{{"seen":"{}"}}}}}})",
                      world_.clock.now().time_since_epoch().count()));
    }
    return answer;
  }
};

// A component does what its role does not allow.
class Oversteps final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    if (is(request, "create", "pods", "binding")) {
      Request other;
      other.verb = "list";
      other.version = "v1";
      other.resource = "secrets";
      (void)wire_.call(other);
    }
    return wire_.call(request);
  }
};

// The Job controller lets finished pods go without having written them down.
class Forgets final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    if (!is(request, "update", "jobs", "status")) return wire_.call(request);
    auto job = api::from_json<batchv1::Job>(body_of(request));
    if (!job) return wire_.call(request);
    job->status.uncountedTerminatedPods.reset();
    Request changed = request;
    changed.object = std::make_shared<batchv1::Job>(std::move(*job));
    changed.body.clear();
    auto answer = wire_.call(changed);
    return answer;
  }
};

// What is deleted goes at once, whatever its finalizers.
class Erases final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    auto answer = wire_.call(request);
    if (answer && is(request, "delete", "pods")) {
      storage::TxnRequest erase;
      erase.success.push_back(storage::Op::erase(
          fmt::format("/registry/core/pods/{}/{}", request.namespace_, request.name)));
      (void)world_.plane->store().txn(erase);
    }
    return answer;
  }
};

// Some bindings are lost, and the scheduler told that all went well.
class Swallows final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    if (is(request, "create", "pods", "binding") && request.name.size() % 5 == 0) {
      return Response{201, R"({"kind":"Status","apiVersion":"v1","status":"Success"})"};
    }
    return wire_.call(request);
  }
};

// The scheduler's world depends on something that is not the seed's.
class Whims final : public Tamper {
 public:
  using Tamper::Tamper;
  api::ApiResult<Response> call(const Request& request) override {
    if (random_below(system_random(), 4) == 0) world_.executor.sleep(Millis{3});
    return wire_.call(request);
  }
};

template <class T>
Wrap wrap(World& world, const std::string& component) {
  return [&world, component](const std::string& name,
                             client::Transport& wire) -> std::unique_ptr<client::Transport> {
    if (name != component) return nullptr;
    return std::make_unique<T>(world, wire);
  };
}

}  // namespace

const std::vector<Mutant>& mutants() {
  static const std::vector<Mutant> all = {
      {"ignores-allocatable", "the scheduler fills nodes beyond their room", "fits"},
      {"rebinds", "a bound pod moves to another node", "bound-once"},
      {"hurries", "pods are replaced before they ended", "one-per-ordinal"},
      {"restless", "a controller writes what is as it should be", "quiet"},
      {"oversteps", "the scheduler reads Secrets", "rights"},
      {"forgets", "finalizers of Jobs' pods go before the pods are counted", "finalizers"},
      {"erases", "deleted pods go with their finalizers on", "finalizers"},
      {"swallows", "bindings get lost for good", "converges"},
      {"whims", "the run depends on more than the seed", "deterministic"},
  };
  return all;
}

Wrap mutant_wrap(World& world, const std::string& name) {
  if (name == "ignores-allocatable") return wrap<BigNodes>(world, ControlPlane::kScheduler);
  if (name == "rebinds") return wrap<Rebinds>(world, ControlPlane::kScheduler);
  if (name == "hurries") return wrap<Hurries>(world, ControlPlane::kControllers);
  if (name == "restless") return wrap<Restless>(world, ControlPlane::kControllers);
  if (name == "oversteps") return wrap<Oversteps>(world, ControlPlane::kScheduler);
  if (name == "forgets") return wrap<Forgets>(world, ControlPlane::kControllers);
  if (name == "erases") return wrap<Erases>(world, ControlPlane::kControllers);
  if (name == "swallows") return wrap<Swallows>(world, ControlPlane::kScheduler);
  if (name == "whims") return wrap<Whims>(world, ControlPlane::kScheduler);
  return nullptr;
}

}  // namespace orch::sim
