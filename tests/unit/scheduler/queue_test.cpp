#include "server/scheduler/queue.h"

#include "server/scheduler/cache.h"
#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

struct Fixture {
  bool helps = false;
  Queue queue{{.hint = [this](const ClusterEvent&, const QueuedPod&) { return helps; }}};
  MonoTime now{Seconds{1000}};

  std::string pop() {
    auto pod = queue.pop();
    return pod ? pod->pod->name() : "";
  }
  void fail(QueuedPod pod) {
    pod.rejected_by = {"NodeResourcesFit"};
    queue.put_back(std::move(pod), now);
  }
};

TEST_CASE("priority first, then age") {
  Fixture f;
  f.queue.put(PodBuilder("old").info(), f.now);
  f.queue.put(PodBuilder("young").info(), f.now + Seconds{1});
  f.queue.put(PodBuilder("vip").priority(5).info(), f.now + Seconds{2});
  CHECK(f.pop() == "vip");
  CHECK(f.pop() == "old");
  CHECK(f.pop() == "young");
  CHECK(f.pop().empty());
}

TEST_CASE("an event that helps moves a pod through back-off") {
  Fixture f;
  f.queue.put(PodBuilder("p").info(), f.now);
  f.fail(*f.queue.pop());
  CHECK(f.queue.unschedulable() == 1);
  f.queue.on_event({}, f.now);  // no help
  CHECK(f.queue.unschedulable() == 1);
  f.helps = true;
  f.queue.on_event({}, f.now);
  CHECK(f.queue.backing_off() == 1);
  CHECK(f.queue.next_due() == f.now + Seconds{1});
  f.queue.flush(f.now + Millis{999});
  CHECK(f.pop().empty());
  f.queue.flush(f.now + Seconds{1});
  CHECK(f.pop() == "p");
}

TEST_CASE("after its back-off an event makes a pod active at once") {
  Fixture f;
  f.queue.put(PodBuilder("p").info(), f.now);
  f.fail(*f.queue.pop());
  f.helps = true;
  f.queue.on_event({}, f.now + Seconds{2});
  CHECK(f.queue.active() == 1);
}

TEST_CASE("events during the cycle are not lost") {
  Fixture f;
  f.queue.put(PodBuilder("p").info(), f.now);
  auto pod = *f.queue.pop();
  f.helps = true;
  f.queue.on_event({}, f.now);
  f.fail(std::move(pod));
  CHECK(f.queue.unschedulable() == 0);
  CHECK(f.queue.backing_off() == 1);
}

TEST_CASE("back-off doubles from one second to ten; five minutes are the most") {
  Fixture f;
  CHECK(f.queue.backoff_of(1) == Seconds{1});
  CHECK(f.queue.backoff_of(2) == Seconds{2});
  CHECK(f.queue.backoff_of(4) == Seconds{8});
  CHECK(f.queue.backoff_of(5) == Seconds{10});
  f.queue.put(PodBuilder("p").info(), f.now);
  f.fail(*f.queue.pop());
  f.queue.flush(f.now + std::chrono::minutes{5} - Seconds{1});
  CHECK(f.queue.active() == 0);
  f.queue.flush(f.now + std::chrono::minutes{5});
  CHECK(f.queue.active() == 1);
}

TEST_CASE("a pod that changed is tried again, a mere status change is not") {
  Fixture f;
  PodBuilder pod("p");
  f.queue.put(pod.info(), f.now);
  f.fail(*f.queue.pop());
  pod.pod.status.phase = "Pending";
  f.queue.put(pod.info(), f.now + Seconds{20});
  CHECK(f.queue.unschedulable() == 1);
  pod.tolerate("k", "Exists", "", "");
  f.queue.put(pod.info(), f.now + Seconds{20});
  CHECK(f.queue.active() == 1);
}

ClusterEvent gone(const std::string& pod) {
  ClusterEvent out;
  out.kind = ClusterEvent::Kind::kAssignedPod;
  out.actions = ClusterEvent::kDelete;
  out.pod = PodBuilder(pod).on("n1").info();
  out.node_name = "n1";
  return out;
}

TEST_CASE("who preempted is woken by the last of its victims, at once") {
  Fixture f;
  f.helps = true;
  f.queue.put(PodBuilder("p").info(), f.now);
  auto pod = *f.queue.pop();
  pod.awaited = {"uid-a", "uid-b", "uid-c"};
  f.queue.on_event(gone("a"), f.now);  // while it is still evicting
  f.fail(std::move(pod));
  CHECK(f.queue.unschedulable() == 1);
  f.queue.on_event(gone("b"), f.now);
  CHECK(f.queue.unschedulable() == 1);
  f.queue.on_event(gone("c"), f.now);
  CHECK(f.queue.active() == 1);

  // All of them were gone before it came back.
  pod = *f.queue.pop();
  pod.awaited = {"uid-d"};
  f.queue.on_event(gone("d"), f.now);
  f.fail(std::move(pod));
  CHECK(f.queue.active() == 1);

  // Something else helps it: with back-off, from where the last victim takes it.
  pod = *f.queue.pop();
  pod.awaited = {"uid-e"};
  f.fail(std::move(pod));
  f.queue.on_event(gone("other"), f.now);
  CHECK(f.queue.backing_off() == 1);
  f.queue.on_event(gone("e"), f.now);
  CHECK(f.queue.active() == 1);

  // Deleted: nothing waits any more.
  pod = *f.queue.pop();
  pod.awaited = {"uid-f"};
  f.fail(std::move(pod));
  f.queue.remove("uid-p");
  f.queue.on_event(gone("f"), f.now);
  CHECK(f.queue.active() == 0);
}

TEST_CASE("of pods that are alike one is asked, besides those that are told apart") {
  std::vector<std::string> asked, apart;
  std::string helped;
  Queue queue{{.hint =
                   [&](const ClusterEvent&, const QueuedPod& pod) {
                     asked.push_back(pod.pod->name());
                     return helped == pod.pod->name();
                   },
               .alike = [](const QueuedPod& pod) { return pod.pod->namespace_(); },
               .apart = [&](const ClusterEvent&) { return apart; }}};
  const MonoTime now{Seconds{1000}};
  for (const char* name : {"a", "b", "c", "d"}) {
    queue.put(PodBuilder(name, "same").info(), now);
    auto pod = *queue.pop();
    pod.rejected_by = {"NodeResourcesFit"};
    queue.put_back(std::move(pod), now);
  }
  queue.on_event({}, now);
  CHECK(asked == std::vector<std::string>{"a"});
  asked.clear();
  apart = {"uid-a", "uid-nobody"};
  helped = "a";
  queue.on_event({}, now);
  CHECK(asked == std::vector<std::string>{"b", "a"});
  CHECK(queue.unschedulable() == 3);
  apart.clear();
  helped = "b";
  queue.on_event({}, now);
  CHECK(queue.unschedulable() == 0);
}

TEST_CASE("gates keep a pod apart until they are gone") {
  Fixture f;
  f.helps = true;
  PodBuilder pod("p");
  pod.pod.spec.schedulingGates.emplace_back().name = "wait";
  f.queue.put(pod.info(), f.now);
  CHECK(f.queue.gated() == 1);
  f.queue.on_event({}, f.now);
  f.queue.flush(f.now + std::chrono::hours{1});
  CHECK(f.pop().empty());
  pod.pod.spec.schedulingGates.clear();
  f.queue.put(pod.info(), f.now);
  CHECK(f.pop() == "p");
}

TEST_CASE("what was deleted during its cycle does not come back") {
  Fixture f;
  f.queue.put(PodBuilder("p").info(), f.now);
  auto pod = *f.queue.pop();
  f.queue.remove("uid-p");
  f.fail(std::move(pod));
  CHECK(f.queue.active() + f.queue.backing_off() + f.queue.unschedulable() == 0);
}

TEST_CASE("the cache: assume, confirm, forget; snapshots do not change under a reader") {
  Cache cache;
  cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("a").node));
  cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("b").node));
  Snapshot snapshot;
  cache.update(snapshot);
  REQUIRE(snapshot.nodes.size() == 2);
  const NodeInfoPtr before = *snapshot.find("a");

  const auto pod = PodBuilder("p").request("cpu", "1").info();
  cache.assume(pod, "a");
  CHECK(before->requested.milli_cpu == 0);
  cache.update(snapshot);
  CHECK((*snapshot.find("a"))->requested.milli_cpu == 1000);
  cache.forget(pod->uid());
  cache.update(snapshot);
  CHECK((*snapshot.find("a"))->pods.empty());

  cache.assume(pod, "a");
  cache.put_pod(PodBuilder("p").request("cpu", "1").on("b").info());  // bound elsewhere after all
  cache.forget(pod->uid());                                           // confirmed: stays
  cache.update(snapshot);
  CHECK((*snapshot.find("a"))->pods.empty());
  CHECK((*snapshot.find("b"))->requested.milli_cpu == 1000);

  cache.remove_node("b");
  cache.update(snapshot);
  CHECK(snapshot.nodes.size() == 1);
  cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("b").node));
  cache.update(snapshot);
  CHECK((*snapshot.find("b"))->pods.size() == 1);  // its pods were not forgotten
}

TEST_CASE("zones take turns in the order of nodes") {
  Cache cache;
  for (const char* name : {"a1", "a2", "a3"}) {
    cache.put_node(std::make_shared<corev1::Node>(NodeBuilder(name).zone("a").node));
  }
  cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("b1").zone("b").node));
  Snapshot snapshot;
  cache.update(snapshot);
  Names order;
  for (const auto& node : snapshot.nodes) order.push_back(node->name());
  CHECK(order == Names{"a1", "b1", "a2", "a3"});
}

}  // namespace
}  // namespace orch::server::scheduler
