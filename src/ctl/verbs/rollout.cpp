// rollout status, history, undo, restart, pause, resume.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <thread>

#include "ctl/describe.h"
#include "ctl/printers/elastic.h"
#include "ctl/printers/output.h"
#include "ctl/rollout_status.h"
#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

constexpr char kRevision[] = "deployment.kubernetes.io/revision";
constexpr char kChangeCause[] = "kubernetes.io/change-cause";

Outcome<Unit> show_status(Session& session, const Target& target) {
  ORCH_TRY(const int64_t timeout, session.flags.millis("timeout"));
  ORCH_TRY(const int64_t revision, session.flags.number("revision"));
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout);
  std::string shown;
  for (auto pause = std::chrono::milliseconds(50);;
       pause = std::min(pause * 2, std::chrono::milliseconds(400))) {
    ORCH_TRY(const JsonValue object, session.fetch(target));
    ORCH_TRY(const RolloutStatus status, rollout_status(object, revision));
    if (status.message != shown) {
      fmt::print("{}\n", status.message);
      std::fflush(stdout);
      shown = status.message;
    }
    if (status.done || !session.flags.on("watch")) return Unit{};
    if (timeout > 0 && Clock::now() + pause > deadline) {
      return Err(error("timed out waiting for the condition"));
    }
    std::this_thread::sleep_for(pause);
  }
}

// One revision of a workload: its pod template (Deployments) or the patch that leads to it.
struct Revision {
  int64_t number = 0;
  std::string change_cause;
  JsonValue template_;  // ReplicaSet's; null for the others
  JsonValue patch;      // ControllerRevision's data
};

Outcome<std::vector<Revision>> revisions(Session& session, const Target& target,
                                         const JsonValue& object) {
  const bool deployment = target.resource->kind == "Deployment";
  if (!deployment && target.resource->kind != "DaemonSet" &&
      target.resource->kind != "StatefulSet") {
    return Err(error(fmt::format("no history viewer has been implemented for \"{}\"",
                                 target.resource->kind_group())));
  }
  ORCH_TRY(const Discovery* known, session.discovery());
  ORCH_TRY(const Resource* kept,
           known->resolve(deployment ? "replicasets.apps" : "controllerrevisions.apps"));
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = kept->path(target.namespace_);
  ORCH_TRY(const JsonValue list, client->json(call));
  const std::string uid = object.at("metadata.uid").text();
  std::vector<Revision> out;
  for (const JsonValue& item : list.get("items").items()) {
    const auto owners = item.at("metadata.ownerReferences").items();
    if (std::none_of(owners.begin(), owners.end(),
                     [&](const JsonValue& owner) { return owner.get("uid").text() == uid; })) {
      continue;
    }
    const JsonValue annotations = item.at("metadata.annotations");
    Revision revision;
    revision.change_cause = annotations.get(kChangeCause).text();
    if (deployment) {
      revision.number = parse_int(annotations.get(kRevision).text()).value_or(0);
      revision.template_ = item.at("spec.template");
    } else {
      revision.number = item.get("revision").number();
      revision.patch = item.get("data");
    }
    if (revision.number > 0) out.push_back(std::move(revision));
  }
  std::sort(out.begin(), out.end(),
            [](const Revision& a, const Revision& b) { return a.number < b.number; });
  return out;
}

Outcome<Unit> show_history(Session& session, const Target& target) {
  ORCH_TRY(const JsonValue object, session.fetch(target));
  ORCH_TRY(const auto found, revisions(session, target, object));
  ORCH_TRY(const int64_t wanted, session.flags.number("revision"));
  if (wanted > 0) {
    for (const Revision& revision : found) {
      if (revision.number != wanted) continue;
      const JsonValue shown =
          revision.template_.is_null() ? revision.patch.at("spec.template") : revision.template_;
      fmt::print("{} with revision #{}\n{}\n", target.label(), wanted, describe_template(shown));
      return Unit{};
    }
    return Err(error("unable to find the specified revision"));
  }
  if (found.empty()) {
    fmt::print("{} \nNo rollout history found.\n", target.label());
    return Unit{};
  }
  std::string text = "REVISION\tCHANGE-CAUSE\n";
  for (const Revision& revision : found) {
    text += fmt::format("{}\t{}\n", revision.number,
                        revision.change_cause.empty() ? "<none>" : revision.change_cause);
  }
  fmt::print("{} \n{}\n", target.label(), elastic(text));
  return Unit{};
}

Outcome<JsonValue> send_patch(Session& session, const Target& target, const JsonValue& patch,
                              const std::string& type) {
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.method = "PATCH";
  call.target = target.path() + query_text({{"fieldManager", "kubectl-rollout"}});
  call.body = patch.dump();
  call.content_type = type;
  return client->json(call);
}

Outcome<Unit> undo(Session& session, const Target& target) {
  ORCH_TRY(const Output output, Output::of(session.flags));
  ORCH_TRY(const int64_t wanted, session.flags.number("to-revision"));
  ORCH_TRY(const JsonValue object, session.fetch(target));
  if (object.at("spec.paused").boolean()) {
    return Err(
        error(fmt::format("you cannot rollback a paused deployment; resume it first with "
                          "'{} rollout resume' and try again",
                          session.program)));
  }
  ORCH_TRY(const auto found, revisions(session, target, object));
  const Revision* to = nullptr;
  if (wanted == 0 && found.size() > 1) to = &found[found.size() - 2];
  for (const Revision& revision : found) {
    if (wanted != 0 && revision.number == wanted) to = &revision;
  }
  if (to == nullptr) {
    return Err(error(wanted == 0 ? fmt::format("no rollout history found for {} \"{}\"",
                                               to_lower(target.resource->kind), target.name)
                                 : "unable to find specified revision " + std::to_string(wanted) +
                                       " in history"));
  }
  if (to == &found.back()) {
    output.print_done(
        target,
        fmt::format("skipped rollback (current template already matches revision {})", to->number),
        object);
    return Unit{};
  }
  JsonValue changed;
  if (!to->template_.is_null()) {
    JsonValue pod_template = to->template_;
    JsonValue metadata = pod_template.get("metadata"), labels = metadata.get("labels");
    labels.erase("pod-template-hash");
    metadata.set("labels", std::move(labels));
    pod_template.set("metadata", std::move(metadata));
    JsonValue operation = JsonValue::object(), patch = JsonValue::array();
    operation.set("op", "replace");
    operation.set("path", "/spec/template");
    operation.set("value", std::move(pod_template));
    patch.push_back(std::move(operation));
    ORCH_TRY(changed, send_patch(session, target, patch, "application/json-patch+json"));
  } else {
    ORCH_TRY(changed,
             send_patch(session, target, to->patch, "application/strategic-merge-patch+json"));
  }
  output.print_done(target, "rolled back", changed);
  return Unit{};
}

Outcome<Unit> restart(Session& session, const Target& target) {
  ORCH_TRY(const Output output, Output::of(session.flags));
  const std::string& kind = target.resource->kind;
  if (kind != "Deployment" && kind != "DaemonSet" && kind != "StatefulSet") {
    return Err(error(fmt::format("{} \"{}\" restarting is not supported",
                                 target.resource->plural_group(), target.name)));
  }
  ORCH_TRY(const JsonValue object, session.fetch(target));
  if (object.at("spec.paused").boolean()) {
    return Err(
        error(fmt::format("{} \"{}\" can't restart paused deployment (run rollout resume "
                          "first)",
                          target.resource->plural_group(), target.name)));
  }
  char now[32];
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
  JsonValue annotations = JsonValue::object(), patch = JsonValue::object();
  annotations.set("kubectl.kubernetes.io/restartedAt", now);
  patch.set_at("spec.template.metadata.annotations", std::move(annotations));
  ORCH_TRY(const JsonValue changed,
           send_patch(session, target, patch, "application/strategic-merge-patch+json"));
  output.print_done(target, "restarted", changed);
  return Unit{};
}

Outcome<Unit> set_paused(Session& session, const Target& target, bool paused) {
  ORCH_TRY(const Output output, Output::of(session.flags));
  const std::string_view verb = paused ? "pausing" : "resuming";
  if (target.resource->kind != "Deployment") {
    return Err(error(fmt::format("{} \"{}\" {} is not supported", target.resource->plural_group(),
                                 target.name, verb)));
  }
  ORCH_TRY(const JsonValue object, session.fetch(target));
  if (object.at("spec.paused").boolean() == paused) {
    return Err(error(fmt::format("{} \"{}\" {}", target.resource->plural_group(), target.name,
                                 paused ? "is already paused" : "is not paused")));
  }
  JsonValue patch = JsonValue::object();
  patch.set_at("spec.paused", paused);
  ORCH_TRY(const JsonValue changed,
           send_patch(session, target, patch, "application/strategic-merge-patch+json"));
  output.print_done(target, paused ? "paused" : "resumed", changed);
  return Unit{};
}

Outcome<int> run(Session& session) {
  std::vector<std::string> args = session.flags.args();
  const std::string what = args.empty() ? "" : args[0];
  if (what.empty()) {
    return Err(
        error(fmt::format("must specify one of status, history, undo, restart, pause, "
                          "resume\nSee '{} rollout --help' for usage.",
                          session.program)));
  }
  args.erase(args.begin());
  const std::map<std::string, Outcome<Unit> (*)(Session&, const Target&)> known = {
      {"status", show_status},
      {"history", show_history},
      {"undo", undo},
      {"restart", restart},
      {"pause", [](Session& s, const Target& t) { return set_paused(s, t, true); }},
      {"resume", [](Session& s, const Target& t) { return set_paused(s, t, false); }}};
  const auto chosen = known.find(what);
  if (chosen == known.end()) {
    return Err(
        error(fmt::format("unknown command \"{}\"\nSee '{} rollout -h' for help and examples", what,
                          session.program)));
  }
  if (args.empty() && !session.flags.given("filename")) {
    return Err(error("required resource not specified"));
  }
  ORCH_TRY(const auto targets, session.targets(args));
  return for_each_target(targets,
                         [&](const Target& target) { return chosen->second(session, target); });
}

}  // namespace

Verb rollout_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"timeout", 0, Kind::kText, "0s", "status: how long to wait, 0 = without limit"},
      {"watch", 'w', Kind::kBool, "true", "status: wait until the rollout is done"},
      {"revision", 0, Kind::kText, "0", "status, history: this revision, 0 = the newest, all"},
      {"to-revision", 0, Kind::kText, "0", "undo: the revision to go back to, 0 = the last"}};
  return {"rollout", "Follow, repeat or take back rollouts",
          "rollout (status | history | undo | restart | pause | resume) (TYPE NAME | TYPE/NAME)",
          flags + file_flags() + selector_flags() + output_flags(), run};
}

}  // namespace orch::ctl
