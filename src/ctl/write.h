// What verbs that change objects share: output, dry run, field manager, and the request itself.
#pragma once

#include <string>
#include <string_view>

#include "ctl/printers/output.h"
#include "ctl/session.h"

namespace orch::ctl {

class Writer {
 public:
  // Reads -o, --dry-run and --field-manager; `manager` is the latter's default.
  static Outcome<Writer> of(Session& session, std::string_view manager);

  // POST of the target's object. With --dry-run=client it is returned as the server would decode
  // it.
  Outcome<api::JsonValue> create(const Target& target) const;
  // PATCH of what differs between the two; nothing is sent where nothing does.
  Outcome<api::JsonValue> change(const Target& target, const api::JsonValue& before,
                                 const api::JsonValue& after) const;
  // PATCH or PUT or POST of a body as it is; with --dry-run=client returns null.
  Outcome<api::JsonValue> send(std::string_view method, const std::string& path,
                               const std::string& body, std::string_view content_type,
                               std::string_view doing = "") const;
  // "deployment.apps/web scaled (dry run)", the name or the object. `done` "" = object forms only.
  void print(const Target& target, std::string_view done, const api::JsonValue& object) const;

  Session& session;
  ApiClient& client;
  Output output;
  DryRun dry_run = DryRun::kNone;
  std::string manager;
};

// An object as Go's typed structs print it (`status: {}`, `resources: {}`); other kinds unchanged.
api::JsonValue as_typed(const Resource& resource, const api::JsonValue& object);
// The strategic or merge patch from one to the other, and its content type.
api::JsonValue difference(const Resource& resource, const api::JsonValue& before,
                          const api::JsonValue& after, std::string& content_type);

api::JsonValue new_object(std::string_view api_version, std::string_view kind,
                          std::string_view name);
api::JsonValue list_of(const std::vector<std::string>& texts);
// {"a": "b"} of "a=b" texts. `what`: for the error `invalid WHAT: a`.
Outcome<api::JsonValue> map_of(const std::vector<std::string>& pairs, std::string_view what);
// RBAC subjects of --user, --group and --serviceaccount; a service account without a namespace is
// in `namespace_`, or an error if that is "".
Outcome<std::vector<api::JsonValue>> rbac_subjects(const Flags& flags,
                                                   const std::string& namespace_);
// Calls `each` on a copy of every element of the array at `path` and writes it back.
void for_each_at(api::JsonValue& object, std::string_view path,
                 const std::function<void(api::JsonValue&)>& each);

// A pod template's place in an object: "spec.template", "spec.jobTemplate.spec.template", "" for a
// Pod itself; nullptr if its kind has none.
const char* template_path(const api::JsonValue& object);
// The same for the pod's spec.
std::string pod_spec_path(const api::JsonValue& object);

// "create", "set": verbs with words below them.
struct SubVerb {
  std::string_view name, alias;
  Outcome<int> (*run)(Session&, std::vector<std::string> args);
};
Outcome<int> run_sub_verb(Session& session, std::string_view verb, const SubVerb* known,
                          size_t count);
template <size_t N>
Outcome<int> run_sub_verb(Session& session, std::string_view verb, const SubVerb (&known)[N]) {
  return run_sub_verb(session, verb, known, N);
}
// `error: TEXT\nSee 'kubectl VERB -h' for help and examples`.
Failure usage_error(const Session& session, std::string_view verb, std::string_view text);
// Exactly one NAME.
Outcome<std::string> one_name(const Session& session, std::string_view verb,
                              const std::vector<std::string>& args);

}  // namespace orch::ctl
