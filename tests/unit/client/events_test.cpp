#include "orch/client/events.h"

#include <catch2/catch.hpp>
#include <set>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "unit/client/scripted_transport.h"

namespace orch::client {
namespace {

using namespace testing;

struct Fixture : World {
  ScriptedTransport transport;
  std::unique_ptr<EventRecorder> recorder = make_event_recorder(env, transport, "tester", "host1");
  EventSubject pod{"v1", "Pod", "ns", "web-0", "uid-1", "7", ""};

  Fixture() {
    transport.otherwise = [](const Request& request) -> api::ApiResult<Response> {
      if (request.object) return Response{201, api::to_json(*request.object)};
      return Response{200, R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"x"}})"};
    };
  }
  const api::corev1::Event& created(size_t i) {
    return static_cast<const api::corev1::Event&>(*transport.calls.at(i).object);
  }
};

TEST_CASE("an event is created once and then counted up") {
  Fixture f;
  f.recorder->record(f.pod, "Normal", "Pulled", "got it");
  CHECK(f.transport.calls.empty());  // never on the caller's thread
  f.settle();
  REQUIRE(f.transport.calls.size() == 1);
  CHECK(f.transport.calls[0].verb == "create");
  CHECK(f.transport.calls[0].namespace_ == "ns");
  const auto& event = f.created(0);
  CHECK(event.metadata.name.starts_with("web-0."));
  CHECK(event.involvedObject.kind == "Pod");
  CHECK(event.involvedObject.uid == "uid-1");
  CHECK(event.reason == "Pulled");
  CHECK(event.message == "got it");
  CHECK(event.type_ == "Normal");
  CHECK(event.count == 1);
  CHECK(event.source.component == "tester");
  CHECK(event.source.host == "host1");
  CHECK(event.reportingComponent == "tester");
  CHECK(event.firstTimestamp.is_set);

  f.clock.advance(Seconds{5});
  f.recorder->record(f.pod, "Normal", "Pulled", "got it");
  f.recorder->record(f.pod, "Normal", "Pulled", "got it");
  f.settle();
  REQUIRE(f.transport.calls.size() == 3);
  CHECK(f.transport.calls[2].verb == "patch");
  CHECK(f.transport.calls[2].name == event.metadata.name);
  CHECK(f.transport.calls[2].body.find("\"count\":3") != std::string::npos);
}

TEST_CASE("other messages are other events, ten alike are combined") {
  Fixture f;
  for (int i = 0; i < 12; ++i) {
    f.recorder->record(f.pod, "Warning", "Failed", "try " + std::to_string(i));
  }
  f.settle();
  REQUIRE(f.transport.calls.size() == 12);
  CHECK(f.created(8).message == "try 8");
  CHECK(f.created(9).message == "(combined from similar events): try 9");
  CHECK(f.transport.calls[10].verb == "patch");
  std::set<std::string> names;
  for (size_t i = 0; i < 10; ++i) names.insert(f.created(i).metadata.name);
  CHECK(names.size() == 10);
}

TEST_CASE("one object may not flood: 25 at once, then one in five minutes") {
  Fixture f;
  for (int i = 0; i < 40; ++i) f.recorder->record(f.pod, "Normal", "Again", "and again");
  f.settle();
  CHECK(f.transport.calls.size() == 25);
  EventSubject other = f.pod;
  other.uid = "uid-2";
  f.recorder->record(other, "Normal", "Again", "and again");
  f.settle();
  CHECK(f.transport.calls.size() == 26);
  f.clock.advance(Seconds{301});
  f.recorder->record(f.pod, "Normal", "Again", "and again");
  f.recorder->record(f.pod, "Normal", "Again", "and again");
  f.settle();
  CHECK(f.transport.calls.size() == 27);
}

TEST_CASE("an expired event is made anew; refusals are dropped; a server gone is waited for") {
  Fixture f;
  f.recorder->record(f.pod, "Normal", "R", "m");
  f.settle();
  f.transport.answers.push_back(Err(api::not_found({"", "events"}, "x")));
  f.recorder->record(f.pod, "Normal", "R", "m");
  f.settle();
  REQUIRE(f.transport.calls.size() == 3);
  CHECK(f.transport.calls[2].verb == "create");

  f.transport.answers.push_back(Err(api::forbidden({"", "events"}, "x", "namespace terminating")));
  f.recorder->record(f.pod, "Normal", "S", "m");
  f.recorder->record(f.pod, "Normal", "T", "m");
  f.settle();
  CHECK(f.transport.calls.size() == 5);
  CHECK(f.created(4).reason == "T");

  f.transport.answers.push_back(Err(api::service_unavailable("gone")));
  f.recorder->record(f.pod, "Normal", "U", "m");
  f.settle();
  CHECK(f.transport.calls.size() == 6);
  f.executor->advance(Seconds{10});
  REQUIRE(f.transport.calls.size() == 7);
  CHECK(f.created(6).reason == "U");
}

TEST_CASE("cluster-scoped subjects go to default, long messages are cut") {
  Fixture f;
  api::corev1::Node node;
  node.metadata.name = "n1";
  f.recorder->record(subject_of(node), "Normal", "R", std::string(5000, 'x'));
  f.settle();
  CHECK(f.transport.calls.at(0).namespace_ == "default");
  CHECK(f.created(0).involvedObject.kind == "Node");
  CHECK(f.created(0).involvedObject.apiVersion == "v1");
  CHECK(f.created(0).message.size() == 1024);
}

}  // namespace
}  // namespace orch::client
