// autoscale: a HorizontalPodAutoscaler for an object that can be scaled.
#include <fmt/format.h>

#include "ctl/generate/generate.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  ORCH_CHECK(need_flag(flags, "max"));
  ORCH_TRY(const int64_t most, flags.number("max"));
  ORCH_TRY(const int64_t least, flags.number("min"));
  ORCH_TRY(const int64_t cpu, flags.number("cpu-percent"));
  if (most < 1) {
    return Err(
        error(fmt::format("--max=MAXPODS is required and must be at least 1, max: {}", most)));
  }
  if (most < least) {
    return Err(error(fmt::format(
        "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {}, min: {}", most, least)));
  }
  ORCH_TRY(const auto targets, session.targets(flags.args()));
  ORCH_TRY(Writer writer, Writer::of(session, "kubectl-autoscale"));
  writer.output.keep_order();
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    ORCH_CHECK(session.fetch(target));
    if (!target.resource->has_scale) {
      return Err(error(fmt::format("cannot autoscale a {}", target.resource->kind)));
    }
    JsonValue object = new_object("autoscaling/v1", "HorizontalPodAutoscaler",
                                  flags.given("name") ? flags.text("name") : target.name);
    object.set_at("spec.scaleTargetRef.apiVersion", target.resource->api_version());
    object.set_at("spec.scaleTargetRef.kind", target.resource->kind);
    object.set_at("spec.scaleTargetRef.name", target.name);
    object.set_at("spec.maxReplicas", most);
    if (least > 0) object.set_at("spec.minReplicas", least);
    if (cpu >= 0) object.set_at("spec.targetCPUUtilizationPercentage", cpu);
    ORCH_TRY(Target made, session.target_of({std::move(object), ""}));
    ORCH_TRY(const JsonValue created, writer.create(made));
    writer.print(made, "autoscaled", created);
    return Unit{};
  });
}

}  // namespace

Verb autoscale_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"max", 0, Kind::kText, "", "the most pods there may be"},
      {"min", 0, Kind::kText, "-1", "the fewest; -1 = the server's default"},
      {"cpu-percent", 0, Kind::kText, "-1", "wanted CPU use, in percent of the requests"},
      {"name", 0, Kind::kText, "", "the autoscaler's name; default the object's"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"autoscale", "Let the number of pods follow their load",
          "autoscale (TYPE NAME | TYPE/NAME | -f FILE) --max=PODS [--min=PODS] [--cpu-percent=CPU]",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
