// taint: adds, changes and removes taints of nodes.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/write.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

struct Taint {
  std::string key, value, effect;
};

struct TaintChange {
  std::vector<Taint> added, removed;  // removed: effect "" = every effect
};

bool is_effect(const std::string& text) {
  return text == "NoSchedule" || text == "PreferNoSchedule" || text == "NoExecute";
}

// "key=value:Effect", "key:Effect", "key:Effect-", "key-".
Outcome<Taint> parse_taint(std::string text, bool removal) {
  Taint out;
  const std::string whole = text;
  if (removal) text.pop_back();
  if (const size_t colon = text.rfind(':'); colon != std::string::npos) {
    out.effect = text.substr(colon + 1);
    text.resize(colon);
    if (!is_effect(out.effect)) {
      return Err(
          error(fmt::format("invalid taint effect: {}, unsupported taint effect", out.effect)));
    }
  } else if (!removal) {
    return Err(error(fmt::format("invalid taint spec: {}", whole)));
  }
  const size_t equals = text.find('=');
  out.key = text.substr(0, equals);
  if (equals != std::string::npos) out.value = text.substr(equals + 1);
  return out;
}

Outcome<TaintChange> take_taints(std::vector<std::string>& args) {
  TaintChange out;
  std::vector<std::string> rest;
  for (const std::string& arg : args) {
    const bool removal = arg.size() > 1 && arg.back() == '-';
    if (!removal && arg.find('=') == std::string::npos && arg.find(':') == std::string::npos) {
      if (!out.added.empty() || !out.removed.empty()) {
        return Err(
            error(fmt::format("all resources must be specified before taint changes: {}", arg)));
      }
      rest.push_back(arg);
      continue;
    }
    ORCH_TRY(Taint taint, parse_taint(arg, removal));
    (removal ? out.removed : out.added).push_back(std::move(taint));
  }
  for (const Taint& taint : out.added) {
    for (const Taint& gone : out.removed) {
      if (gone.key == taint.key && gone.effect == taint.effect) {
        return Err(error(fmt::format(
            "can not both modify and remove the following taint(s) in the same command: {}={}",
            taint.key, taint.effect)));
      }
    }
  }
  args = std::move(rest);
  return out;
}

// The word for what happened.
Outcome<std::string> change_taints(const Target& target, const TaintChange& change, bool overwrite,
                                   JsonValue& object) {
  auto taints = object.at("spec.taints").items();
  bool replaced = false;
  auto same = [](const JsonValue& taint, const Taint& wanted) {
    return taint.get("key").text() == wanted.key &&
           (wanted.effect.empty() || taint.get("effect").text() == wanted.effect);
  };
  std::vector<std::string> missing;
  for (const Taint& gone : change.removed) {
    const size_t erased =
        std::erase_if(taints, [&](const JsonValue& taint) { return same(taint, gone); });
    if (erased == 0) {
      missing.push_back(fmt::format("taint \"{}{}\" not found", gone.key,
                                    gone.effect.empty() ? "" : ":" + gone.effect));
    }
  }
  if (!missing.empty()) {
    return Err(error(missing.size() == 1 ? missing[0] : fmt::format("[{}]", join(missing, ", "))));
  }
  std::vector<JsonValue> added;
  for (const Taint& wanted : change.added) {
    JsonValue taint = JsonValue::object();
    taint.set("effect", wanted.effect);
    taint.set("key", wanted.key);
    if (!wanted.value.empty()) taint.set("value", wanted.value);
    const size_t erased =
        std::erase_if(taints, [&](const JsonValue& old) { return same(old, wanted); });
    if (erased != 0 && !overwrite) {
      return Err(error(fmt::format(
          "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
          target.name, wanted.key)));
    }
    replaced = replaced || erased != 0;
    added.push_back(std::move(taint));
  }
  JsonValue list = JsonValue::array();
  for (auto* from : {&added, &taints}) {
    for (JsonValue& taint : *from) list.push_back(std::move(taint));
  }
  JsonValue spec = object.get("spec");
  if (list.size() == 0) {
    spec.erase("taints");
  } else {
    spec.set("taints", std::move(list));
  }
  object.set("spec", std::move(spec));
  if (replaced || (!change.removed.empty() && !change.added.empty()))
    return std::string("modified");
  return std::string(change.added.empty() ? "untainted" : "tainted");
}

Outcome<int> run(Session& session) {
  std::vector<std::string> args = session.flags.args();
  auto taken = take_taints(args);
  if (!taken) {
    Failure failure = taken.error();
    if (failure.message.find("invalid taint") != std::string::npos) {
      failure.message += fmt::format("\nSee '{} taint -h' for help and examples", session.program);
    }
    return Err(std::move(failure));
  }
  if (args.empty()) {
    return Err(error("one or more resources must be specified as <resource> <name>"));
  }
  ORCH_TRY(const Discovery* known, session.discovery());
  ORCH_TRY(const Resource* resource, known->resolve(args[0].substr(0, args[0].find('/'))));
  if (resource->kind != "Node") {
    return Err(
        error(fmt::format("invalid resource type {}, only node types are supported", args[0])));
  }
  if (taken->added.empty() && taken->removed.empty()) {
    return Err(error("at least one taint update is required"));
  }
  ORCH_TRY(const auto targets, session.targets(args));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-taint"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    ORCH_TRY(const JsonValue before, session.fetch(target));
    JsonValue after = before;
    ORCH_TRY(const std::string done,
             change_taints(target, *taken, session.flags.on("overwrite"), after));
    ORCH_TRY(after, writer.change(target, before, after));
    writer.output.print_done(
        target, writer.dry_run == DryRun::kServer ? done + " (server dry run)" : done, after);
    return Unit{};
  });
}

}  // namespace

Verb taint_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"overwrite", 0, Kind::kBool, "false", "taints of the same key and effect may be replaced"},
      {"all", 0, Kind::kBool, "false", "every node"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"taint", "Add and remove taints of nodes",
          "taint node NAME... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-",
          flags + selector_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
