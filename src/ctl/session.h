// One run of one verb: its flags, and what it needs of the cluster, made on first use.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctl/api_client.h"
#include "ctl/discovery.h"
#include "ctl/flags.h"
#include "ctl/manifests.h"

namespace orch::ctl {

// One object that a command line or manifest names.
struct Target {
  const Resource* resource = nullptr;
  std::string namespace_;  // "" for cluster-scoped ones
  std::string name;
  api::JsonValue object;  // as in the manifest, or as listed; null if only named
  std::string source;     // file name, "" if none
  // "deployment.apps/web".
  std::string label() const { return resource->kind_group() + "/" + name; }
  std::string path(std::string_view sub = "") const {
    return resource->path(namespace_, name, sub);
  }
};

// One TYPE of a command line, with the names asked for; none = all of them.
struct Selection {
  const Resource* resource = nullptr;
  std::vector<std::string> names;
};

class Session {
 public:
  Session(Flags flags, std::string program)
      : flags(std::move(flags)), program(std::move(program)) {}

  Outcome<Connection> connection();
  Outcome<ApiClient*> api();
  Outcome<const Discovery*> discovery();
  // -n, or the context's.
  Outcome<std::string> namespace_();

  // TYPE NAME..., TYPE1,TYPE2 [NAME...], TYPE/NAME...; "all" and other categories are expanded.
  Outcome<std::vector<Selection>> selections(const std::vector<std::string>& args);
  // Gives a manifest its resource and namespace (also inside `object`).
  Outcome<Target> target_of(Manifest manifest);
  // What -f, -l/--all/--field-selector or names on the command line mean. Objects are fetched
  // only for lists.
  Outcome<std::vector<Target>> targets(const std::vector<std::string>& args);
  Outcome<api::JsonValue> fetch(const Target& target);

  Flags flags;
  std::string program;  // "orch ctl"
  // Shared flags that the verb takes for itself: "user", "cluster", "selector".
  std::vector<std::string_view> own_flags = {};

 private:
  Outcome<std::vector<Target>> list_targets(const Resource& resource, const std::string& ns);

  std::optional<Connection> connection_;
  std::unique_ptr<ApiClient> api_;
  std::unique_ptr<Discovery> discovery_;
};

// One verb of `orch ctl`; src/ctl/verbs/NAME.cpp each, listed in verbs.def.
struct Verb {
  std::string_view name;
  std::string_view about;
  std::string_view usage;  // below "Usage:", after the program's name
  std::vector<Flag> flags;
  // Returns the exit code.
  Outcome<int> (*run)(Session&);
};

// Flag sets that verbs share.
std::vector<Flag> operator+(std::vector<Flag> a, const std::vector<Flag>& b);
std::vector<Flag> file_flags();      // -f, -R
std::vector<Flag> selector_flags();  // -l, --field-selector, --all, -A
std::vector<Flag> output_flags();    // -o, --show-managed-fields
std::vector<Flag> dry_run_flags();   // --dry-run

enum class DryRun { kNone, kClient, kServer };
Outcome<DryRun> dry_run_of(const Flags& flags);
// --validate as the server wants it: Strict, Warn or Ignore.
std::string validation_of(const Flags& flags);
// " (dry run)", " (server dry run)" or "".
std::string_view dry_run_suffix(DryRun dry_run);

// Runs `each` on all targets; failures are printed and the rest goes on. The exit code.
int for_each_target(const std::vector<Target>& targets,
                    const std::function<Outcome<Unit>(const Target&)>& each);
void print_failure(const Failure& failure);

}  // namespace orch::ctl
