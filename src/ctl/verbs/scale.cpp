// scale: through the scale subresource.
#include <fmt/format.h>

#include "ctl/printers/output.h"
#include "ctl/session.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> run(Session& session) {
  if (!session.flags.given("replicas")) {
    return Err(error("required flag(s) \"replicas\" not set"));
  }
  ORCH_TRY(const int64_t replicas, session.flags.number("replicas"));
  if (replicas < 0)
    return Err(
        error("The --replicas=COUNT flag is required, and COUNT must be "
              "greater than or equal to 0"));
  ORCH_TRY(const int64_t current, session.flags.number("current-replicas"));
  ORCH_TRY(const Output output, Output::of(session.flags));
  ORCH_TRY(const DryRun dry_run, dry_run_of(session.flags));
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  ORCH_TRY(ApiClient * client, session.api());
  if (targets.empty()) return Err(error("no objects passed to scale"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    if (!target.resource->has_scale) {
      return Err(
          Failure{"Error from server (NotFound): the server could not find the requested resource",
                  1, "NotFound"});
    }
    Call read;
    read.target = target.path("scale");
    ORCH_TRY(const JsonValue scale, client->json(read));
    const int64_t now = scale.at("spec.replicas").number();
    if (current >= 0 && now != current) {
      return Err(error(fmt::format("Expected replicas to be {}, was {}", current, now)));
    }
    JsonValue patch = JsonValue::object();
    patch.set_at("spec.replicas", replicas);
    if (current >= 0) {  // nobody may have scaled it in between
      patch.set_at("metadata.resourceVersion", scale.at("metadata.resourceVersion"));
    }
    JsonValue changed = scale;
    if (dry_run != DryRun::kClient) {
      Call write;
      write.method = "PATCH";
      write.target =
          target.path("scale") + query_text({{"dryRun", dry_run == DryRun::kServer ? "All" : ""},
                                             {"fieldManager", "kubectl"}});
      write.body = patch.dump();
      write.content_type = "application/merge-patch+json";
      ORCH_TRY(changed, client->json(write));
    }
    output.print_done(target, fmt::format("scaled{}", dry_run_suffix(dry_run)), changed);
    return Unit{};
  });
}

}  // namespace

Verb scale_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"replicas", 0, Kind::kText, "", "the number wanted"},
      {"current-replicas", 0, Kind::kText, "-1", "only if this is the number now"},
      {"all", 0, Kind::kBool, "false", "every object of the type in the namespace"}};
  return {"scale", "Set the number of replicas",
          "scale --replicas=COUNT (TYPE NAME... | TYPE/NAME... | -f FILE)",
          flags + file_flags() + selector_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
