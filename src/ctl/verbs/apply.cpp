// apply: client-side (three-way merge over the last-applied annotation) and server-side.
#include <fmt/format.h>

#include "ctl/merge.h"
#include "ctl/printers/output.h"
#include "ctl/session.h"
#include "orch/api/scheme.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr int kConflictRetries = 5;

struct Apply {
  Session& session;
  ApiClient& client;
  Output output;
  DryRun dry_run;
  std::string validation;  // Strict, Warn, Ignore
};

std::string write_query(const Apply& apply, std::string_view manager) {
  return query_text({{"dryRun", apply.dry_run == DryRun::kServer ? "All" : ""},
                     {"fieldManager", std::string(manager)},
                     {"fieldValidation", apply.validation}});
}

std::string manager_of(const Apply& apply, std::string_view fallback) {
  const std::string given = apply.session.flags.text("field-manager");
  return given.empty() ? std::string(fallback) : given;
}

void print_result(const Apply& apply, const Target& target, std::string_view done,
                  const JsonValue& object) {
  apply.output.print_done(target, fmt::format("{}{}", done, dry_run_suffix(apply.dry_run)), object);
}

Outcome<Unit> apply_server_side(const Apply& apply, const Target& target) {
  Call call;
  call.method = "PATCH";
  call.body = target.object.dump();
  call.content_type = "application/apply-patch+yaml";
  const bool force = apply.session.flags.on("force-conflicts");
  call.target =
      target.path() + query_text({{"dryRun", apply.dry_run == DryRun::kServer ? "All" : ""},
                                  {"fieldManager", manager_of(apply, "kubectl")},
                                  {"fieldValidation", apply.validation},
                                  {"force", force ? "true" : "false"}});
  auto object = apply.client.json(call);
  if (!object && object.error().reason == "Conflict") {
    std::string text = object.error().message;
    const std::string_view prefix = "Error from server (Conflict): ";
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
    return Err(error(text +
                     "\nPlease review the fields above--they currently have other managers. Here\n"
                     "are the ways you can resolve this warning:\n"
                     "* If you intend to manage all of these fields, please re-run the apply\n"
                     "  command with the `--force-conflicts` flag.\n"
                     "* If you do not intend to manage all of the fields, please edit your\n"
                     "  manifest to remove references to the fields that should keep their\n"
                     "  current managers.\n"
                     "* You may co-own fields by updating your manifest to match the existing\n"
                     "  value; in this case, you'll become the manager if the other manager(s)\n"
                     "  stop managing the field (remove it from their configuration)."));
  }
  if (!object) return Err(object.error());
  print_result(apply, target, "serverside-applied", *object);
  return Unit{};
}

Outcome<Unit> create(const Apply& apply, const Target& target, const JsonValue& wanted) {
  if (apply.dry_run == DryRun::kClient) {
    print_result(apply, target, "created", wanted);
    return Unit{};
  }
  Call call;
  call.method = "POST";
  call.target = target.resource->path(target.namespace_) +
                write_query(apply, manager_of(apply, "kubectl-client-side-apply"));
  call.body = wanted.dump();
  call.doing = fmt::format("error when creating \"{}\"", target.source);
  ORCH_TRY(const JsonValue object, apply.client.json(call));
  print_result(apply, target, "created", object);
  return Unit{};
}

JsonValue last_applied_of(const Target& target, const JsonValue& live) {
  const JsonValue text = live.at("metadata.annotations").get(kLastApplied);
  if (!text.is_string()) {
    fmt::print(stderr,
               "Warning: resource {}/{} is missing the {} annotation which is required by kubectl "
               "apply. kubectl apply should only be used on resources created declaratively by "
               "either kubectl create --save-config or kubectl apply. The missing annotation will "
               "be patched automatically.\n",
               target.resource->plural, target.name, kLastApplied);
    return {};
  }
  auto last = JsonValue::parse(text.text());
  return last ? std::move(*last) : JsonValue();
}

// One attempt; a Conflict failure is worth another with the object read anew.
Outcome<Unit> patch(const Apply& apply, const Target& target, const JsonValue& wanted,
                    const JsonValue& live) {
  const api::ResourceInfo* known =
      api::find_resource(target.resource->group, target.resource->version, target.resource->plural);
  const api::TypeInfo* type = known == nullptr ? nullptr : known->type;
  const JsonValue changes = three_way_patch(last_applied_of(target, live), wanted, live, type);
  if (changes.size() == 0) {
    print_result(apply, target, "unchanged", live);
    return Unit{};
  }
  if (apply.dry_run == DryRun::kClient) {
    print_result(apply, target, "configured", wanted);
    return Unit{};
  }
  Call call;
  call.method = "PATCH";
  call.target = target.path() + write_query(apply, manager_of(apply, "kubectl-client-side-apply"));
  call.body = changes.dump();
  call.content_type =
      type == nullptr ? "application/merge-patch+json" : "application/strategic-merge-patch+json";
  call.doing = fmt::format(
      "error when applying patch:\n{}\nto:\nResource: \"{}\", Name: \"{}\"\n"
      "for: \"{}\": error when patching \"{}\"",
      call.body, target.resource->plural_group(), target.name, target.source, target.source);
  ORCH_TRY(const JsonValue object, apply.client.json(call));
  print_result(apply, target, "configured", object);
  return Unit{};
}

Outcome<Unit> apply_client_side(const Apply& apply, const Target& target) {
  const JsonValue wanted = with_last_applied(target.object);
  for (int attempt = 0;; ++attempt) {
    Call read;
    read.target = target.path();
    read.doing = fmt::format(
        "error when retrieving current configuration of:\nResource: \"{}\", "
        "Name: \"{}\"\nfrom server for: \"{}\"",
        target.resource->plural_group(), target.name, target.source);
    auto live = apply.client.json(read);
    if (!live && live.error().reason == "NotFound") return create(apply, target, wanted);
    if (!live) return Err(live.error());
    auto done = patch(apply, target, wanted, *live);
    if (done || done.error().reason != "Conflict" || attempt == kConflictRetries) return done;
  }
}

Outcome<int> run(Session& session) {
  if (!session.flags.given("filename")) return Err(error("must specify one of -f and -k"));
  if (!session.flags.args().empty()) {
    return Err(error(fmt::format("Unexpected args: [{}]", session.flags.args()[0])));
  }
  ORCH_TRY(Output output, Output::of(session.flags));
  ORCH_TRY(const DryRun dry_run, dry_run_of(session.flags));
  const bool server_side = session.flags.on("server-side");
  if (session.flags.on("force-conflicts") && !server_side) {
    return Err(error("--force-conflicts only works with --server-side"));
  }
  if (server_side && dry_run == DryRun::kClient) {
    return Err(
        error("--dry-run=client doesn't work with --server-side (did you mean "
              "--dry-run=server instead?)"));
  }
  ORCH_TRY(auto manifests,
           read_manifests(session.flags.list("filename"), session.flags.on("recursive")));
  ORCH_TRY(ApiClient * client, session.api());
  const Apply apply{session, *client, std::move(output), dry_run, validation_of(session.flags)};
  int exit_code = 0;
  for (Manifest& manifest : manifests) {
    // Looked up one by one: what a manifest defines may be served by the time of the next.
    auto done = [&]() -> Outcome<Unit> {
      ORCH_TRY(const Target target, session.target_of(std::move(manifest)));
      if (target.name.empty()) {
        return Err(
            error(fmt::format("error when retrieving current configuration of:\nResource: "
                              "\"{}\"\nfrom server for: \"{}\": resource name may not be "
                              "empty",
                              target.resource->plural_group(), target.source)));
      }
      return server_side ? apply_server_side(apply, target) : apply_client_side(apply, target);
    }();
    if (!done) {
      print_failure(done.error());
      exit_code = 1;
    }
    std::fflush(stdout);
  }
  return exit_code;
}

}  // namespace

Verb apply_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"server-side", 0, Kind::kBool, "false", "let the server merge (server-side apply)"},
      {"force-conflicts", 0, Kind::kBool, "false", "take fields over from other managers"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"},
      {"validate", 0, Kind::kOptionalText, "strict", "strict, warn or ignore unknown fields",
       "strict"}};
  return {"apply", "Make objects what files say", "apply -f FILE",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
