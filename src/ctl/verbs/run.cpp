// run: one pod out of flags, with this terminal at it if wanted.
#include <fmt/format.h>

#include "ctl/attaching.h"
#include "ctl/generate/generate.h"
#include "ctl/pods.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

JsonValue only(JsonValue item) {
  JsonValue out = JsonValue::array();
  out.push_back(std::move(item));
  return out;
}

Outcome<JsonValue> container_of(const Flags& flags, const std::string& name, bool attached) {
  JsonValue out = JsonValue::object();
  out.set("name", name);
  out.set("image", flags.text("image"));
  if (flags.given("image-pull-policy")) {
    out.set("imagePullPolicy", flags.text("image-pull-policy"));
  }
  const auto words = words_after_dash(flags);
  if (!words.empty()) out.set(flags.on("command") ? "command" : "args", list_of(words));
  JsonValue env = JsonValue::array();
  for (const std::string& pair : flags.list("env")) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Err(error(fmt::format("invalid env: {}", pair)));
    }
    JsonValue entry = JsonValue::object();
    entry.set("name", pair.substr(0, equals));
    entry.set("value", pair.substr(equals + 1));
    env.push_back(std::move(entry));
  }
  if (env.size() != 0) out.set("env", std::move(env));
  if (flags.given("port")) {
    ORCH_TRY(const int64_t number, flags.number("port"));
    JsonValue port = JsonValue::object();
    port.set("containerPort", number);
    out.set("ports", only(std::move(port)));
  }
  if (flags.on("privileged")) out.set_at("securityContext.privileged", true);
  if (flags.on("stdin")) {
    out.set("stdin", true);
    if (attached) out.set("stdinOnce", true);
  }
  if (flags.on("tty")) out.set("tty", true);
  return out;
}

Outcome<JsonValue> pod_of(const Flags& flags, const std::string& name, bool attached) {
  JsonValue out = new_object("v1", "Pod", name);
  JsonValue labels = JsonValue::object();
  labels.set("run", name);
  if (flags.given("labels")) {
    ORCH_TRY(labels, map_of(flags.comma_list("labels"), "label"));
  }
  out.set_at("metadata.labels", std::move(labels));
  if (flags.given("annotations")) {
    ORCH_TRY(JsonValue annotations, map_of(flags.list("annotations"), "annotation"));
    out.set_at("metadata.annotations", std::move(annotations));
  }
  ORCH_TRY(JsonValue container, container_of(flags, name, attached));
  out.set_at("spec.containers", only(std::move(container)));
  out.set_at("spec.dnsPolicy", "ClusterFirst");
  out.set_at("spec.restartPolicy", flags.text("restart"));
  return out;
}

JsonValue service_of(const std::string& name, const JsonValue& labels, int64_t number) {
  JsonValue out = new_object("v1", "Service", name), port = JsonValue::object();
  port.set("port", number);
  port.set("protocol", "TCP");
  port.set("targetPort", number);
  out.set_at("spec.ports", only(std::move(port)));
  out.set_at("spec.selector", labels);
  return out;
}

Outcome<int> attach_new(Session& session, const Target& target) {
  const Flags& flags = session.flags;
  ORCH_TRY(const int64_t timeout, flags.millis("pod-running-timeout"));
  ORCH_TRY(const JsonValue pod, wait_running(session, target, timeout));
  const std::string phase = pod.at("status.phase").text();
  ORCH_TRY(ApiClient * client, session.api());
  if (phase == "Succeeded" || phase == "Failed") {  // too late to attach: its log has it all
    ORCH_CHECK(client->stream(target.path("log"), "*/*", [](std::string_view bytes) {
      return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size();
    }));
  } else {
    ORCH_CHECK(attach_to(session, pod, target.name,
                         {flags.on("stdin"), flags.on("tty"), flags.on("quiet")}));
  }
  if (flags.text("restart") == "Always") return 0;
  return wait_exit_code(session, target);
}

Outcome<Unit> remove(const Writer& writer, const Target& target) {
  Call call;
  call.method = "DELETE";
  call.target = target.path();
  ORCH_CHECK(writer.client.call(call));
  if (!writer.session.flags.on("quiet")) {
    fmt::print("{} \"{}\" deleted\n", target.resource->kind_group(), target.name);
  }
  return Unit{};
}

// The target of a new object; its namespace is written into it only if -n was given.
Outcome<Target> target_of(Session& session, JsonValue object) {
  ORCH_TRY(Target out, session.target_of({std::move(object), ""}));
  if (!session.flags.given("namespace")) {
    JsonValue metadata = out.object.get("metadata");
    metadata.erase("namespace");
    out.object.set("metadata", std::move(metadata));
  }
  return out;
}

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  std::vector<std::string> args = flags.args();
  if (args.empty() || (flags.dash_at() && *flags.dash_at() == 0)) {
    return Err(usage_error(session, "run", "NAME is required for run"));
  }
  ORCH_CHECK(need_flag(flags, "image"));
  const bool attached =
      flags.given("attach") ? flags.on("attach") : flags.on("stdin") || flags.on("tty");
  ORCH_TRY(Writer writer, Writer::of(session, "kubectl-run"));
  writer.output.keep_order();
  if (attached && writer.dry_run != DryRun::kNone) {
    return Err(usage_error(session, "run",
                           "--dry-run=[server|client] can't be used with attached containers "
                           "options (--attach, --stdin, or --tty)"));
  }
  if (flags.on("tty") && !flags.on("stdin")) {
    return Err(
        usage_error(session, "run", "-i/--stdin is required for containers with -t/--tty=true"));
  }
  if (flags.on("rm") && !attached) {
    return Err(usage_error(session, "run", "--rm should only be used for attached containers"));
  }
  if (flags.on("expose") && !flags.given("port")) {
    return Err(usage_error(session, "run", "--port must be set when exposing a service"));
  }
  if (!flags.dash_at() && args.size() > 1) {  // words without "--" are the container's as well
    return Err(usage_error(session, "run", "arguments of the container belong after --"));
  }
  ORCH_TRY(JsonValue pod, pod_of(flags, args[0], attached));
  if (flags.on("expose")) {
    ORCH_TRY(const int64_t port, flags.number("port"));
    ORCH_TRY(const Target service,
             target_of(session, service_of(args[0], pod.at("metadata.labels"), port)));
    ORCH_TRY(const JsonValue created, writer.create(service));
    writer.print(service, "created", created);
    if (writer.output.kind() == Output::Kind::kYaml) fmt::print("---\n");
  }
  ORCH_TRY(const Target target, target_of(session, std::move(pod)));
  ORCH_TRY(const JsonValue created, writer.create(target));
  if (attached) {
    auto code = attach_new(session, target);
    if (flags.on("rm")) ORCH_CHECK(remove(writer, target));
    return code;
  }
  writer.print(target, "created", created);
  return 0;
}

}  // namespace

Verb run_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"image", 0, Kind::kText, "", "the container's image"},
      {"image-pull-policy", 0, Kind::kText, "", "Always, IfNotPresent or Never"},
      {"env", 0, Kind::kList, "", "NAME=VALUE for the container"},
      {"port", 0, Kind::kText, "", "the port that the container listens on"},
      {"labels", 'l', Kind::kList, "", "the pod's labels; default run=NAME"},
      {"annotations", 0, Kind::kList, "", "the pod's annotations"},
      {"restart", 0, Kind::kText, "Always", "Always, OnFailure or Never"},
      {"command", 0, Kind::kBool, "false", "words after -- are the command, not its arguments"},
      {"privileged", 0, Kind::kBool, "false", "run the container privileged"},
      {"expose", 0, Kind::kBool, "false", "make a Service for --port too"},
      {"stdin", 'i', Kind::kBool, "false", "send standard input to the container"},
      {"tty", 't', Kind::kBool, "false", "give the container a terminal"},
      {"attach", 0, Kind::kBool, "false", "wait for the pod and attach to it"},
      {"rm", 0, Kind::kBool, "false", "delete the pod at the end"},
      {"quiet", 'q', Kind::kBool, "false", "only the container's own output"},
      {"pod-running-timeout", 0, Kind::kText, "1m0s", "how long to wait for the pod"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"run", "Run an image in a pod", "run NAME --image=IMAGE [-it --rm] [-- ARGS...]",
          flags + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
