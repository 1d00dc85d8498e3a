// diff: what an apply of files would change, as the server says it in a dry run.
#include <fmt/format.h>

#include <cstdlib>

#include "ctl/merge.h"
#include "ctl/process.h"
#include "ctl/write.h"
#include "orch/api/codec.h"
#include "orch/api/scheme.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr int kFailed = 2;  // exit codes 0 and 1 say whether there are differences

Outcome<JsonValue> merged_of(const Writer& writer, const Target& target, const JsonValue& live) {
  const bool server_side = writer.session.flags.on("server-side");
  if (server_side) {
    const bool force = writer.session.flags.on("force-conflicts");
    Call call;
    call.method = "PATCH";
    call.target = target.path() + query_text({{"dryRun", "All"},
                                              {"fieldManager", writer.manager},
                                              {"force", force ? "true" : "false"}});
    call.body = target.object.dump();
    call.content_type = "application/apply-patch+yaml";
    return writer.client.json(call);
  }
  if (live.is_null()) return writer.create(target);
  const auto* known =
      api::find_resource(target.resource->group, target.resource->version, target.resource->plural);
  const api::TypeInfo* type = known == nullptr ? nullptr : known->type;
  const JsonValue last = JsonValue::parse(live.at("metadata.annotations").get(kLastApplied).text())
                             .value_or(JsonValue());
  const JsonValue patch = three_way_patch(last, target.object, live, type);
  if (patch.size() == 0) return live;
  return writer.send(
      "PATCH", target.path(), patch.dump(),
      type == nullptr ? "application/merge-patch+json" : "application/strategic-merge-patch+json");
}

// A Secret's values are not for the screen: only whether they differ.
void mask(JsonValue& from, JsonValue& to) {
  JsonValue before = from.get("data"), after = to.get("data");
  for (const auto& [key, value] : from.get("data").members()) {
    const bool kept = after.get(key) == value;
    before.set(key, kept || !after.has(key) ? "***" : "*** (before)");
    if (after.has(key)) after.set(key, kept ? "***" : "*** (after)");
  }
  for (const auto& [key, value] : to.get("data").members()) {
    if (!before.has(key)) after.set(key, "***");
  }
  if (before.is_object()) from.set("data", std::move(before));
  if (after.is_object()) to.set("data", std::move(after));
}

Outcome<Unit> put(const TempFolder& folder, const Target& target, JsonValue object,
                  bool managed_fields) {
  if (object.is_null()) return Unit{};
  if (!managed_fields) {
    JsonValue metadata = object.get("metadata");
    metadata.erase("managedFields");
    object.set("metadata", std::move(metadata));
  }
  const Resource& resource = *target.resource;
  const std::string path = fmt::format(
      "{}/{}{}.{}.{}.{}", folder.path(), resource.group.empty() ? "" : resource.group + ".",
      resource.version, resource.kind, target.namespace_, target.name);
  if (write_file_atomic(path, api::json_to_yaml(object.dump_go()))) return Unit{};
  return Err(error("cannot write " + path));
}

Outcome<int> compare(const std::string& from, const std::string& to) {
  std::vector<std::string> command;
  if (const char* given = std::getenv("KUBECTL_EXTERNAL_DIFF"); given != nullptr) {
    for (std::string& word : split(given, ' ')) {
      if (!word.empty()) command.push_back(std::move(word));
    }
  }
  if (command.empty()) command = {"diff", "-u", "-N"};
  command.push_back(from);
  command.push_back(to);
  std::fflush(stdout);
  return run_program(command);
}

Outcome<int> diff_all(Session& session) {
  if (!session.flags.given("filename")) {
    return Err(error("must specify one of -f and -k"));
  }
  ORCH_TRY(Writer writer,
           Writer::of(session,
                      session.flags.on("server-side") ? "kubectl" : "kubectl-client-side-apply"));
  writer.dry_run = DryRun::kServer;
  const bool managed_fields = session.flags.on("show-managed-fields");
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  ORCH_TRY(const TempFolder from, TempFolder::make("LIVE-"));
  ORCH_TRY(const TempFolder to, TempFolder::make("MERGED-"));
  for (const Target& target : targets) {
    auto found = session.fetch(target);
    if (!found && found.error().reason != "NotFound") return Err(found.error());
    JsonValue live = found ? std::move(*found) : JsonValue();
    ORCH_TRY(JsonValue merged, merged_of(writer, target, live));
    if (target.resource->kind == "Secret" && target.resource->group.empty()) mask(live, merged);
    ORCH_CHECK(put(from, target, std::move(live), managed_fields));
    ORCH_CHECK(put(to, target, std::move(merged), managed_fields));
  }
  return compare(from.path(), to.path());
}

Outcome<int> run(Session& session) {
  auto done = diff_all(session);
  if (done) return done;
  Failure failure = std::move(done).error();
  failure.exit_code = kFailed;
  return Err(std::move(failure));
}

}  // namespace

Verb diff_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"server-side", 0, Kind::kBool, "false", "as apply --server-side would"},
      {"force-conflicts", 0, Kind::kBool, "false", "take fields over from other managers"},
      {"field-manager", 0, Kind::kText, "", "who is said to set the fields"},
      {"show-managed-fields", 0, Kind::kBool, "false", "compare metadata.managedFields too"}};
  return {"diff", "Show what an apply would change", "diff -f FILE", flags + file_flags(), run};
}

}  // namespace orch::ctl
