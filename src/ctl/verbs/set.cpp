// set: image, env, resources, selector, serviceaccount and subject of objects that have them.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "ctl/write.h"
#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
// Changes the object in place.
using Change = std::function<Outcome<Unit>(JsonValue&)>;

Outcome<std::vector<Target>> fetched(Session& session, const std::vector<std::string>& args) {
  ORCH_TRY(auto targets, session.targets(args));
  for (Target& target : targets) {
    if (session.flags.on("local")) continue;
    ORCH_TRY(target.object, session.fetch(target));
  }
  return targets;
}

// Nothing is said of an object that the change leaves as it was.
Outcome<int> change_all(Session& session, const std::vector<Target>& targets, std::string_view done,
                        const Change& change) {
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-set"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    JsonValue after = target.object;
    ORCH_CHECK(change(after));
    const bool local = session.flags.on("local");
    if (after == target.object && !local) return Unit{};
    if (!local) {
      ORCH_TRY(after, writer.change(target, target.object, after));
    }
    writer.print(target, done, after);
    return Unit{};
  });
}

Outcome<Unit> need_template(const std::vector<Target>& targets) {
  for (const Target& target : targets) {
    if (template_path(target.object) != nullptr) continue;
    return Err(error(fmt::format(
        "{}/{} the object is not a pod or does not have a pod template: *{}.{}",
        target.resource->plural, target.name, target.resource->version, target.resource->kind)));
  }
  return Unit{};
}

// Applies `each` to the containers (and init containers) whose names `wanted` has; "*" = all.
// Returns how many there were.
size_t change_containers(JsonValue& object, const std::string& wanted, bool init,
                         const std::function<void(JsonValue&)>& each) {
  size_t found = 0;
  const std::string spec = pod_spec_path(object);
  for (std::string_view list : {"containers", "initContainers"}) {
    if (!init && list == "initContainers") continue;
    for_each_at(object, fmt::format("{}.{}", spec, list), [&](JsonValue& container) {
      if (wanted != "*" && container.get("name").text() != wanted) return;
      ++found;
      each(container);
    });
  }
  return found;
}

// "a=b c- x" into changes and the rest; the rest names resources.
void take_pairs(std::vector<std::string>& args, std::vector<std::string>& pairs) {
  std::vector<std::string> rest;
  for (std::string& arg : args) {
    const bool removal = arg.size() > 1 && arg.back() == '-' && !rest.empty();
    (arg.find('=') != std::string::npos || removal ? pairs : rest).push_back(std::move(arg));
  }
  args = std::move(rest);
}

Outcome<int> set_image(Session& session, std::vector<std::string> args) {
  std::vector<std::string> pairs;
  take_pairs(args, pairs);
  if (args.empty() && !session.flags.given("filename")) {
    return Err(
        error("one or more resources must be specified as <resource> <name> or "
              "<resource>/<name>"));
  }
  if (pairs.empty()) {
    ORCH_CHECK(fetched(session, args));
    return Err(error("at least one image update is required"));
  }
  ORCH_TRY(const auto targets, fetched(session, args));
  ORCH_CHECK(need_template(targets));
  return change_all(session, targets, "image updated", [&](JsonValue& object) -> Outcome<Unit> {
    for (const std::string& pair : pairs) {
      const size_t equals = pair.find('=');
      const std::string name = pair.substr(0, equals);
      const size_t found = change_containers(object, name, true, [&](JsonValue& container) {
        container.set("image", pair.substr(equals + 1));
      });
      if (found == 0) {
        return Err(error(fmt::format("unable to find container named \"{}\"", name)));
      }
    }
    return Unit{};
  });
}

void print_env(const Target& target) {
  const std::string spec = pod_spec_path(target.object);
  for (const JsonValue& container : target.object.at(spec + ".containers").items()) {
    fmt::print("# {} {}, container {}\n", target.resource->kind, target.name,
               container.get("name").text());
    for (const JsonValue& entry : container.get("env").items()) {
      const std::string name = entry.get("name").text();
      const JsonValue from = entry.get("valueFrom");
      if (from.is_null()) {
        fmt::print("{}={}\n", name, entry.get("value").text());
      } else if (const JsonValue ref = from.get("secretKeyRef"); !ref.is_null()) {
        fmt::print("# {} from secret {}, key {}\n", name, ref.get("name").text(),
                   ref.get("key").text());
      } else if (const JsonValue map = from.get("configMapKeyRef"); !map.is_null()) {
        fmt::print("# {} from configmap {}, key {}\n", name, map.get("name").text(),
                   map.get("key").text());
      } else if (const JsonValue field = from.get("fieldRef"); !field.is_null()) {
        fmt::print("# {} from field path {}\n", name, field.get("fieldPath").text());
      } else {
        fmt::print("# {} from resource {}\n", name, from.at("resourceFieldRef.resource").text());
      }
    }
  }
}

// The entries of a ConfigMap or Secret as environment variables that refer to them.
Outcome<std::vector<JsonValue>> env_from(Session& session, const std::string& named) {
  ORCH_TRY(const auto from, fetched(session, {named}));
  std::vector<JsonValue> out;
  for (const Target& target : from) {
    const bool secret = target.resource->kind == "Secret";
    if (!secret && target.resource->kind != "ConfigMap") {
      return Err(error(fmt::format("unsupported resource specified in --from")));
    }
    const auto keys = session.flags.comma_list("keys");
    auto members = target.object.get("data").members();
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [key, value] : members) {
      if (!keys.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) continue;
      std::string name = key;
      for (char& c : name) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        if (c == '-' || c == '.') c = '_';
      }
      if (to_lower(name) != to_lower(key)) {
        fmt::print(stderr, "Warning: key {} transferred to {}\n", key, name);
      }
      JsonValue entry = JsonValue::object(), ref = JsonValue::object();
      ref.set("key", key);
      ref.set("name", target.name);
      entry.set("name", session.flags.text("prefix") + name);
      entry.set_at(secret ? "valueFrom.secretKeyRef" : "valueFrom.configMapKeyRef", ref);
      out.push_back(std::move(entry));
    }
  }
  return out;
}

Outcome<int> set_env(Session& session, std::vector<std::string> args) {
  const Flags& flags = session.flags;
  std::vector<std::string> pairs = flags.list("env");
  take_pairs(args, pairs);
  if (args.empty() && !flags.given("filename")) {
    return Err(
        error("one or more resources must be specified as <resource> <name> or "
              "<resource>/<name>"));
  }
  std::vector<JsonValue> added;
  std::set<std::string> removed;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      removed.insert(pair.substr(0, pair.size() - 1));
      continue;
    }
    JsonValue entry = JsonValue::object();
    entry.set("name", pair.substr(0, equals));
    entry.set("value", pair.substr(equals + 1));
    added.push_back(std::move(entry));
  }
  if (flags.given("from")) {
    ORCH_TRY(const auto more, env_from(session, flags.text("from")));
    added.insert(added.end(), more.begin(), more.end());
  }
  ORCH_TRY(const auto targets, fetched(session, args));
  ORCH_CHECK(need_template(targets));
  if (flags.on("list")) {
    for (const Target& target : targets) print_env(target);
    return 0;
  }
  auto change = [&](JsonValue& container) {
    JsonValue env = JsonValue::array();
    std::vector<bool> used(added.size());
    for (const JsonValue& entry : container.get("env").items()) {
      const std::string name = entry.get("name").text();
      if (removed.contains(name)) continue;
      size_t at = 0;
      while (at < added.size() && added[at].get("name").text() != name) ++at;
      if (at < added.size()) used[at] = true;
      env.push_back(at < added.size() ? added[at] : entry);
    }
    for (size_t i = 0; i < added.size(); ++i) {
      if (!used[i]) env.push_back(added[i]);
    }
    if (env.size() == 0) {
      container.erase("env");
    } else {
      container.set("env", std::move(env));
    }
  };
  return change_all(session, targets, "env updated", [&](JsonValue& object) -> Outcome<Unit> {
    change_containers(object, flags.text("containers"), true, change);
    return Unit{};
  });
}

Outcome<JsonValue> amounts_of(const std::vector<std::string>& pairs) {
  ORCH_TRY(const JsonValue map, map_of(pairs, "argument syntax, expected <resource>=<value>"));
  for (const auto& [name, value] : map.members()) {
    if (api::Quantity::parse(value.text())) continue;
    return Err(
        error("quantities must match the regular expression "
              "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"));
  }
  return map;
}

Outcome<int> set_resources(Session& session, std::vector<std::string> args) {
  const Flags& flags = session.flags;
  ORCH_TRY(const auto targets, fetched(session, args));
  if (!flags.given("limits") && !flags.given("requests")) {
    return Err(
        error("you must specify an update to requests or limits (in the form of "
              "--requests/--limits)"));
  }
  ORCH_TRY(const JsonValue limits, amounts_of(flags.comma_list("limits")));
  ORCH_TRY(const JsonValue requests, amounts_of(flags.comma_list("requests")));
  ORCH_CHECK(need_template(targets));
  auto change = [&](JsonValue& container) {
    for (const auto& [name, value] : limits.members()) {
      JsonValue map = container.at("resources.limits");
      map.set(name, value);
      container.set_at("resources.limits", std::move(map));
    }
    for (const auto& [name, value] : requests.members()) {
      JsonValue map = container.at("resources.requests");
      map.set(name, value);
      container.set_at("resources.requests", std::move(map));
    }
  };
  const std::string wanted = flags.text("containers");
  return change_all(session, targets, "resource requirements updated",
                    [&](JsonValue& object) -> Outcome<Unit> {
                      if (change_containers(object, wanted, false, change) != 0) return Unit{};
                      return Err(error(fmt::format("unable to find container named {}", wanted)));
                    });
}

Outcome<int> set_selector(Session& session, std::vector<std::string> args) {
  std::vector<std::string> pairs, rest;
  for (const std::string& arg : args) {
    if (arg.find('=') == std::string::npos) {
      rest.push_back(arg);
      continue;
    }
    for (std::string& pair : split(arg, ',')) pairs.push_back(std::move(pair));
  }
  if (rest.empty() && !session.flags.given("filename")) {
    return Err(
        error("one or more resources must be specified as <resource> <name> or "
              "<resource>/<name>"));
  }
  ORCH_TRY(const JsonValue selector, map_of(pairs, "selector"));
  ORCH_TRY(const auto targets, fetched(session, rest));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-set"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    if (target.resource->kind != "Service") {
      return Err(error("setting a selector is only supported for Services"));
    }
    JsonValue after = target.object;
    after.set_at("spec.selector", selector);
    ORCH_TRY(after, writer.change(target, target.object, after));
    writer.print(target, "selector updated", after);
    return Unit{};
  });
}

Outcome<int> set_service_account(Session& session, std::vector<std::string> args) {
  if (args.empty()) return Err(error("serviceaccount is required"));
  const std::string account = args.back();
  args.pop_back();
  ORCH_TRY(const auto targets, fetched(session, args));
  ORCH_CHECK(need_template(targets));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-set"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    JsonValue after = target.object;
    const std::string spec = pod_spec_path(after);
    after.set_at(spec + ".serviceAccountName", account);
    if (!session.flags.on("local")) {
      ORCH_TRY(after, writer.change(target, target.object, after));
    }
    writer.print(target, "serviceaccount updated", after);
    return Unit{};
  });
}

Outcome<int> set_subject(Session& session, std::vector<std::string> args) {
  ORCH_TRY(const auto targets, fetched(session, args));
  ORCH_TRY(const auto added, rbac_subjects(session.flags, ""));
  if (added.empty()) {
    return Err(error("you must specify at least one value of user, group or serviceaccount"));
  }
  for (const Target& target : targets) {
    if (!target.resource->kind.ends_with("RoleBinding")) {
      return Err(error("setting subjects is only supported for RoleBinding/ClusterRoleBinding"));
    }
  }
  return change_all(session, targets, "subjects updated", [&](JsonValue& object) -> Outcome<Unit> {
    auto subjects = object.get("subjects").items();
    for (const JsonValue& subject : added) {
      if (std::find(subjects.begin(), subjects.end(), subject) == subjects.end()) {
        subjects.push_back(subject);
      }
    }
    JsonValue list = JsonValue::array();
    for (JsonValue& subject : subjects) list.push_back(std::move(subject));
    object.set("subjects", std::move(list));
    return Unit{};
  });
}

constexpr SubVerb kSubVerbs[] = {{"env", "", set_env},
                                 {"image", "", set_image},
                                 {"resources", "", set_resources},
                                 {"selector", "", set_selector},
                                 {"serviceaccount", "sa", set_service_account},
                                 {"subject", "", set_subject}};

}  // namespace

Verb set_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"all", 0, Kind::kBool, "false", "every object of the type in the namespace"},
      {"local", 0, Kind::kBool, "false", "change the file's object, ask no server"},
      {"containers", 'c', Kind::kText, "*", "env, resources: the container; default all"},
      {"env", 'e', Kind::kList, "", "env: NAME=VALUE"},
      {"from", 0, Kind::kText, "", "env: take all keys of configmap/NAME or secret/NAME"},
      {"prefix", 0, Kind::kText, "", "env: put before the names from --from"},
      {"keys", 0, Kind::kList, "", "env: only these keys from --from"},
      {"list", 0, Kind::kBool, "false", "env: print what is there"},
      {"overwrite", 0, Kind::kBool, "true", "env: values that are there may be replaced"},
      {"limits", 0, Kind::kList, "", "resources: cpu=1,memory=64Mi"},
      {"requests", 0, Kind::kList, "", "resources: cpu=1,memory=64Mi"},
      {"user", 0, Kind::kList, "", "subject: users to add"},
      {"group", 0, Kind::kList, "", "subject: groups to add"},
      {"serviceaccount", 0, Kind::kList, "", "subject: NAMESPACE:NAME to add"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"set", "Change particular fields of objects",
          "set (image | env | resources | selector | serviceaccount | subject) "
          "(TYPE NAME | TYPE/NAME | -f FILE) ...",
          flags + file_flags() + selector_flags() + output_flags() + dry_run_flags(),
          [](Session& session) { return run_sub_verb(session, "set", kSubVerbs); }};
}

}  // namespace orch::ctl
