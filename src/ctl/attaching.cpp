#include "ctl/attaching.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "ctl/remote_command.h"

namespace orch::ctl {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kPoll{200};

bool over(const JsonValue& pod) {
  const std::string phase = pod.at("status.phase").text();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace

Outcome<int> attach_to(Session& session, const JsonValue& pod, const std::string& container,
                       Attaching streams) {
  JsonValue spec;
  for (const JsonValue& one : pod.at("spec.containers").items()) {
    if (one.get("name").text() == container) spec = one;
  }
  if (streams.tty && !spec.get("tty").boolean()) {
    streams.tty = false;
    if (!streams.quiet) {
      fmt::print(stderr, "error: Unable to use a TTY - container {} did not allocate one\n",
                 container);
    }
  } else if (!streams.tty && spec.get("tty").boolean()) {
    streams.tty = true;  // a terminal has one stream of output
  }
  const bool terminal = streams.tty && streams.stdin_ && isatty(STDIN_FILENO) != 0;
  if (streams.stdin_ && !streams.quiet) {
    fmt::print(stderr, "If you don't see a command prompt, try pressing enter.\n");
  }
  const std::string target = fmt::format("/api/v1/namespaces/{}/pods/{}/attach{}",
                                         net::url_encode(pod.at("metadata.namespace").text()),
                                         net::url_encode(pod.at("metadata.name").text()),
                                         query_text({{"container", container},
                                                     {"stdin", streams.stdin_ ? "true" : ""},
                                                     {"stdout", "true"},
                                                     {"stderr", streams.tty ? "" : "true"},
                                                     {"tty", streams.tty ? "true" : ""}}));
  ORCH_TRY(ApiClient * client, session.api());
  return run_remote(*client, target, {streams.stdin_, terminal});
}

Outcome<JsonValue> wait_running(Session& session, const Target& pod, int64_t timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    ORCH_TRY(JsonValue object, session.fetch(pod));
    const auto statuses = object.at("status.containerStatuses").items();
    const bool runs = !statuses.empty() && statuses[0].get("state").has("running");
    if (over(object) || runs) return object;
    if (timeout_ms > 0 && Clock::now() > deadline) {
      return Err(error("timed out waiting for the condition"));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Outcome<int> wait_exit_code(Session& session, const Target& pod) {
  for (;;) {
    ORCH_TRY(const JsonValue object, session.fetch(pod));
    if (over(object)) {
      const auto statuses = object.at("status.containerStatuses").items();
      if (statuses.empty()) return 0;
      return static_cast<int>(statuses[0].at("state.terminated.exitCode").number());
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace orch::ctl
