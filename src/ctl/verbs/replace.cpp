// replace: objects become what files say, by PUT, or with --force by deletion and creation.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "ctl/merge.h"
#include "ctl/write.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

Outcome<Unit> delete_and_wait(const Writer& writer, const Target& target, int64_t timeout_ms) {
  JsonValue options = JsonValue::object();
  options.set("kind", "DeleteOptions");
  options.set("apiVersion", "v1");
  options.set("propagationPolicy", "Background");
  ORCH_TRY(int64_t grace, writer.session.flags.number("grace-period"));
  if (grace < 0) grace = 0;
  options.set("gracePeriodSeconds", grace);
  Call call;
  call.method = "DELETE";
  call.target = target.path();
  call.body = options.dump();
  auto deleted = writer.client.json(call);
  if (!deleted && deleted.error().reason == "NotFound") return Unit{};
  if (!deleted) return Err(deleted.error());
  fmt::print("{} \"{}\" deleted\n", target.resource->kind_group(), target.name);
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    auto object = writer.session.fetch(target);
    if (!object && object.error().reason == "NotFound") return Unit{};
    if (!object) return Err(object.error());
    if (timeout_ms > 0 && Clock::now() > deadline) {
      return Err(error("timed out waiting for the condition"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  if (!flags.given("filename")) return Err(error("must specify one of -f and -k"));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-replace"));
  ORCH_TRY(const int64_t timeout, flags.millis("timeout"));
  ORCH_TRY(const auto targets, session.targets(flags.args()));
  const std::string sub = flags.text("subresource");
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    Target wanted = target;
    if (flags.on("save-config")) wanted.object = with_last_applied(target.object);
    JsonValue object = wanted.object;
    if (flags.on("force") && writer.dry_run == DryRun::kNone) {
      ORCH_CHECK(delete_and_wait(writer, target, timeout));
      ORCH_TRY(object, writer.create(wanted));
    } else if (writer.dry_run != DryRun::kClient) {
      ORCH_TRY(object, writer.send("PUT", target.path(sub), object.dump(), "application/json",
                                   fmt::format("error when replacing \"{}\"", target.source)));
    }
    writer.print(target, "replaced", object);
    return Unit{};
  });
}

}  // namespace

Verb replace_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"force", 0, Kind::kBool, "false", "delete the object and create it anew"},
      {"grace-period", 0, Kind::kText, "-1", "with --force: seconds to end in"},
      {"timeout", 0, Kind::kText, "0s", "with --force: how long to wait for the end"},
      {"cascade", 0, Kind::kOptionalText, "background", "with --force: of dependents",
       "background"},
      {"subresource", 0, Kind::kText, "", "replace this subresource: status, scale"},
      {"save-config", 0, Kind::kBool, "false", "keep what a later apply compares with"},
      {"validate", 0, Kind::kOptionalText, "strict", "strict, warn or ignore unknown fields",
       "strict"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"replace", "Replace objects by what files say", "replace -f FILE",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
