// edit: an object in the user's editor; what was changed is sent as a patch.
#include <fmt/format.h>

#include <cstdlib>

#include "ctl/manifests.h"
#include "ctl/process.h"
#include "ctl/write.h"
#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kHead[] =
    "# Please edit the object below. Lines beginning with a '#' will be ignored,\n"
    "# and an empty file will abort the edit. If an error occurs while saving this file will be\n"
    "# reopened with the relevant failures.\n#\n";

std::string without_comments(const std::string& text) {
  std::string out;
  for (const std::string& line : split(text, '\n')) {
    if (!line.starts_with("#")) out += line + "\n";
  }
  return out;
}

// "# TEXT" lines that tell in the file what was wrong with it.
std::string reasons_of(const Target& target, const Failure& failure) {
  std::string text = failure.message, out;
  if (failure.reason == "Invalid") {
    out = fmt::format("# {} \"{}\" was not valid:\n", target.resource->plural_group(), target.name);
    const size_t at = text.find(" is invalid: ");
    if (at != std::string::npos) text.erase(0, at + 13);
    for (const std::string& line : split(text, '\n')) {
      if (!line.empty()) {
        out += line.starts_with("* ") ? fmt::format("# {}\n", line) : fmt::format("# * {}\n", line);
      }
    }
  } else {
    out = fmt::format("# {} \"{}\" could not be patched: {}\n", target.resource->plural_group(),
                      target.name, text);
  }
  return out + "#\n";
}

Outcome<Unit> open_editor(const std::string& path) {
  std::string editor = "vi";
  for (const char* name : {"EDITOR", "KUBE_EDITOR"}) {
    const char* given = std::getenv(name);
    if (given != nullptr && *given != 0) editor = given;
  }
  // As a shell reads it, so that it may have arguments.
  ORCH_TRY(const int code, run_program({"/bin/sh", "-c", editor + " \"$1\"", "sh", path}));
  if (code == 0) return Unit{};
  return Err(error(fmt::format("there was a problem with the editor \"{}\"", editor)));
}

Outcome<Unit> edit_one(const Writer& writer, const Target& target) {
  const std::string format = writer.session.flags.text("output");
  const bool json = format == "json";
  ORCH_TRY(JsonValue object, writer.session.fetch(target));
  const JsonValue live = object;
  if (!writer.session.flags.on("show-managed-fields")) {
    JsonValue metadata = object.get("metadata");
    metadata.erase("managedFields");
    object.set("metadata", std::move(metadata));
  }
  const std::string original =
      json ? object.dump_go(4) + "\n" : api::json_to_yaml(object.dump_go());
  ORCH_TRY(const TempFolder folder, TempFolder::make("kubectl-edit-"));
  const std::string path = folder.path() + (json ? "/object.json" : "/object.yaml");
  std::string shown = original, reasons;
  for (;;) {
    if (!write_file_atomic(path, kHead + reasons + shown))
      return Err(error("cannot write " + path));
    ORCH_CHECK(open_editor(path));
    auto text = read_file(path);
    if (!text) return Err(error(text.error()));
    const std::string edited = without_comments(*text);
    if (trim(edited).empty() || edited == (reasons.empty() ? original : shown)) {
      const bool same = !trim(edited).empty();
      if (!reasons.empty() && same) {
        return Err(error("Edit cancelled, no valid changes were saved."));
      }
      fmt::print(
          stderr, "{}\n",
          same ? "Edit cancelled, no changes made." : "Edit cancelled, saved file was empty.");
      return Unit{};
    }
    shown = edited;
    auto parsed = parse_manifests(edited, "edited-file");
    if (!parsed || parsed->size() != 1) {
      reasons = fmt::format("# The edited file had a syntax error: {}\n#\n",
                            parsed ? "not one object" : parsed.error().message);
      continue;
    }
    const JsonValue& after = (*parsed)[0].object;
    if (after.at("metadata.name").text() != target.name ||
        after.get("kind").text() != target.resource->kind) {
      reasons = "# At least one of apiVersion, kind and name was changed\n#\n";
      continue;
    }
    if (after == object) {
      fmt::print(stderr, "Edit cancelled, no changes made.\n");
      return Unit{};
    }
    std::string content_type;
    const JsonValue patch = difference(*target.resource, object, after, content_type);
    if (writer.session.flags.on("output-patch")) fmt::print("Patch: {}\n", patch.dump_go());
    auto changed = writer.send("PATCH", target.path(writer.session.flags.text("subresource")),
                               patch.dump(), content_type);
    if (changed) {
      fmt::print("{} edited\n", target.label());
      return Unit{};
    }
    reasons = reasons_of(target, changed.error());
    fmt::print(stderr, "error: {} \"{}\" is invalid\n", target.resource->plural_group(),
               target.name);
  }
}

Outcome<int> run(Session& session) {
  if (session.flags.args().empty() && !session.flags.given("filename")) {
    return Err(error("must specify the name of a resource to edit, or -f"));
  }
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-edit"));
  if (targets.empty()) {
    fmt::print(stderr, "edit cancelled, no objects found\n");
    return 1;
  }
  return for_each_target(targets, [&](const Target& target) { return edit_one(writer, target); });
}

}  // namespace

Verb edit_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"subresource", 0, Kind::kText, "", "edit this subresource: status"},
      {"output-patch", 0, Kind::kBool, "false", "print the patch that is sent"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"edit", "Change objects in an editor", "edit (TYPE NAME... | TYPE/NAME... | -f FILE)",
          flags + file_flags() + selector_flags() + output_flags(), run};
}

}  // namespace orch::ctl
