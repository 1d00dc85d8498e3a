// wait: until a condition holds, a value is there, or objects are gone.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "ctl/jsonpath.h"
#include "ctl/printers/output.h"
#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

struct Condition {
  enum class Kind { kDelete, kCreate, kCondition, kJsonPath };
  Kind kind = Kind::kCondition;
  std::string type, status = "true";  // kCondition
  std::optional<JsonPath> path;
  std::optional<std::string> value;  // kJsonPath; nullopt = any
};

std::string unquoted(std::string text) {
  if (text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0]) {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

Outcome<Condition> parse_condition(const std::string& text) {
  Condition out;
  const std::string lower = to_lower(text);
  if (lower == "delete" || lower == "create") {
    out.kind = lower == "delete" ? Condition::Kind::kDelete : Condition::Kind::kCreate;
    return out;
  }
  if (text.starts_with("condition=")) {
    out.type = text.substr(10);
    if (const size_t equals = out.type.find('='); equals != std::string::npos) {
      out.status = to_lower(unquoted(out.type.substr(equals + 1)));
      out.type.resize(equals);
    }
    return out;
  }
  if (text.starts_with("jsonpath=")) {
    out.kind = Condition::Kind::kJsonPath;
    std::string path = unquoted(text.substr(9));
    const size_t close = path.rfind("}=");
    const size_t equals =
        path.starts_with("{") ? (close == std::string::npos ? close : close + 1) : path.find('=');
    if (equals != std::string::npos) {
      out.value = unquoted(path.substr(equals + 1));
      path.resize(equals);
    }
    auto parsed = JsonPath::parse(unquoted(path), true);
    if (!parsed) return Err(error(parsed.error()));
    out.path = std::move(*parsed);
    return out;
  }
  return Err(error(fmt::format("unrecognized condition: \"{}\"", text)));
}

// Does an object that is there meet it?
Outcome<bool> met(const Condition& condition, const JsonValue& object) {
  switch (condition.kind) {
    case Condition::Kind::kDelete:
      return false;
    case Condition::Kind::kCreate:
      return true;
    case Condition::Kind::kCondition: {
      for (const JsonValue& one : object.at("status.conditions").items()) {
        if (!iequals(one.get("type").text(), condition.type)) continue;
        // A condition of an older generation says nothing about this one.
        const int64_t observed = one.get("observedGeneration").number();
        const int64_t generation = object.at("metadata.generation").number();
        if (observed != 0 && observed < generation) return false;
        return iequals(one.get("status").text(), condition.status);
      }
      return false;
    }
    case Condition::Kind::kJsonPath: {
      const auto found = condition.path->find(object);
      if (found.empty()) return false;
      if (!condition.value) return true;
      if (found.size() > 1)
        return Err(error("given jsonpath expression matches more than one value"));
      if (found[0].is_object() || found[0].is_array()) {
        return Err(error("jsonpath leads to a nested object or list which is not supported"));
      }
      return found[0].text() == *condition.value;
    }
  }
  return false;
}

Outcome<Unit> wait_for(Session& session, const Condition& condition, const Target& target,
                       std::optional<Clock::time_point> deadline, const Output& output) {
  auto pause = std::chrono::milliseconds(50);
  std::string uid;
  JsonValue last = target.object;
  for (;;) {
    auto object = session.fetch(target);
    bool done = false;
    if (object) {
      const std::string now = object->at("metadata.uid").text();
      if (condition.kind == Condition::Kind::kDelete) {
        done = !uid.empty() && now != uid;
      } else {
        ORCH_TRY(done, met(condition, *object));
      }
      if (uid.empty()) uid = now;
      last = *object;
    } else if (object.error().reason == "NotFound" &&
               (condition.kind == Condition::Kind::kDelete)) {
      if (uid.empty() && target.object.is_null()) return Unit{};  // was never there
      done = true;
    } else if (object.error().reason != "NotFound" || condition.kind != Condition::Kind::kCreate) {
      return Err(object.error());
    }
    if (done) {
      output.print_done(target, "condition met", last);
      return Unit{};
    }
    if (deadline && Clock::now() + pause > *deadline) {
      if (condition.kind == Condition::Kind::kCreate) {
        return Err(error("timed out waiting for the condition"));
      }
      return Err(error(fmt::format("timed out waiting for the condition on {}/{}",
                                   target.resource->plural, target.name)));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(500));
  }
}

Outcome<int> run(Session& session) {
  const std::string text = session.flags.text("for");
  if (text.empty()) {
    return Err(error("unrecognized condition: \"\""));
  }
  ORCH_TRY(const Condition condition, parse_condition(text));
  ORCH_TRY(const Output output, Output::of(session.flags));
  ORCH_TRY(const int64_t timeout, session.flags.millis("timeout"));
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  if (targets.empty()) {
    if (condition.kind == Condition::Kind::kDelete) return 0;
    return Err(error("no matching resources found"));
  }
  std::optional<Clock::time_point> deadline;
  if (timeout >= 0) deadline = Clock::now() + std::chrono::milliseconds(timeout);
  return for_each_target(targets, [&](const Target& target) {
    return wait_for(session, condition, target, deadline, output);
  });
}

}  // namespace

Verb wait_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"for", 0, Kind::kText, "",
       "delete, create, condition=NAME[=VALUE] or jsonpath='{PATH}'[=VALUE]"},
      {"timeout", 0, Kind::kText, "30s", "how long; negative = without limit"},
      {"all", 0, Kind::kBool, "false", "every object of the type in the namespace"}};
  return {"wait", "Wait for a condition of objects",
          "wait (TYPE NAME | TYPE/NAME... | TYPE -l SELECTOR | -f FILE) --for=CONDITION",
          flags + file_flags() + selector_flags() + output_flags(), run};
}

}  // namespace orch::ctl
