// A Transport that plays what a test scripted: answers to calls, and watches that the test feeds.
// Not an API server: it keeps no objects.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/client/transport.h"

namespace orch::client::testing {

class ScriptedTransport final : public Transport {
 public:
  struct OpenWatch {
    Request request;
    WatchCallbacks callbacks;
    std::recursive_mutex mutex;  // held during callbacks, and to close
    bool closed = false;

    void event(const std::string& type, const std::string& object) {
      std::lock_guard lock(mutex);
      if (!closed) callbacks.event({type, object});
    }
    void end() {
      std::lock_guard lock(mutex);
      if (!closed) callbacks.ended(nullptr);
    }
    void fail(const api::Error& error) {
      std::lock_guard lock(mutex);
      if (!closed) callbacks.ended(&error);
    }
  };

  // Answers of calls, in order; when used up, `otherwise` decides.
  std::deque<api::ApiResult<Response>> answers;
  std::function<api::ApiResult<Response>(const Request&)> otherwise;
  std::deque<api::Error> watch_refusals;

  api::ApiResult<Response> call(const Request& request) override {
    std::lock_guard lock(mutex_);
    calls.push_back(request);
    if (!answers.empty()) {
      auto answer = std::move(answers.front());
      answers.pop_front();
      return answer;
    }
    if (otherwise) return otherwise(request);
    return Err(api::service_unavailable("nothing scripted"));
  }
  api::ApiResult<std::unique_ptr<WatchStream>> watch(const Request& request,
                                                     WatchCallbacks callbacks) override {
    std::lock_guard lock(mutex_);
    auto open = std::make_shared<OpenWatch>();
    open->request = request;
    open->callbacks = std::move(callbacks);
    watches.push_back(open);
    if (!watch_refusals.empty()) {
      const api::Error error = watch_refusals.front();
      watch_refusals.pop_front();
      open->closed = true;
      return Err(error);
    }
    return std::unique_ptr<WatchStream>(std::make_unique<Handle>(open));
  }

  std::vector<Request> calls;
  std::vector<std::shared_ptr<OpenWatch>> watches;
  std::shared_ptr<OpenWatch> last_watch() {
    std::lock_guard lock(mutex_);
    return watches.empty() ? nullptr : watches.back();
  }

  static std::string query(const Request& request, const std::string& key) {
    for (const auto& [k, v] : request.query) {
      if (k == key) return v;
    }
    return "";
  }

 private:
  struct Handle final : WatchStream {
    explicit Handle(std::shared_ptr<OpenWatch> o) : open(std::move(o)) {}
    ~Handle() override {
      std::lock_guard lock(open->mutex);
      open->closed = true;
    }
    std::shared_ptr<OpenWatch> open;
  };
  std::mutex mutex_;
};

inline std::string config_map(const std::string& name, int version, const std::string& uid = "") {
  return R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" + name +
         R"(","namespace":"default","uid":")" + (uid.empty() ? "uid-" + name : uid) +
         R"(","resourceVersion":")" + std::to_string(version) +
         R"(","managedFields":[{"manager":"m"}]}})";
}
inline std::string list_of(int version, const std::vector<std::string>& items,
                           const std::string& continue_token = "") {
  std::string out = R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":")" +
                    std::to_string(version) + R"(","continue":")" + continue_token +
                    R"("},"items":[)";
  for (size_t i = 0; i < items.size(); ++i) out += (i ? "," : "") + items[i];
  return out + "]}";
}

// One thread, virtual time.
struct World {
  ManualClock clock;
  std::unique_ptr<ManualExecutor> executor = ManualExecutor::create(clock);
  std::unique_ptr<Random> random = seeded_random(7);
  Env env{clock, *executor, *random, no_faults()};
  void settle() { executor->run_until_idle(); }
};

}  // namespace orch::client::testing
