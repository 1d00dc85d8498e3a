// logs: of one container or all, of one pod or those a selector matches.
#include <fmt/format.h>

#include <cstdio>
#include <mutex>
#include <thread>

#include "ctl/pods.h"
#include "ctl/session.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

struct Source {
  std::string namespace_, pod, container;
};

Outcome<std::string> log_query(const Flags& flags, const Source& source, bool by_selector) {
  std::string since_seconds, tail;
  if (flags.given("since")) {
    ORCH_TRY(const int64_t since, flags.millis("since"));
    since_seconds = std::to_string((since + 999) / 1000);
  }
  ORCH_TRY(int64_t lines, flags.number("tail"));
  if (by_selector && !flags.given("tail")) lines = 10;
  if (lines < -1) return Err(error("--tail must be greater than or equal to -1"));
  if (lines >= 0) tail = std::to_string(lines);
  auto flag = [&](std::string_view name) { return std::string(flags.on(name) ? "true" : ""); };
  return query_text({{"container", source.container},
                     {"follow", flag("follow")},
                     {"limitBytes", flags.text("limit-bytes")},
                     {"previous", flag("previous")},
                     {"sinceSeconds", since_seconds},
                     {"sinceTime", flags.text("since-time")},
                     {"tailLines", tail},
                     {"timestamps", flag("timestamps")}});
}

// Whole lines at a time where several sources share the output or a prefix is asked for.
Outcome<Unit> copy_log(Session& session, ApiClient& client, const Source& source, bool by_selector,
                       bool by_line, std::mutex& output) {
  ORCH_TRY(const std::string query, log_query(session.flags, source, by_selector));
  const std::string prefix =
      session.flags.on("prefix") ? fmt::format("[pod/{}/{}] ", source.pod, source.container) : "";
  std::string pending;
  auto print = [&](std::string_view bytes) {
    std::lock_guard lock(output);
    std::fwrite(prefix.data(), 1, prefix.size(), stdout);
    const bool whole = std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size();
    return whole && std::fflush(stdout) == 0;
  };
  auto on_data = [&](std::string_view bytes) {
    if (!by_line && prefix.empty()) return print(bytes);
    pending += bytes;
    size_t from = 0;
    for (size_t end; (end = pending.find('\n', from)) != std::string::npos; from = end + 1) {
      if (!print(std::string_view(pending).substr(from, end + 1 - from))) return false;
    }
    pending.erase(0, from);
    return true;
  };
  const std::string target =
      fmt::format("/api/v1/namespaces/{}/pods/{}/log{}", net::url_encode(source.namespace_),
                  net::url_encode(source.pod), query);
  ORCH_CHECK(client.stream(target, "*/*", on_data));
  if (!pending.empty()) print(pending);
  return Unit{};
}

Outcome<std::vector<Source>> sources_of(Session& session) {
  const Flags& flags = session.flags;
  const auto& args = flags.args();
  std::vector<JsonValue> pods;
  if (flags.given("selector")) {
    if (!args.empty()) {
      return Err(error("only a selector (-l) or a POD name is allowed"));
    }
    ORCH_TRY(pods, pods_matching(session, flags.text("selector")));
  } else {
    if (args.empty() || args.size() > 3) {
      return Err(
          error("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or "
                "TYPE/NAME is a required argument for the logs command\nSee '" +
                session.program + " logs -h' for help and examples"));
    }
    auto pod = pick_pod(session, args[0]);
    if (!pod && pod.error().reason == "NotFound") {  // worded as kubectl words it here
      Failure failure = pod.error();
      ORCH_TRY(const std::string ns, session.namespace_());
      failure.message[0] = 'e';
      failure.message = fmt::format("error: {} in namespace \"{}\"", failure.message, ns);
      return Err(std::move(failure));
    }
    if (!pod) return Err(pod.error());
    pods.push_back(std::move(*pod));
  }
  std::vector<Source> out;
  for (const JsonValue& pod : pods) {
    const std::string ns = pod.at("metadata.namespace").text();
    const std::string name = pod.at("metadata.name").text();
    if (flags.on("all-containers")) {
      for (std::string& container : container_names(pod)) out.push_back({ns, name, container});
      continue;
    }
    const std::string given = args.size() == 2 ? args[1] : flags.text("container");
    ORCH_TRY(std::string container, pick_container(pod, given, false));
    out.push_back({ns, name, std::move(container)});
  }
  return out;
}

Outcome<int> run(Session& session) {
  ORCH_TRY(const auto sources, sources_of(session));
  if (sources.empty()) {
    ORCH_TRY(const std::string ns, session.namespace_());
    fmt::print(stderr, "No resources found in {} namespace.\n", ns);
    return 0;
  }
  ORCH_TRY(ApiClient * client, session.api());
  const bool by_selector = session.flags.given("selector");
  ORCH_TRY(const int64_t streams_max, session.flags.number("max-log-requests"));
  std::mutex output;
  int exit_code = 0;
  auto copy = [&](const Source& source, bool by_line) {
    auto done = copy_log(session, *client, source, by_selector, by_line, output);
    if (done) return;
    std::lock_guard lock(output);
    print_failure(done.error());
    exit_code = 1;
  };
  if (!session.flags.on("follow") || sources.size() == 1) {
    for (const Source& source : sources) copy(source, false);
    return exit_code;
  }
  if (static_cast<int64_t>(sources.size()) > streams_max) {
    return Err(
        error(fmt::format("you are attempting to follow {} log streams, but maximum allowed "
                          "concurrency is {}, use --max-log-requests to increase the limit",
                          sources.size(), streams_max)));
  }
  std::vector<std::thread> threads;
  for (const Source& source : sources) threads.emplace_back([&] { copy(source, true); });
  for (std::thread& thread : threads) thread.join();
  return exit_code;
}

}  // namespace

Verb logs_verb() {
  using Kind = Flag::Kind;
  return {"logs",
          "Print the logs of containers",
          "logs (POD | TYPE/NAME | -l SELECTOR) [-c CONTAINER]",
          {{"follow", 'f', Kind::kBool, "false", "go on with what is written from now"},
           {"container", 'c', Kind::kText, "", "the container; default: the pod's first"},
           {"all-containers", 0, Kind::kBool, "false", "every container of the pod"},
           {"previous", 'p', Kind::kBool, "false", "of the container's run before this one"},
           {"selector", 'l', Kind::kText, "", "pods with these labels"},
           {"since", 0, Kind::kText, "0s", "not older than this, as 5s, 2m, 3h"},
           {"since-time", 0, Kind::kText, "", "not older than this RFC 3339 time"},
           {"tail", 0, Kind::kText, "-1", "only the last lines; -1 = all, 10 with -l"},
           {"limit-bytes", 0, Kind::kText, "", "at most so many bytes"},
           {"timestamps", 0, Kind::kBool, "false", "the time before each line"},
           {"prefix", 0, Kind::kBool, "false", "[pod/NAME/CONTAINER] before each line"},
           {"max-log-requests", 0, Kind::kText, "5", "logs to follow at a time"}},
          run};
}

}  // namespace orch::ctl
