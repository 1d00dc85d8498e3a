// Goal: base keeps its promises: strands never overlap, timers fire in order, files are atomic,
// encodings round-trip, results propagate.
#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "orch/base/executor.h"
#include "orch/base/faults.h"
#include "orch/base/file.h"
#include "orch/base/metrics.h"
#include "orch/base/random.h"
#include "orch/base/result.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace std::chrono_literals;

namespace {
Result<int, std::string> half(int x) {
  if (x % 2 != 0) return Err(std::string("odd"));
  return x / 2;
}
Result<int, std::string> quarter(int x) {
  ORCH_TRY(int a, half(x));
  ORCH_TRY(int b, half(a));
  return b;
}
}  // namespace

TEST_CASE("ORCH_TRY propagates the first error") {
  CHECK(*quarter(8) == 2);
  CHECK(quarter(6).error() == "odd");
  CHECK(quarter(6).value_or(-1) == -1);
}

TEST_CASE("a strand runs tasks in order and never two at once") {
  auto executor = ThreadPoolExecutor::create(4);
  auto strand = executor->make_strand("test");
  std::atomic<int> inside{0};
  std::atomic<bool> overlap{false};
  std::vector<int> order;
  std::promise<void> finished;
  for (int i = 0; i < 2000; ++i) {
    strand->post([&, i] {
      if (inside.fetch_add(1) != 0) overlap = true;
      order.push_back(i);
      inside.fetch_sub(1);
      if (i == 1999) finished.set_value();
    });
  }
  REQUIRE(finished.get_future().wait_for(10s) == std::future_status::ready);
  CHECK_FALSE(overlap);
  REQUIRE(order.size() == 2000);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("different strands run in parallel") {
  auto executor = ThreadPoolExecutor::create(2);
  auto a = executor->make_strand("a");
  auto b = executor->make_strand("b");
  std::promise<void> b_ran;
  std::promise<bool> a_saw_b;
  a->post([&] { a_saw_b.set_value(b_ran.get_future().wait_for(5s) == std::future_status::ready); });
  b->post([&] { b_ran.set_value(); });
  CHECK(a_saw_b.get_future().get());
}

TEST_CASE("pool timers fire after their delay, cancelled ones never") {
  auto executor = ThreadPoolExecutor::create(1);
  auto strand = executor->make_strand("t");
  std::atomic<bool> cancelled_ran{false};
  std::promise<MonoTime> fired;
  const MonoTime start = system_clock().mono();
  const uint64_t id = strand->post_after(10ms, [&] { cancelled_ran = true; });
  strand->cancel_timer(id);
  strand->post_after(30ms, [&] { fired.set_value(system_clock().mono()); });
  auto future = fired.get_future();
  REQUIRE(future.wait_for(5s) == std::future_status::ready);
  CHECK(future.get() - start >= 30ms);
  CHECK_FALSE(cancelled_ran);
}

TEST_CASE("stop drops queued tasks and later posts") {
  auto executor = ThreadPoolExecutor::create(1);
  auto strand = executor->make_strand("t");
  executor->stop();
  bool ran = false;
  strand->post([&] { ran = true; });
  executor->stop();
  CHECK_FALSE(ran);
}

TEST_CASE("manual executor runs timers in virtual time, in order") {
  ManualClock clock;
  auto executor = ManualExecutor::create(clock);
  auto strand = executor->make_strand("t");
  std::vector<std::string> seen;
  strand->post_after(2s, [&] { seen.push_back("two"); });
  strand->post_after(1s, [&] {
    seen.push_back("one");
    strand->post_after(500ms, [&] { seen.push_back("one and a half"); });
  });
  executor->advance(900ms);
  CHECK(seen.empty());
  executor->advance(5s);
  CHECK(seen == std::vector<std::string>{"one", "one and a half", "two"});
}

TEST_CASE("base64 and hex") {
  for (std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    CHECK(base64_decode(base64_encode(text)) == text);
    CHECK(base64url_decode(base64url_encode(text)) == text);
  }
  CHECK(base64_encode("foob") == "Zm9vYg==");
  CHECK_FALSE(base64_decode("Zm9vYg="));
  CHECK_FALSE(base64_decode("Zm9*"));
  CHECK(hex_encode(std::string("\x00\xff", 2)) == "00ff");
}

TEST_CASE("parse_int takes whole numbers only") {
  CHECK(parse_int("-42") == -42);
  CHECK(parse_int("+7") == 7);
  for (const char* bad : {"", "+", "1x", " 1", "99999999999999999999", "+-1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_int(bad));
  }
}

TEST_CASE("split and join are inverse") {
  CHECK(split("", ',').empty());
  CHECK(split("a,,b", ',') == std::vector<std::string>{"a", "", "b"});
  CHECK(join({"a", "", "b"}, ",") == "a,,b");
}

TEST_CASE("uuids are version 4 and differ") {
  const std::string a = random_uuid(system_random());
  CHECK(a.size() == 36);
  CHECK(a[14] == '4');
  CHECK(a != random_uuid(system_random()));
  CHECK(random_uuid(*seeded_random(1)) == random_uuid(*seeded_random(1)));
}

TEST_CASE("write_file_atomic replaces, keeps the mode, leaves no temporary") {
  char directory[] = "/tmp/orch-base-XXXXXX";
  REQUIRE(mkdtemp(directory));
  const std::string path = std::string(directory) + "/a/b/file";
  REQUIRE(make_directories(std::string(directory) + "/a/b"));
  REQUIRE(write_file_atomic(path, "one", 0640));
  REQUIRE(write_file_atomic(path, "two", 0600));
  CHECK(*read_file(path) == "two");
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(read_file(path + "x").error() == path + "x: No such file or directory");
  CHECK_FALSE(write_file_atomic("/proc/nowhere/file", "x"));
  CHECK(unlink(path.c_str()) == 0);
  CHECK(rmdir((std::string(directory) + "/a/b").c_str()) == 0);  // fails if a temporary is left
  CHECK(rmdir((std::string(directory) + "/a").c_str()) == 0);
  CHECK(rmdir(directory) == 0);
}

TEST_CASE("metrics render in Prometheus' form") {
  metrics::counter("test_total", "A test.", "kind=\"a\"").add(2);
  metrics::histogram("test_seconds", "Times.", "", {1, 2}).observe(1.5);
  const std::string text = metrics::render();
  CHECK(text.find("# TYPE test_total counter\ntest_total{kind=\"a\"} 2\n") != std::string::npos);
  CHECK(text.find("test_seconds_bucket{le=\"1\"} 0\ntest_seconds_bucket{le=\"2\"} 1\n"
                  "test_seconds_bucket{le=\"+Inf\"} 1\n") != std::string::npos);
}

TEST_CASE("an armed fault strikes as told, a disarmed one never") {
  Faults faults;
  CHECK_FALSE(faults.hit("x"));
  int passes = 0;
  faults.arm("x", [&] { return ++passes == 2; });
  CHECK_FALSE(faults.hit("x"));
  CHECK(faults.hit("x"));
  CHECK_FALSE(faults.hit("y"));
  faults.disarm("x");
  CHECK_FALSE(faults.hit("x"));
}
