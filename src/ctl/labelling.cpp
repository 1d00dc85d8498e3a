#include "ctl/labelling.h"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/write.h"
#include "orch/api/scheme.h"
#include "orch/base/strings.h"

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
      return Err(error(fmt::format("can not both modify and remove a{} {} in the same command",
                                   what == "annotation" ? "n" : "", what)));
    }
  }
  args = std::move(rest);
  return out;
}

namespace {

struct Words {
  bool labels;
  std::string_view field, what, done;
};

std::string overwrites(const Words& words, const std::vector<std::string>& conflicts) {
  if (!words.labels) {
    return "--overwrite is false but found the following declared annotation(s): " +
           join(conflicts, "; ");
  }
  std::vector<std::string> out;
  for (const std::string& conflict : conflicts) {
    out.push_back(conflict + ", and --overwrite is false");
  }
  return out.size() == 1 ? out[0] : fmt::format("[{}]", join(out, ", "));
}

Outcome<Unit> change_one(const Writer& writer, const Target& target, const MapChange& change,
                         const Words& words) {
  const Flags& flags = writer.session.flags;
  JsonValue object = target.object;
  if (!flags.on("local")) {
    ORCH_TRY(object, writer.session.fetch(target));
  }
  const JsonValue now = object.get("metadata").get(words.field);
  JsonValue values = JsonValue::object();
  std::vector<std::string> conflicts;
  for (const auto& [key, value] : change.set) {
    if (now.has(key) && now.get(key).text() == value) continue;
    if (now.has(key) && !flags.on("overwrite")) {
      conflicts.push_back(fmt::format("'{}' already has a value ({})", key, now.get(key).text()));
    }
    values.set(key, value);
  }
  if (!conflicts.empty()) return Err(error(overwrites(words, conflicts)));
  const bool only_removed = change.set.empty();
  for (const std::string& key : change.removed) {
    if (now.has(key)) {
      values.set(key, JsonValue());
    } else if (words.labels) {
      fmt::print("label \"{}\" not found.\n", key);
    }
  }
  std::string done(words.done);
  if (words.labels && values.size() == 0) done = "not labeled";
  if (words.labels && values.size() != 0 && only_removed) done = "unlabeled";
  if (values.size() != 0) {
    JsonValue patch = JsonValue::object(), after = now;
    for (const auto& [key, value] : values.members()) {
      value.is_null() ? after.erase(key) : after.set(key, value);
    }
    patch.set_at(fmt::format("metadata.{}", words.field), std::move(values));
    if (const std::string version = flags.text("resource-version"); !version.empty()) {
      patch.set_at("metadata.resourceVersion", version);
    }
    if (flags.on("local") || writer.dry_run == DryRun::kClient) {
      object.set_at(fmt::format("metadata.{}", words.field), std::move(after));
    } else {
      ORCH_TRY(object,
               writer.send("PATCH", target.path(), patch.dump(), "application/merge-patch+json"));
    }
  }
  writer.print(target, done, object);
  return Unit{};
}

Outcome<int> list_all(Session& session, const std::vector<Target>& targets, const Words& words) {
  for (const Target& target : targets) {
    JsonValue object = target.object;
    if (object.is_null()) {
      ORCH_TRY(object, session.fetch(target));
    }
    const bool several = targets.size() > 1;
    if (several) {
      fmt::print("Listing {}s for {}.{}/{}:\n", words.what, target.resource->kind,
                 target.resource->group, target.name);
    }
    auto members = object.get("metadata").get(words.field).members();
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [key, value] : members) {
      fmt::print("{}{}={}\n", several ? " " : "", key, value.text());
    }
  }
  return 0;
}

}  // namespace

Outcome<int> change_metadata_map(Session& session, std::string_view field, std::string_view what,
                                 std::string_view done) {
  const Words words{field == "labels", field, what, done};
  const Flags& flags = session.flags;
  std::vector<std::string> args = flags.args();
  ORCH_TRY(const MapChange change, take_changes(args, what));
  if (args.empty() && !flags.given("filename")) {
    return Err(
        error("one or more resources must be specified as <resource> <name> or "
              "<resource>/<name>"));
  }
  if (change.set.empty() && change.removed.empty() && !flags.on("list")) {
    return Err(error(fmt::format("at least one {} update is required", what)));
  }
  for (const auto& [key, value] : change.set) {
    const std::string wrong = words.labels ? api::check_label_value(value) : "";
    if (!wrong.empty()) {
      return Err(error(fmt::format("invalid label value: \"{}={}\": {}", key, value, wrong)));
    }
  }
  ORCH_TRY(const auto targets, session.targets(args));
  if (flags.on("list")) return list_all(session, targets, words);
  ORCH_TRY(const Writer writer,
           Writer::of(session, words.labels ? "kubectl-label" : "kubectl-annotate"));
  return for_each_target(
      targets, [&](const Target& target) { return change_one(writer, target, change, words); });
}

std::vector<Flag> labelling_flags() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"overwrite", 0, Kind::kBool, "false", "values that are there may be replaced"},
      {"all", 0, Kind::kBool, "false", "every object of the type in the namespace"},
      {"list", 0, Kind::kBool, "false", "print what is there"},
      {"local", 0, Kind::kBool, "false", "change the file's object, ask no server"},
      {"resource-version", 0, Kind::kText, "", "only if the object has this version"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return flags + file_flags() + selector_flags() + output_flags() + dry_run_flags();
}

}  // namespace orch::ctl
