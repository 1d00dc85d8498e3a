// The real API server in process over the memory store, on one thread in virtual time. Requests go
// through the HTTP handler, without sockets.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/codec.h"
#include "orch/base/env.h"
#include "orch/base/executor.h"
#include "orch/base/json_scan.h"
#include "orch/base/random.h"
#include "orch/net/http.h"
#include "orch/storage/kv_store.h"
#include "server/api/api_server.h"
#include "server/http/handler.h"

namespace orch::server::test {

// Collects what a stream was given.
class TestStream final : public net::Stream {
 public:
  bool write(std::string bytes) override {
    if (closed) return false;
    data += bytes;
    return true;
  }
  bool write(std::shared_ptr<const std::string> bytes) override { return write(*bytes); }
  size_t buffered_bytes() const override { return 0; }
  bool wait_below(size_t, Millis) override { return !closed; }
  void finish() override {
    finished = true;
    close();
  }
  void on_close(std::function<void()> fn) override {
    if (closed) return fn();
    closers.push_back(std::move(fn));
  }
  void close() {
    if (closed) return;
    closed = true;
    for (auto& fn : closers) fn();
  }
  // The JSON frames received so far, each without its line feed; cleared.
  std::vector<std::string> take() {
    std::vector<std::string> out;
    size_t at = 0;
    for (size_t end = data.find('\n'); end != std::string::npos; end = data.find('\n', at)) {
      out.push_back(data.substr(at, end - at));
      at = end + 1;
    }
    data.erase(0, at);
    return out;
  }
  std::string data;
  bool closed = false, finished = false;
  std::vector<std::function<void()>> closers;
};

struct Answer {
  int status = 0;
  net::Headers headers;
  std::string body;
  std::shared_ptr<TestStream> stream;

  // Value at a dotted path: strings unquoted, others as text, "" when absent.
  std::string at(std::string_view path) const {
    const auto raw = json_path(body, path);
    if (!raw) return "";
    return json_string(*raw).value_or(std::string(*raw));
  }
  std::string header(std::string_view name) const {
    return std::string(net::header(headers, name));
  }
};

class ApiFixture {
 public:
  explicit ApiFixture(Hooks hooks = {}, bool with_namespace = true) {
    server->set_hooks(hooks);
    auto started = server->start();
    if (!started) throw std::runtime_error(started.error());
    handler = make_http_handler(*server);
    if (!with_namespace) return;
    for (const char* name : {"default", "other"}) {
      post("/api/v1/namespaces", std::string(R"({"metadata":{"name":")") + name + "\"}}");
    }
  }
  ~ApiFixture() {
    server->stop();
    executor->run_until_idle();
    server.reset();
    store->stop();
  }

  Answer send(std::string method, std::string target, std::string body = "",
              std::vector<std::pair<std::string, std::string>> headers = {}) {
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = target;
    const size_t mark = target.find('?');
    request.path = net::url_decode(target.substr(0, mark));
    if (mark != std::string::npos) request.raw_query = target.substr(mark + 1);
    request.query = net::parse_query(request.raw_query);
    request.body = std::move(body);
    for (auto& [name, value] : headers) request.headers.emplace(name, value);
    net::HttpResponse response;
    handler(request, response);
    while (auto again = resumed(response)) {
      response = net::HttpResponse();
      (*again)(request, response);
    }
    response.join_body();
    Answer answer{response.status, response.headers, std::move(response.body), nullptr};
    if (response.stream_start()) {
      answer.stream = std::make_shared<TestStream>();
      response.stream_start()(answer.stream);
      executor->run_until_idle();
    }
    return answer;
  }
  // What a parked request goes on with, if it may at once.
  static std::optional<net::HttpHandler> resumed(const net::HttpResponse& response) {
    std::optional<net::HttpHandler> next;
    if (const auto wait = response.parked()) {
      wait({[&](net::HttpHandler handler, net::HttpResponse::Resume::On) {
        next = std::move(handler);
      }});
    }
    return next;
  }
  Answer get(std::string target, std::string accept = "") {
    if (accept.empty()) return send("GET", std::move(target));
    return send("GET", std::move(target), "", {{"Accept", accept}});
  }
  Answer post(std::string target, std::string body) {
    auto answer = send("POST", std::move(target), std::move(body));
    executor->run_until_idle();
    return answer;
  }
  Answer put(std::string target, std::string body) {
    auto answer = send("PUT", std::move(target), std::move(body));
    executor->run_until_idle();
    return answer;
  }
  Answer patch(std::string target, std::string type, std::string body) {
    auto answer = send("PATCH", std::move(target), std::move(body), {{"Content-Type", type}});
    executor->run_until_idle();
    return answer;
  }
  Answer del(std::string target, std::string body = "") {
    auto answer = send("DELETE", std::move(target), std::move(body));
    executor->run_until_idle();
    return answer;
  }
  void advance(Micros by) { executor->advance(by); }

  ManualClock clock;
  std::unique_ptr<ManualExecutor> executor = ManualExecutor::create(clock);
  std::unique_ptr<Random> random = seeded_random(7);
  Env env{clock, *executor, *random, no_faults()};
  std::unique_ptr<storage::KvStore> store = storage::make_memory_store(env);
  std::unique_ptr<ApiServer> server = std::make_unique<ApiServer>(env, *store, ApiServerConfig{});
  net::HttpHandler handler;
};

constexpr const char* kConfigMaps = "/api/v1/namespaces/default/configmaps";
constexpr const char* kPods = "/api/v1/namespaces/default/pods";
constexpr const char* kServices = "/api/v1/namespaces/default/services";

inline std::string config_map(const std::string& name, const std::string& more = "") {
  return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + "\"}" + more +
         "}";
}
inline std::string pod(const std::string& name, const std::string& spec_more = "",
                       const std::string& meta_more = "") {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + "\"" + meta_more +
         R"(},"spec":{"containers":[{"name":"c","image":"i"}])" + spec_more + "}}";
}

}  // namespace orch::server::test
