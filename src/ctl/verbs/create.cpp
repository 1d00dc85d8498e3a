// create: from files, from flags (generate/), and tokens of service accounts.
#include <fmt/format.h>

#include "ctl/generate/generate.h"
#include "ctl/merge.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> create_token(Session& session, const std::vector<std::string>& args) {
  ORCH_TRY(const std::string name, one_name(session, "create token", args));
  ORCH_TRY(const std::string ns, session.namespace_());
  ORCH_TRY(ApiClient * client, session.api());
  const Flags& flags = session.flags;
  JsonValue request = JsonValue::object();
  request.set("apiVersion", "authentication.k8s.io/v1");
  request.set("kind", "TokenRequest");
  request.set_at("spec.audiences", list_of(flags.list("audience")));
  if (flags.given("duration")) {
    ORCH_TRY(const int64_t millis, flags.millis("duration"));
    request.set_at("spec.expirationSeconds", millis / 1000);
  }
  if (flags.given("bound-object-kind")) {
    const std::string kind = flags.text("bound-object-kind");
    request.set_at("spec.boundObjectRef.kind", kind);
    request.set_at("spec.boundObjectRef.apiVersion", "v1");
    request.set_at("spec.boundObjectRef.name", flags.text("bound-object-name"));
    if (flags.given("bound-object-uid")) {
      request.set_at("spec.boundObjectRef.uid", flags.text("bound-object-uid"));
    }
  }
  Call call;
  call.method = "POST";
  call.target = fmt::format("/api/v1/namespaces/{}/serviceaccounts/{}/token", net::url_encode(ns),
                            net::url_encode(name));
  call.body = request.dump();
  auto answer = client->json(call);
  if (!answer) {
    Failure failure = answer.error();
    failure.message = fmt::format("error: failed to create token: {}",
                                  failure.message.substr(failure.message.find(": ") + 2));
    return Err(std::move(failure));
  }
  fmt::print("{}\n", answer->at("status.token").text());
  return 0;
}

Outcome<Unit> create_one(const Writer& writer, Target target, std::string_view failing) {
  if (writer.session.flags.on("save-config")) target.object = with_last_applied(target.object);
  auto created = writer.create(target);
  if (!created && !failing.empty()) {
    Failure failure = created.error();
    const size_t at = failure.message.find("): ");
    failure.message =
        fmt::format("error: {}{}", failing,
                    at == std::string::npos ? failure.message : failure.message.substr(at + 3));
    return Err(std::move(failure));
  }
  if (!created) return Err(created.error());
  target.name = created->at("metadata.name").text();  // generateName
  writer.print(target, "created", *created);
  return Unit{};
}

// `create WHAT NAME`: WHAT may be two words. nullptr if it is unknown.
const Generated* find_generated(std::vector<std::string>& args) {
  for (const Generated& kind : generated_kinds()) {
    const auto words = split(kind.words, ' ');
    const bool first = args[0] == words[0] || (!kind.alias.empty() && args[0] == kind.alias) ||
                       (words.size() == 2 && args[0] == "svc" && words[0] == "service");
    if (!first || (words.size() == 2 && (args.size() < 2 || args[1] != words[1]))) continue;
    args.erase(args.begin(), args.begin() + static_cast<long>(words.size()));
    return &kind;
  }
  return nullptr;
}

Outcome<int> create_generated(Session& session, std::vector<std::string> args) {
  if (session.flags.dash_at()) args.resize(*session.flags.dash_at());
  const Generated* kind = args.empty() ? nullptr : find_generated(args);
  if (kind == nullptr) {
    const bool group = !args.empty() && (args[0] == "secret" || args[0] == "service");
    if (group) {
      return Err(usage_error(
          session, "create " + args[0],
          args.size() > 1 ? fmt::format("unknown command \"{}\"", args[1]) : "a type is required"));
    }
    return Err(
        usage_error(session, "create", fmt::format("Unexpected args: [{}]", join(args, " "))));
  }
  if (kind->words == "deployment" || kind->words == "cronjob") {
    ORCH_CHECK(need_flag(session.flags, "image"));
  }
  ORCH_TRY(const std::string name, one_name(session, fmt::format("create {}", kind->words), args));
  ORCH_TRY(JsonValue object, kind->make(session, name));
  ORCH_TRY(Writer writer, Writer::of(session, "kubectl-create"));
  writer.output.keep_order();
  ORCH_TRY(Target target, session.target_of({std::move(object), ""}));
  if (!session.flags.given("namespace")) {  // only then does kubectl write it into the object
    JsonValue metadata = target.object.get("metadata");
    metadata.erase("namespace");
    target.object.set("metadata", std::move(metadata));
  }
  ORCH_CHECK(create_one(writer, std::move(target), kind->failing));
  return 0;
}

Outcome<int> run(Session& session) {
  const auto& args = session.flags.args();
  if (session.flags.given("raw")) {
    ORCH_TRY(const auto targets, session.targets({}));
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.method = "POST";
    call.target = session.flags.text("raw");
    call.body = targets.empty() ? "" : targets[0].object.dump();
    ORCH_TRY(const std::string body, client->call(call));
    fmt::print("{}", body);
    return 0;
  }
  if (session.flags.given("filename")) {
    ORCH_TRY(const auto targets, session.targets(args));
    ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-create"));
    return for_each_target(targets,
                           [&](const Target& target) { return create_one(writer, target, ""); });
  }
  if (args.empty()) return Err(error("must specify one of -f and -k"));
  if (args[0] == "token") return create_token(session, {args.begin() + 1, args.end()});
  return create_generated(session, args);
}

std::vector<Flag> generator_flags() {
  using Kind = Flag::Kind;
  return {{"image", 0, Kind::kList, "", "deployment, job, cronjob: images of the containers"},
          {"replicas", 'r', Kind::kText, "", "deployment: number of pods (default 1)"},
          {"port", 0, Kind::kText, "", "deployment: the first container's port"},
          {"from", 0, Kind::kText, "", "job: run cronjob/NAME now"},
          {"schedule", 0, Kind::kText, "", "cronjob: when, in cron's form"},
          {"restart", 0, Kind::kText, "", "cronjob: OnFailure or Never"},
          {"from-literal", 0, Kind::kList, "", "configmap, secret: KEY=VALUE"},
          {"from-file", 0, Kind::kList, "", "configmap, secret: [KEY=]FILE or a directory"},
          {"from-env-file", 0, Kind::kList, "", "configmap, secret: a file of KEY=VALUE lines"},
          {"type", 0, Kind::kText, "", "secret generic: its type"},
          {"cert", 0, Kind::kText, "", "secret tls: file with the certificate"},
          {"key", 0, Kind::kText, "", "secret tls: file with the private key"},
          {"docker-server", 0, Kind::kText, "", "secret docker-registry: the registry"},
          {"docker-username", 0, Kind::kText, "", "secret docker-registry: user"},
          {"docker-password", 0, Kind::kText, "", "secret docker-registry: password"},
          {"docker-email", 0, Kind::kText, "", "secret docker-registry: e-mail address"},
          {"verb", 0, Kind::kList, "", "role, clusterrole: allowed verbs"},
          {"resource", 0, Kind::kList, "", "role, clusterrole: TYPE[.GROUP][/SUBRESOURCE]"},
          {"resource-name", 0, Kind::kList, "", "role, clusterrole: only these objects"},
          {"non-resource-url", 0, Kind::kList, "", "clusterrole: paths"},
          {"aggregation-rule", 0, Kind::kList, "", "clusterrole: labels of roles to take in"},
          {"role", 0, Kind::kText, "", "rolebinding: the Role"},
          {"clusterrole", 0, Kind::kText, "", "bindings: the ClusterRole"},
          {"user", 0, Kind::kList, "", "bindings: users"},
          {"group", 0, Kind::kList, "", "bindings: groups"},
          {"serviceaccount", 0, Kind::kList, "", "bindings: NAMESPACE:NAME"},
          {"tcp", 0, Kind::kList, "", "service: PORT[:TARGETPORT]"},
          {"clusterip", 0, Kind::kText, "", "service clusterip: the address, or None"},
          {"node-port", 0, Kind::kText, "", "service nodeport: the port at every node"},
          {"external-name", 0, Kind::kText, "", "service externalname: the name"},
          {"rule", 0, Kind::kList, "", "ingress: HOST/PATH=SVC:PORT[,tls[=SECRET]]"},
          {"class", 0, Kind::kText, "", "ingress: its class"},
          {"default-backend", 0, Kind::kText, "", "ingress: SVC:PORT for all the rest"},
          {"annotation", 0, Kind::kList, "", "ingress: KEY=VALUE"},
          {"hard", 0, Kind::kList, "", "quota: RESOURCE=QUANTITY"},
          {"scopes", 0, Kind::kList, "", "quota: its scopes"},
          {"selector", 0, Kind::kText, "", "poddisruptionbudget: labels of the pods"},
          {"min-available", 0, Kind::kText, "", "poddisruptionbudget: number or percentage"},
          {"max-unavailable", 0, Kind::kText, "", "poddisruptionbudget: number or percentage"},
          {"value", 0, Kind::kText, "", "priorityclass: the priority"},
          {"global-default", 0, Kind::kBool, "false", "priorityclass: for pods without one"},
          {"description", 0, Kind::kText, "", "priorityclass: what it is for"},
          {"preemption-policy", 0, Kind::kText, "", "priorityclass: PreemptLowerPriority or Never"},
          {"duration", 0, Kind::kText, "", "token: how long it is good for"},
          {"audience", 0, Kind::kList, "", "token: who accepts it"},
          {"bound-object-kind", 0, Kind::kText, "", "token: Pod, Secret or Node it dies with"},
          {"bound-object-name", 0, Kind::kText, "", "token: name of that object"},
          {"bound-object-uid", 0, Kind::kText, "", "token: uid of that object"}};
}

}  // namespace

Verb create_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"save-config", 0, Kind::kBool, "false", "keep what a later apply compares with"},
      {"validate", 0, Kind::kOptionalText, "strict", "strict, warn or ignore unknown fields",
       "strict"},
      {"raw", 0, Kind::kText, "", "POST the file to this path"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {
      "create", "Create objects from files or flags",
      "create (-f FILE | WHAT NAME ...), WHAT being clusterrole, clusterrolebinding, configmap,\n"
      "  cronjob, deployment, ingress, job, namespace, poddisruptionbudget, priorityclass, "
      "quota, role,\n  rolebinding, secret (docker-registry | generic | tls), service (clusterip "
      "| externalname |\n  loadbalancer | nodeport), serviceaccount, token",
      flags + generator_flags() + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
