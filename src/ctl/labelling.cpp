#include "ctl/labelling.h"

#include <fmt/format.h>

#include "ctl/printers/output.h"

namespace orch::ctl {

using api::JsonValue;

Outcome<MapChange> take_changes(std::vector<std::string>& args, std::string_view what) {
  MapChange out;
  std::vector<std::string> rest;
  for (const std::string& arg : args) {
    const size_t equals = arg.find('=');
    if (equals != std::string::npos && equals > 0) {
      out.set[arg.substr(0, equals)] = arg.substr(equals + 1);
    } else if (arg.size() > 1 && arg.back() == '-' && !rest.empty()) {
      out.removed.insert(arg.substr(0, arg.size() - 1));
    } else if (!out.set.empty() || !out.removed.empty()) {
      return Err(
          error(fmt::format("all resources must be specified before {} changes: {}", what, arg)));
    } else {
      rest.push_back(arg);
    }
  }
  for (const std::string& key : out.removed) {
    if (out.set.contains(key)) {
      return Err(
          error(fmt::format("can not both modify and remove a {} in the same command", what)));
    }
  }
  if (out.set.empty() && out.removed.empty()) {
    return Err(error(fmt::format("at least one {} update is required", what)));
  }
  args = std::move(rest);
  return out;
}

namespace {

// The word for what happened; sends nothing that changes nothing.
Outcome<Unit> change_one(Session& session, const Target& target, const MapChange& change,
                         std::string_view field, std::string_view done, const Output& output) {
  ORCH_TRY(const DryRun dry_run, dry_run_of(session.flags));
  ORCH_TRY(JsonValue object, session.fetch(target));
  const JsonValue now = object.get("metadata").get(field);
  JsonValue patch = JsonValue::object(), values = JsonValue::object();
  std::string conflicts;
  for (const auto& [key, value] : change.set) {
    if (now.has(key) && now.get(key).text() == value) continue;
    if (now.has(key) && !session.flags.on("overwrite")) {
      conflicts += fmt::format("{}'{}' already has a value ({})", conflicts.empty() ? "" : "; ",
                               key, now.get(key).text());
    }
    values.set(key, value);
  }
  if (!conflicts.empty()) {
    return Err(error(conflicts + ", and --overwrite is false"));
  }
  bool only_removed = values.size() == 0;
  for (const std::string& key : change.removed) {
    if (now.has(key)) {
      values.set(key, JsonValue());
    } else {
      fmt::print("{} \"{}\" not found.\n", field == "labels" ? "label" : "annotation", key);
    }
  }
  if (values.size() == 0) {
    output.print_done(target, fmt::format("not {}", done), object);
    return Unit{};
  }
  patch.set_at(fmt::format("metadata.{}", field), std::move(values));
  if (dry_run != DryRun::kClient) {
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.method = "PATCH";
    call.target =
        target.path() +
        query_text({{"dryRun", dry_run == DryRun::kServer ? "All" : ""},
                    {"fieldManager", field == "labels" ? "kubectl-label" : "kubectl-annotate"}});
    call.body = patch.dump();
    call.content_type = "application/merge-patch+json";
    ORCH_TRY(object, client->json(call));
  }
  const bool unlabeled = only_removed && field == "labels";
  output.print_done(
      target, fmt::format("{}{}{}", unlabeled ? "un" : "", done, dry_run_suffix(dry_run)), object);
  return Unit{};
}

}  // namespace

Outcome<int> change_metadata_map(Session& session, std::string_view field, std::string_view what,
                                 std::string_view done) {
  std::vector<std::string> args = session.flags.args();
  ORCH_TRY(const MapChange change, take_changes(args, what));
  ORCH_TRY(const Output output, Output::of(session.flags));
  ORCH_TRY(const auto targets, session.targets(args));
  return for_each_target(targets, [&](const Target& target) {
    return change_one(session, target, change, field, done, output);
  });
}

std::vector<Flag> labelling_flags() {
  std::vector<Flag> flags = {
      {"overwrite", 0, Flag::Kind::kBool, "false", "values that are there may be replaced"},
      {"all", 0, Flag::Kind::kBool, "false", "every object of the type in the namespace"}};
  return flags + file_flags() + selector_flags() + output_flags() + dry_run_flags();
}

}  // namespace orch::ctl
