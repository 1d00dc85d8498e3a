// patch: one patch, in one of three forms, for each object named.
#include <fmt/format.h>

#include "ctl/write.h"
#include "orch/api/codec.h"
#include "orch/api/patch.h"
#include "orch/api/scheme.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// What the server would make of it, for --dry-run=client.
Outcome<JsonValue> patched_here(const Target& target, const JsonValue& object,
                                const std::string& patch, const std::string& type) {
  const std::string before = object.dump();
  const auto* known =
      api::find_resource(target.resource->group, target.resource->version, target.resource->plural);
  auto after = type == "json" ? api::json_patch(before, patch)
               : type == "merge" || known == nullptr
                   ? api::merge_patch(before, patch)
                   : api::strategic_merge_patch(before, patch, *known->type);
  if (!after) return Err(error(after.error().message));
  auto parsed = JsonValue::parse(*after);
  if (!parsed) return Err(error(parsed.error()));
  return std::move(*parsed);
}

Outcome<std::string> patch_of(const Flags& flags) {
  std::string text = flags.text("patch");
  if (flags.given("patch-file")) {
    auto content = read_file(flags.text("patch-file"));
    if (!content) {
      return Err(error(fmt::format("unable to read patch file: {}", content.error())));
    }
    text = std::move(*content);
  }
  if (trim(text).starts_with("{") || trim(text).starts_with("[")) return text;
  auto json = api::yaml_to_json(text);
  if (!json)
    return Err(error(fmt::format("unable to parse \"{}\": {}", text, json.error().message)));
  return std::move(*json);
}

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  if (flags.given("patch") == flags.given("patch-file")) {
    return Err(error(flags.given("patch")
                         ? "cannot specify --patch and --patch-file together"
                         : "must specify --patch or --patch-file containing the contents of the "
                           "patch"));
  }
  const std::string type = flags.text("type");
  if (type != "json" && type != "merge" && type != "strategic") {
    return Err(
        error(fmt::format("--type must be one of [json merge strategic], not \"{}\"", type)));
  }
  ORCH_TRY(const auto targets, session.targets(flags.args()));
  ORCH_TRY(const std::string patch, patch_of(flags));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-patch"));
  const std::string sub = flags.text("subresource");
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    Call read;
    read.target = target.path(sub);
    JsonValue before = target.object;
    if (!flags.on("local")) {
      ORCH_TRY(before, writer.client.json(read));
    }
    JsonValue after;
    if (flags.on("local") || writer.dry_run == DryRun::kClient) {
      ORCH_TRY(after, patched_here(target, before, patch, type));
    } else {
      ORCH_TRY(after, writer.send("PATCH", target.path(sub), patch,
                                  type == "json"    ? "application/json-patch+json"
                                  : type == "merge" ? "application/merge-patch+json"
                                                    : "application/strategic-merge-patch+json"));
    }
    // kubectl says "scale.autoscaling/NAME" for scales, and never "(server dry run)".
    const Resource answered{.group = "autoscaling", .kind = "Scale"};
    Target shown = target;
    if (sub == "scale") shown.resource = &answered;
    const std::string_view done = after == before ? "patched (no change)" : "patched";
    if (writer.dry_run == DryRun::kServer) {
      writer.output.print_done(shown, done, after);
    } else {
      writer.print(shown, done, after);
    }
    return Unit{};
  });
}

}  // namespace

Verb patch_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"patch", 'p', Kind::kText, "", "the patch, as JSON or YAML"},
      {"patch-file", 0, Kind::kText, "", "a file with the patch"},
      {"type", 0, Kind::kText, "strategic", "json, merge or strategic"},
      {"subresource", 0, Kind::kText, "", "patch this subresource: status, scale, resize"},
      {"local", 0, Kind::kBool, "false", "patch the file's object, ask no server"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"patch", "Change fields of objects", "patch (TYPE NAME | TYPE/NAME | -f FILE) -p PATCH",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
