// auth: can-i, whoami, reconcile.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/printers/output.h"
#include "ctl/printers/table.h"
#include "ctl/rbac_rules.h"
#include "ctl/write.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<JsonValue> review(Session& session, std::string_view group, std::string_view kind,
                          std::string_view plural, const JsonValue& spec) {
  ORCH_TRY(ApiClient * client, session.api());
  JsonValue request = JsonValue::object();
  request.set("apiVersion", fmt::format("{}/v1", group));
  request.set("kind", kind);
  if (!spec.is_null()) request.set("spec", spec);
  Call call;
  call.method = "POST";
  call.target = fmt::format("/apis/{}/v1/{}", group, plural);
  call.body = request.dump();
  return client->json(call);
}

Outcome<int> list_rules(Session& session) {
  ORCH_TRY(const std::string ns, session.namespace_());
  JsonValue spec = JsonValue::object();
  spec.set("namespace", ns);
  ORCH_TRY(const JsonValue answer, review(session, "authorization.k8s.io", "SelfSubjectRulesReview",
                                          "selfsubjectrulesreviews", spec));
  std::vector<Rule> rules;
  for (std::string_view list : {"resourceRules", "nonResourceRules"}) {
    for (const JsonValue& rule : answer.get("status").get(list).items()) {
      rules.push_back(read_rule(rule));
    }
  }
  rules = compacted(rules);
  std::stable_sort(rules.begin(), rules.end(),
                   [](const Rule& a, const Rule& b) { return rule_text(a) < rule_text(b); });
  std::vector<std::vector<std::string>> rows;
  if (!session.flags.on("no-headers")) {
    rows.push_back({"Resources", "Non-Resource URLs", "Resource Names", "Verbs"});
  }
  for (const Rule& rule : rules) {
    rows.push_back({rule_resource(rule), fmt::format("[{}]", join(rule.urls, " ")),
                    fmt::format("[{}]", join(rule.names, " ")),
                    fmt::format("[{}]", join(rule.verbs, " "))});
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

Outcome<JsonValue> question(Session& session, const std::vector<std::string>& args) {
  const Flags& flags = session.flags;
  JsonValue spec = JsonValue::object();
  if (args[1].starts_with("/")) {
    spec.set_at("nonResourceAttributes.path", args[1]);
    spec.set_at("nonResourceAttributes.verb", args[0]);
    return spec;
  }
  constexpr std::string_view kKnown[] = {
      "get", "list", "watch",       "create", "update",  "patch", "delete",   "deletecollection",
      "use", "bind", "impersonate", "*",      "approve", "sign",  "escalate", "attest"};
  if (std::find(std::begin(kKnown), std::end(kKnown), args[0]) == std::end(kKnown)) {
    fmt::print(stderr, "Warning: verb '{}' is not a known verb\n\n", args[0]);
  }
  const size_t slash = args[1].find('/');
  const std::string type = args[1].substr(0, slash);
  std::string name = args.size() > 2 ? args[2] : "";
  if (slash != std::string::npos) name = args[1].substr(slash + 1);
  std::string group, plural = type;
  bool namespaced = true;
  if (type != "*") {
    ORCH_TRY(const Discovery* known, session.discovery());
    if (auto resource = known->resolve(type)) {
      group = (*resource)->group;
      plural = (*resource)->plural;
      namespaced = (*resource)->namespaced;
    } else {
      fmt::print(stderr, "Warning: the server doesn't have a resource type '{}'\n\n", type);
      const size_t dot = type.find('.');
      plural = type.substr(0, dot);
      if (dot != std::string::npos) group = type.substr(dot + 1);
    }
  }
  if (!namespaced && flags.given("namespace")) {
    fmt::print(stderr, "Warning: resource '{}' is not namespace scoped{}\n\n", plural,
               group.empty() ? "" : fmt::format(" in group '{}'", group));
  }
  ORCH_TRY(const std::string ns, session.namespace_());
  if (!flags.on("all-namespaces")) spec.set_at("resourceAttributes.namespace", ns);
  spec.set_at("resourceAttributes.verb", args[0]);
  spec.set_at("resourceAttributes.resource", plural);
  if (!group.empty()) spec.set_at("resourceAttributes.group", group);
  if (!name.empty()) spec.set_at("resourceAttributes.name", name);
  if (flags.given("subresource")) {
    spec.set_at("resourceAttributes.subresource", flags.text("subresource"));
  }
  return spec;
}

Outcome<int> can_i(Session& session, std::vector<std::string> args) {
  if (session.flags.on("list")) return list_rules(session);
  const bool fits =
      args.size() == 2 || (args.size() == 3 && args[1].find('/') == std::string::npos);
  if (!fits) {
    return Err(error(fmt::format(
        "you must specify two arguments: verb resource or verb resource/resourceName.\nSee '{} "
        "auth can-i -h' for help and examples.",
        session.program)));
  }
  ORCH_TRY(const JsonValue spec, question(session, args));
  ORCH_TRY(const JsonValue answer,
           review(session, "authorization.k8s.io", "SelfSubjectAccessReview",
                  "selfsubjectaccessreviews", spec));
  const bool allowed = answer.at("status.allowed").boolean();
  if (!session.flags.on("quiet")) {
    std::string text = allowed ? "yes" : "no";
    if (!allowed) {
      if (const std::string why = answer.at("status.reason").text(); !why.empty()) {
        text += " - " + why;
      }
      if (const std::string why = answer.at("status.evaluationError").text(); !why.empty()) {
        text += " - " + why;
      }
    }
    fmt::print("{}\n", text);
  }
  return allowed ? 0 : 1;
}

Outcome<int> who_am_i(Session& session, std::vector<std::string>) {
  ORCH_TRY(Output output, Output::of(session.flags));
  output.keep_order();
  ORCH_TRY(const JsonValue answer, review(session, "authentication.k8s.io", "SelfSubjectReview",
                                          "selfsubjectreviews", JsonValue()));
  if (output.prints_objects()) {
    const std::string text = output.object_text(answer);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  auto bracketed = [](const JsonValue& list) {
    std::vector<std::string> texts;
    for (const JsonValue& item : list.items()) texts.push_back(item.text());
    return fmt::format("[{}]", join(texts, " "));
  };
  const JsonValue user = answer.at("status.userInfo");
  std::vector<std::vector<std::string>> rows{{"ATTRIBUTE", "VALUE"}};
  if (user.has("username")) rows.push_back({"Username", user.get("username").text()});
  if (user.has("uid")) rows.push_back({"UID", user.get("uid").text()});
  if (user.has("groups")) rows.push_back({"Groups", bracketed(user.get("groups"))});
  auto extra = user.get("extra").members();
  std::sort(extra.begin(), extra.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [key, values] : extra) rows.push_back({"Extra: " + key, bracketed(values)});
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

// What reconciling does to one object; told on standard error, as kubectl does.
struct Plan {
  std::string operation;  // "", "create", "update"
  JsonValue wanted;
  std::vector<std::string> added, removed;
};

Plan plan_role(const Flags& flags, const JsonValue& live, const JsonValue& wanted) {
  Plan plan{live.is_null() ? "create" : "", wanted, {}, {}};
  std::vector<Rule> now, then;
  for (const JsonValue& rule : live.get("rules").items()) now.push_back(read_rule(rule));
  for (const JsonValue& rule : wanted.get("rules").items()) then.push_back(read_rule(rule));
  const auto missing = uncovered(now, then), extra = uncovered(then, now);
  for (const Rule& rule : missing) plan.added.push_back(rule_text(rule));
  const bool removes = flags.on("remove-extra-permissions");
  if (removes) {
    for (const Rule& rule : extra) plan.removed.push_back(rule_text(rule));
  }
  if (live.is_null()) return plan;
  JsonValue after = live;
  if (removes && !extra.empty()) {
    after.set("rules", wanted.get("rules"));
  } else {
    JsonValue rules = live.get("rules");
    for (const Rule& rule : missing) rules.push_back(rule_json(rule));
    if (!missing.empty()) after.set("rules", std::move(rules));
  }
  for (const char* map : {"metadata.labels", "metadata.annotations"}) {
    JsonValue merged = after.at(map);
    for (const auto& [key, value] : wanted.at(map).members()) merged.set(key, value);
    if (merged.size() != 0) after.set_at(map, std::move(merged));
  }
  if (!(after == live)) plan.operation = "update";
  plan.wanted = std::move(after);
  return plan;
}

std::string subject_text(const JsonValue& subject) {
  return fmt::format("{{Kind:{} APIGroup:{} Name:{} Namespace:{}}}", subject.get("kind").text(),
                     subject.get("apiGroup").text(), subject.get("name").text(),
                     subject.get("namespace").text());
}

Plan plan_binding(const Flags& flags, const JsonValue& live, const JsonValue& wanted) {
  Plan plan{live.is_null() ? "create" : "", wanted, {}, {}};
  const auto now = live.get("subjects").items(), then = wanted.get("subjects").items();
  auto holds = [](const std::vector<JsonValue>& list, const JsonValue& subject) {
    return std::any_of(list.begin(), list.end(), [&](const JsonValue& one) {
      return subject_text(one) == subject_text(subject);
    });
  };
  const bool removes = flags.on("remove-extra-subjects");
  JsonValue subjects = JsonValue::array();
  for (const JsonValue& subject : now) {
    if (removes && !holds(then, subject)) {
      plan.removed.push_back(subject_text(subject));
    } else {
      subjects.push_back(subject);
    }
  }
  for (const JsonValue& subject : then) {
    if (holds(now, subject)) continue;
    plan.added.push_back(subject_text(subject));
    subjects.push_back(subject);
  }
  if (live.is_null()) return plan;
  plan.wanted = live;
  if (!(live.get("roleRef") == wanted.get("roleRef"))) {
    plan.operation = "recreate";
    plan.wanted = wanted;
    return plan;
  }
  if (!plan.added.empty() || !plan.removed.empty()) {
    plan.operation = "update";
    plan.wanted.set("subjects", std::move(subjects));
  }
  return plan;
}

Outcome<JsonValue> carry_out(const Writer& writer, const Target& target, const Plan& plan) {
  if (plan.operation == "recreate" && writer.dry_run == DryRun::kNone) {
    ORCH_CHECK(writer.send("DELETE", target.path(), "", "application/json"));
  }
  if (plan.operation == "create" || plan.operation == "recreate") {
    Target made = target;
    made.object = plan.wanted;
    return writer.create(made);
  }
  if (plan.operation == "update" && writer.dry_run != DryRun::kClient) {
    return writer.send("PUT", target.path(), plan.wanted.dump(), "application/json");
  }
  return plan.wanted;
}

Outcome<int> reconcile(Session& session, std::vector<std::string>) {
  if (!session.flags.given("filename")) {
    return Err(error("must specify one of -f and -k"));
  }
  ORCH_TRY(const auto targets, session.targets({}));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-auth-reconcile"));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    const std::string& kind = target.resource->kind;
    const bool role = kind.ends_with("Role");
    if (target.resource->group != "rbac.authorization.k8s.io") return Unit{};
    auto found = session.fetch(target);
    if (!found && found.error().reason != "NotFound") return Err(found.error());
    const JsonValue live = found ? std::move(*found) : JsonValue();
    const Plan plan = role ? plan_role(session.flags, live, target.object)
                           : plan_binding(session.flags, live, target.object);
    ORCH_TRY(const JsonValue object, carry_out(writer, target, plan));
    writer.print(target, "reconciled", object);
    std::fflush(stdout);
    if (writer.output.prints_objects() || plan.operation.empty()) return Unit{};
    fmt::print(stderr, "\treconciliation required {}\n", plan.operation);
    const std::string_view what = role ? "rules" : "subjects";
    for (const auto& [title, texts] :
         {std::pair{"missing {} added:", &plan.added}, {"extra {} removed:", &plan.removed}}) {
      if (texts->empty()) continue;
      fmt::print(stderr, "\t{}\n", fmt::format(fmt::runtime(title), what));
      for (const std::string& text : *texts) fmt::print(stderr, "\t\t{}\n", text);
    }
    return Unit{};
  });
}

constexpr SubVerb kSubVerbs[] = {
    {"can-i", "", can_i}, {"whoami", "", who_am_i}, {"reconcile", "", reconcile}};

}  // namespace

Verb auth_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"list", 0, Kind::kBool, "false", "can-i: everything that is allowed"},
      {"quiet", 'q', Kind::kBool, "false", "can-i: only the exit code"},
      {"subresource", 0, Kind::kText, "", "can-i: of the resource, such as log"},
      {"no-headers", 0, Kind::kBool, "false", "can-i --list: no first line"},
      {"all-namespaces", 'A', Kind::kBool, "false", "can-i: in every namespace"},
      {"remove-extra-permissions", 0, Kind::kBool, "false", "reconcile: take other rules away"},
      {"remove-extra-subjects", 0, Kind::kBool, "false", "reconcile: take other subjects away"}};
  return {"auth", "Ask what is allowed, and to whom; reconcile RBAC objects",
          "auth (can-i VERB (TYPE | TYPE/NAME | URL) | whoami | reconcile -f FILE)",
          flags + file_flags() + output_flags() + dry_run_flags(),
          [](Session& session) { return run_sub_verb(session, "auth", kSubVerbs); }};
}

}  // namespace orch::ctl
