// delete: by file, name, selector; waits until the objects are gone.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "ctl/printers/output.h"
#include "ctl/session.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

struct Deletion {
  ApiClient& client;
  Output output;
  DryRun dry_run = DryRun::kNone;
  std::string policy;
  int64_t grace_seconds = -1;
  bool forced = false, ignore_missing = false, wait = true;
  int64_t timeout_ms = 0;  // 0 = none
};

// A deleted object that may still be there, and the uid it has.
struct Pending {
  const Target* target;
  std::string uid;
};

Outcome<Unit> remove(const Deletion& deletion, const Target& target,
                     std::vector<Pending>& pending) {
  JsonValue options = JsonValue::object();
  options.set("kind", "DeleteOptions");
  options.set("apiVersion", "v1");
  options.set("propagationPolicy", deletion.policy);
  if (deletion.grace_seconds >= 0) options.set("gracePeriodSeconds", deletion.grace_seconds);
  if (deletion.dry_run != DryRun::kClient) {
    Call call;
    call.method = "DELETE";
    call.target =
        target.path() + query_text({{"dryRun", deletion.dry_run == DryRun::kServer ? "All" : ""}});
    call.body = options.dump();
    if (!target.source.empty()) {
      call.doing = fmt::format("error when deleting \"{}\"", target.source);
    }
    auto answer = deletion.client.json(call);
    if (!answer) {
      if (answer.error().reason == "NotFound" && deletion.ignore_missing) return Unit{};
      return Err(answer.error());
    }
    std::string uid = answer->at("metadata.uid").text();
    if (uid.empty()) uid = answer->at("details.uid").text();
    if (deletion.dry_run == DryRun::kNone) pending.push_back({&target, std::move(uid)});
  }
  if (deletion.output.kind() == Output::Kind::kName) {
    fmt::print("{}\n", target.label());
  } else {
    fmt::print("{} \"{}\" {}{}\n", target.resource->kind_group(), target.name,
               deletion.forced && deletion.grace_seconds == 0 ? "force deleted" : "deleted",
               dry_run_suffix(deletion.dry_run));
  }
  return Unit{};
}

Outcome<Unit> wait_gone(const Deletion& deletion, const Pending& pending,
                        Clock::time_point deadline) {
  auto pause = std::chrono::milliseconds(50);
  for (;;) {
    Call call;
    call.target = pending.target->path();
    auto object = deletion.client.json(call);
    if (!object && object.error().reason == "NotFound") return Unit{};
    if (!object) return Err(object.error());
    if (!pending.uid.empty() && object->at("metadata.uid").text() != pending.uid) return Unit{};
    if (deletion.timeout_ms != 0 && Clock::now() + pause > deadline) {
      return Err(error(fmt::format("timed out waiting for the condition on {}/{}",
                                   pending.target->resource->plural, pending.target->name)));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(1000));
  }
}

Outcome<std::string> policy_of(const Flags& flags) {
  const std::string value = flags.text("cascade");
  if (value == "background" || value == "true") return std::string("Background");
  if (value == "foreground") return std::string("Foreground");
  if (value == "orphan" || value == "false") return std::string("Orphan");
  return Err(
      error(fmt::format("invalid cascade value ({}). Must be \"background\", "
                        "\"foreground\", or \"orphan\"",
                        value)));
}

Outcome<Deletion> deletion_of(Session& session) {
  const Flags& flags = session.flags;
  ORCH_TRY(ApiClient * client, session.api());
  ORCH_TRY(Output output, Output::of(flags));
  Deletion out{*client, std::move(output)};
  ORCH_TRY(out.dry_run, dry_run_of(flags));
  ORCH_TRY(out.policy, policy_of(flags));
  ORCH_TRY(out.grace_seconds, flags.number("grace-period"));
  ORCH_TRY(out.timeout_ms, flags.millis("timeout"));
  out.forced = flags.on("force");
  const bool any = flags.on("all") || flags.given("selector");
  out.ignore_missing = flags.given("ignore-not-found") ? flags.on("ignore-not-found") : any;
  out.wait = flags.on("wait") && out.dry_run == DryRun::kNone;
  if (flags.on("now")) {
    if (out.grace_seconds != -1) {
      return Err(error("--now and --grace-period cannot be specified together"));
    }
    out.grace_seconds = 1;
  }
  if (out.forced && out.grace_seconds < 0) out.grace_seconds = 0;
  if (out.forced && out.grace_seconds > 0) {
    return Err(error("--force and --grace-period greater than 0 cannot be specified together"));
  }
  if (out.grace_seconds == 0 && !out.forced) {
    // kubectl's: without --force nothing is torn away at once.
    out.grace_seconds = 1;
  }
  if (out.forced) {
    fmt::print(stderr,
               "Warning: Immediate deletion does not wait for confirmation that the running "
               "resource has been terminated. The resource may continue to run on the cluster "
               "indefinitely.\n");
  }
  return out;
}

Outcome<int> run(Session& session) {
  if (session.flags.given("raw")) {
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.method = "DELETE";
    call.target = session.flags.text("raw");
    ORCH_TRY(const std::string body, client->call(call));
    fmt::print("{}", body);
    return 0;
  }
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  ORCH_TRY(const Deletion deletion, deletion_of(session));
  if (targets.empty()) {
    fmt::print("No resources found\n");
    return 0;
  }
  std::vector<Pending> pending;
  int exit_code = for_each_target(
      targets, [&](const Target& target) { return remove(deletion, target, pending); });
  if (!deletion.wait) return exit_code;
  const auto deadline = Clock::now() + std::chrono::milliseconds(deletion.timeout_ms);
  for (const Pending& one : pending) {
    if (auto gone = wait_gone(deletion, one, deadline); !gone) {
      print_failure(gone.error());
      exit_code = 1;
    }
  }
  return exit_code;
}

}  // namespace

Verb delete_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"all", 0, Kind::kBool, "false", "every object of the type in the namespace"},
      {"grace-period", 0, Kind::kText, "-1", "seconds to end in; -1 = the object's own"},
      {"now", 0, Kind::kBool, "false", "the same as --grace-period=1"},
      {"force", 0, Kind::kBool, "false", "take the object away without waiting for its end"},
      {"cascade", 0, Kind::kOptionalText, "background",
       "what becomes of dependents: background, foreground or orphan", "background"},
      {"ignore-not-found", 0, Kind::kBool, "false", "what is not there is no error"},
      {"wait", 0, Kind::kBool, "true", "return when the objects are gone"},
      {"timeout", 0, Kind::kText, "0", "how long to wait, 0 = without limit"},
      {"raw", 0, Kind::kText, "", "DELETE this path"}};
  return {"delete", "Delete objects",
          "delete (TYPE NAME... | TYPE/NAME... | TYPE (-l SELECTOR | --all) | -f FILE)",
          flags + file_flags() + selector_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
