// WATCH: order, resume, bookmarks, selectors, forms, ends.
#include <catch2/catch.hpp>

#include "orch/client/transport.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

struct Seen {
  std::string type, name, version;
};

std::vector<Seen> seen(TestStream& stream) {
  std::vector<Seen> out;
  for (const std::string& frame : stream.take()) {
    const auto text = [&](const char* path) {
      const auto raw = json_path(frame, path);
      return raw ? json_string(*raw).value_or("") : "";
    };
    out.push_back(
        {text("type"), text("object.metadata.name"), text("object.metadata.resourceVersion")});
  }
  return out;
}

std::string watch_url(const std::string& more = "") {
  return std::string(kConfigMaps) + "?watch=true" + more;
}

}  // namespace

TEST_CASE("watch from a version sees every later change once, in order") {
  ApiFixture api;
  const auto a = api.post(kConfigMaps, config_map("a"));
  const auto watch = api.get(watch_url("&resourceVersion=" + a.at("metadata.resourceVersion")));
  REQUIRE(watch.status == 200);
  REQUIRE(watch.stream);
  CHECK(watch.header("Content-Type") == "application/json");
  const auto b = api.post(kConfigMaps, config_map("b"));
  const auto b2 = api.put(std::string(kConfigMaps) + "/b", config_map("b", R"(,"data":{"x":"y"})"));
  api.del(std::string(kConfigMaps) + "/a");
  const auto events = seen(*watch.stream);
  REQUIRE(events.size() == 3);
  CHECK(events[0].type == "ADDED");
  CHECK(events[0].version == b.at("metadata.resourceVersion"));
  CHECK(events[1].type == "MODIFIED");
  CHECK(events[1].version == b2.at("metadata.resourceVersion"));
  CHECK(events[2].type == "DELETED");
  CHECK(events[2].name == "a");
  CHECK(std::stoll(events[2].version) > std::stoll(events[1].version));  // the deletion's own
}

TEST_CASE("watch without a version starts with what is there") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const auto watch = api.get(watch_url());
  auto events = seen(*watch.stream);
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == "ADDED");
  api.post(kConfigMaps, config_map("b"));
  events = seen(*watch.stream);
  REQUIRE(events.size() == 1);
  CHECK(events[0].name == "b");
}

TEST_CASE("sendInitialEvents ends with an annotated bookmark") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const auto watch = api.get(watch_url(
      "&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"));
  REQUIRE(watch.stream);
  CHECK(watch.stream->data.find("\"k8s.io/initial-events-end\":\"true\"") != std::string::npos);
  const auto events = seen(*watch.stream);
  REQUIRE(events.size() == 2);
  CHECK(events[1].type == "BOOKMARK");
  CHECK(std::stoll(events[1].version) >= std::stoll(events[0].version));
  CHECK(api.get(watch_url("&sendInitialEvents=true&allowWatchBookmarks=true")).status == 422);
}

TEST_CASE("bookmarks come every minute, for those who want them") {
  ApiFixture api;
  const std::string since = "&resourceVersion=" + std::to_string(api.store->revision());
  const auto with = api.get(watch_url("&allowWatchBookmarks=true" + since));
  const auto without = api.get(watch_url(since));
  api.post("/api/v1/namespaces/other/configmaps", config_map("elsewhere"));
  api.advance(Seconds{61});
  const auto events = seen(*with.stream);
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == "BOOKMARK");
  CHECK(events[0].version == std::to_string(api.store->revision()));
  CHECK(seen(*without.stream).empty());
}

TEST_CASE("selectors turn updates into additions and deletions") {
  ApiFixture api;
  const auto watch = api.get(watch_url("&labelSelector=on%3Dyes&resourceVersion=" +
                                       std::to_string(api.store->revision())));
  const std::string url = std::string(kConfigMaps) + "/a";
  api.post(kConfigMaps, config_map("a"));
  CHECK(seen(*watch.stream).empty());
  const std::string type = "application/merge-patch+json";
  api.patch(url, type, R"({"metadata":{"labels":{"on":"yes"}}})");
  api.patch(url, type, R"({"data":{"x":"1"}})");
  const auto off = api.patch(url, type, R"({"metadata":{"labels":{"on":"no"}}})");
  api.del(url);
  const auto events = seen(*watch.stream);
  REQUIRE(events.size() == 3);
  CHECK(events[0].type == "ADDED");
  CHECK(events[1].type == "MODIFIED");
  CHECK(events[2].type == "DELETED");
  CHECK(events[2].version == off.at("metadata.resourceVersion"));
}

TEST_CASE("a version that is gone is an ERROR event with 410") {
  ApiFixture api;
  const auto a = api.post(kConfigMaps, config_map("a"));
  api.post(kConfigMaps, config_map("b"));
  api.post(kConfigMaps, config_map("c"));
  REQUIRE(api.store->compact(api.store->revision()));
  const auto watch = api.get(watch_url("&resourceVersion=" + a.at("metadata.resourceVersion")));
  CHECK(watch.status == 200);
  REQUIRE(watch.stream);
  const auto frames = watch.stream->take();
  REQUIRE(frames.size() == 1);
  CHECK(json_path(frames[0], "type") == "\"ERROR\"");
  CHECK(json_path(frames[0], "object.code") == "410");
  CHECK(json_path(frames[0], "object.reason") == "\"Expired\"");
  CHECK(watch.stream->finished);
}

TEST_CASE("watches end by time, by the peer and by the server") {
  ApiFixture api;
  const auto timed = api.get(watch_url("&timeoutSeconds=5"));
  const auto left = api.get(watch_url());
  const auto kept = api.get(watch_url());
  api.advance(Seconds{6});
  CHECK(timed.stream->finished);
  left.stream->close();
  api.post(kConfigMaps, config_map("a"));
  CHECK(left.stream->data.empty());
  CHECK(seen(*kept.stream).size() == 1);
  api.advance(std::chrono::hours(2));
  CHECK(kept.stream->finished);
  const auto last = api.get(watch_url());
  api.server->stop();
  CHECK(last.stream->finished);
  CHECK(api.get(kConfigMaps).status == 503);
}

TEST_CASE("tables, metadata and protobuf in watches") {
  ApiFixture api;
  const auto open = [&](const std::string& accept) {
    return api.send("GET", watch_url(), "", {{"Accept", accept}});
  };
  const auto table = open("application/json;as=Table;v=v1;g=meta.k8s.io");
  const auto meta = open("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  const auto proto = open("application/vnd.kubernetes.protobuf");
  CHECK(proto.header("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch");
  CHECK(open("application/yaml").status == 406);
  api.post(kConfigMaps, config_map("a"));
  api.post(kConfigMaps, config_map("b"));
  const auto rows = table.stream->take();
  REQUIRE(rows.size() == 2);
  CHECK(json_path(rows[0], "object.kind") == "\"Table\"");
  CHECK(json_path(rows[0], "object.columnDefinitions")->size() > 10);
  CHECK(json_path(rows[1], "object.columnDefinitions") == "null");
  const auto frames = meta.stream->take();
  REQUIRE(frames.size() == 2);
  CHECK(json_path(frames[0], "object.kind") == "\"PartialObjectMetadata\"");
  CHECK(json_path(frames[0], "object.metadata.name") == "\"a\"");
  const std::string& bytes = proto.stream->data;
  REQUIRE(bytes.size() > 8);
  const auto size =
      static_cast<uint32_t>(static_cast<uint8_t>(bytes[2]) << 8 | static_cast<uint8_t>(bytes[3]));
  CHECK(bytes.size() > size + 4);  // a second frame follows
  CHECK(bytes.substr(4, 7) == std::string("\x0a\x05"
                                          "ADDED"));
  CHECK(bytes.find(std::string("k8s\0", 4)) != std::string::npos);
}

TEST_CASE("in-process transport: calls, errors, watch") {
  ApiFixture api;
  auto transport = api.server->local_transport({"me", "", {}, {}});
  client::Request request;
  request.verb = "create";
  request.version = "v1";
  request.resource = "configmaps";
  request.namespace_ = "default";
  request.body = config_map("a");
  const auto made = transport->call(request);
  REQUIRE(made);
  CHECK(made->code == 201);
  const auto again = transport->call(request);
  REQUIRE(!again);
  CHECK(again.error().is("AlreadyExists"));

  std::vector<std::string> events;
  int ended = 0;
  client::Request watch;
  watch.verb = "watch";
  watch.version = "v1";
  watch.resource = "configmaps";
  watch.query.emplace_back("resourceVersion", std::to_string(api.store->revision()));
  auto stream =
      transport->watch(watch, {[&](client::WatchEvent event) { events.push_back(event.type); },
                               [&](const api::Error*) { ++ended; }});
  REQUIRE(stream);
  request.verb = "delete";
  request.body.clear();
  request.name = "a";
  REQUIRE(transport->call(request));
  api.executor->run_until_idle();
  CHECK(events == std::vector<std::string>{"DELETED"});
  stream->reset();
  request.verb = "create";
  request.name.clear();
  request.body = config_map("b");
  REQUIRE(transport->call(request));
  api.executor->run_until_idle();
  CHECK(events.size() == 1);
  CHECK(ended == 0);
}

}  // namespace orch::server::test
