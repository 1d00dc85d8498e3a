// Optimistic concurrency with real threads: no update is lost, watches see one chain per object.
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <thread>

#include "orch/client/transport.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

// The server with a real thread pool and clock.
struct Threaded {
  std::unique_ptr<ThreadPoolExecutor> pool = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store = storage::make_memory_store(env);
  ApiServer server{env, *store, ApiServerConfig{}};
  std::unique_ptr<client::Transport> transport;

  Threaded() {
    REQUIRE(server.start());
    transport = server.local_transport({"test", "", {}, {}});
    REQUIRE(call("create", "namespaces", "", R"({"metadata":{"name":"default"}})"));
    REQUIRE(call("create", "configmaps", "", config_map("n", R"(,"data":{"v":"0"})")));
  }
  ~Threaded() {
    server.stop();
    pool->stop();
    store->stop();
  }
  api::ApiResult<client::Response> call(std::string verb, std::string resource, std::string name,
                                        std::string body) {
    client::Request request;
    request.verb = std::move(verb);
    request.version = "v1";
    request.resource = std::move(resource);
    if (request.resource != "namespaces") request.namespace_ = "default";
    request.name = std::move(name);
    request.body = std::move(body);
    return transport->call(request);
  }
};

}  // namespace

TEST_CASE("parallel increments lose nothing") {
  Threaded t;
  constexpr int kThreads = 4, kEach = 25;
  std::mutex mutex;
  std::vector<std::string> versions;
  client::Request watch;
  watch.verb = "watch";
  watch.version = "v1";
  watch.resource = "configmaps";
  watch.query.emplace_back("resourceVersion", std::to_string(t.store->revision()));
  auto stream = t.transport->watch(watch, {[&](client::WatchEvent event) {
                                             std::lock_guard lock(mutex);
                                             versions.push_back(*json_string(*json_path(
                                                 event.object_json, "metadata.resourceVersion")));
                                           },
                                           [](const api::Error*) {}});
  REQUIRE(stream);
  std::atomic<int> conflicts{0}, failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int done = 0; done < kEach;) {
        auto got = t.call("get", "configmaps", "n", "");
        std::string body = got->body;
        const auto value = *json_string(*json_path(body, "data.v"));
        const std::string old_text = "\"v\":\"" + value + "\"";
        body.replace(body.rfind(old_text), old_text.size(),
                     "\"v\":\"" + std::to_string(std::stoi(value) + 1) + "\"");
        auto put = t.call("update", "configmaps", "n", body);
        if (put) {
          ++done;
        } else if (put.error().is("Conflict")) {
          ++conflicts;
        } else {
          ++failures;
          ++done;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  const auto last = t.call("get", "configmaps", "n", "");
  CHECK(json_path(last->body, "data.v") == "\"" + std::to_string(kThreads * kEach) + "\"");
  for (int i = 0; i < 3000; ++i) {
    {
      std::lock_guard lock(mutex);
      if (versions.size() == kThreads * kEach) break;
    }
    std::this_thread::sleep_for(Millis{10});
  }
  stream->reset();
  CHECK(versions.size() == kThreads * kEach);
  for (size_t i = 1; i < versions.size(); ++i) {
    CHECK(std::stoll(versions[i]) > std::stoll(versions[i - 1]));
  }
}

TEST_CASE("parallel patches all land") {
  Threaded t;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        client::Request request;
        request.verb = "patch";
        request.version = "v1";
        request.resource = "configmaps";
        request.namespace_ = "default";
        request.name = "n";
        request.content_type = "application/merge-patch+json";
        request.body =
            R"({"data":{"k)" + std::to_string(i) + "-" + std::to_string(j) + R"(":"x"}})";
        if (!t.transport->call(request)) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  const auto last = t.call("get", "configmaps", "n", "");
  int keys = 0;
  json_members(*json_path(last->body, "data"), [&](std::string_view, std::string_view) {
    ++keys;
    return true;
  });
  CHECK(keys == 41);
}

TEST_CASE("watches begin and end while others write") {
  Threaded t;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      (void)t.call("create", "configmaps", "", config_map("w" + std::to_string(i)));
    }
  });
  for (int i = 0; i < 100; ++i) {
    client::Request watch;
    watch.verb = "watch";
    watch.version = "v1";
    watch.resource = "configmaps";
    std::atomic<bool> gone{false};
    std::atomic<int> late{0};
    auto stream = t.transport->watch(watch, {[&](client::WatchEvent) {
                                               if (gone) ++late;
                                             },
                                             [](const api::Error*) {}});
    REQUIRE(stream);
    std::this_thread::sleep_for(Millis{1});
    stream->reset();
    gone = true;
    CHECK(late == 0);
  }
  stop = true;
  writer.join();
}

}  // namespace orch::server::test
