// LIST of 10,000 Pods of about 3.4 KB through the whole API server (in process, memory store),
// beside a plain copy of the same number of bytes, and creates, gets and patches of one Pod. Goal:
// LIST under 50 ms and within 5 times of the copy.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "unit/server/api_fixture.h"

using namespace orch;
using namespace orch::server::test;

namespace {

double milliseconds(const std::function<void()>& run, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count());
  }
  return best;
}

// A Pod with as much in it as real ones have.
std::string big_pod(int i) {
  std::string annotations;
  for (int a = 0; a < 12; ++a) {
    annotations += (a ? "," : "") + ("\"bench.example/annotation-" + std::to_string(a)) + "\":\"" +
                   std::string(150, static_cast<char>('a' + a)) + "\"";
  }
  return pod("pod-" + std::to_string(i), "",
             ",\"labels\":{\"app\":\"bench\"},\"annotations\":{" + annotations + "}");
}

}  // namespace

int main() {
  constexpr int kPodsCount = 10'000;
  ApiFixture api;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kPodsCount; ++i) api.send("POST", kPods, big_pod(i));
  const std::chrono::duration<double> creating = std::chrono::steady_clock::now() - begin;

  size_t bytes = 0;
  const double list = milliseconds([&] { bytes = api.get(kPods).body.size(); }, 10);
  std::string from(bytes, 'x'), to;
  const double copy = milliseconds(
      [&] {
        std::string fresh(bytes, '\0');
        std::memcpy(fresh.data(), from.data(), bytes);
        to = std::move(fresh);
      },
      10);
  const double selected =
      milliseconds([&] { api.get(std::string(kPods) + "?labelSelector=app%3Dnone"); }, 10);
  const double get = milliseconds([&] { api.get(std::string(kPods) + "/pod-17"); }, 1000);

  std::printf("%-46s %10s   %s\n", "what", "ms", "goal or limit");
  std::printf("%-46s %10.1f   under 50, and 5 times the copy\n", "LIST of 10,000 Pods", list);
  std::printf("%-46s %10.1f   the limit\n", "copy of the same bytes", copy);
  std::printf("%-46s %10.1f   under 40\n", "LIST with a label selector that none matches",
              selected);
  std::printf("%-46s %10.4f\n", "GET of one", get);
  std::printf("%-46s %10.4f   one after another, in process\n", "create of one, mean",
              creating.count() * 1000 / kPodsCount);
  std::printf("bytes of the LIST: %zu\n", bytes);
  return 0;
}
