// cordon, uncordon and drain.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "ctl/write.h"
#include "orch/api/value.h"
#include "orch/base/clock.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kRetryEviction{5};  // after a disruption budget said no

constexpr char kDaemonSetFatal[] = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
constexpr char kLocalStorageFatal[] =
    "Pods with local storage (use --delete-emptydir-data to override)";
// kubectl says "cannot delete" twice here.
constexpr char kUnmanagedFatal[] =
    "cannot delete Pods that declare no controller (use --force to override)";

struct Node {
  Target target;
  JsonValue object;
};

Outcome<std::vector<Node>> nodes_of(Session& session, std::string_view verb) {
  const Flags& flags = session.flags;
  std::vector<std::string> args = flags.args();
  const bool selects = flags.given("selector");
  if (args.empty() && !selects) {
    return Err(usage_error(session, verb, fmt::format("USAGE: {} NODE [flags]", verb)));
  }
  if (!args.empty() && selects) {
    return Err(
        usage_error(session, verb, "cannot specify both a node name and a --selector option"));
  }
  if (args.empty() || args[0].find('/') == std::string::npos) args.insert(args.begin(), "nodes");
  ORCH_TRY(auto targets, session.targets(args));
  std::vector<Node> out;
  for (Target& target : targets) {
    ORCH_TRY(JsonValue object, session.fetch(target));
    out.push_back({std::move(target), std::move(object)});
  }
  return out;
}

Outcome<Unit> cordon(const Writer& writer, const Node& node, bool wanted) {
  const std::string_view word = wanted ? "cordoned" : "uncordoned";
  const JsonValue before = node.object;
  if (before.at("spec.unschedulable").boolean() == wanted) {
    writer.print(node.target, fmt::format("already {}", word), before);
    return Unit{};
  }
  JsonValue after = before, spec = before.get("spec");
  if (wanted) {
    spec.set("unschedulable", true);
  } else {
    spec.erase("unschedulable");
  }
  after.set("spec", std::move(spec));
  ORCH_TRY(after, writer.change(node.target, before, after));
  writer.print(node.target, word, after);
  return Unit{};
}

Outcome<int> run_cordon(Session& session, std::string_view verb, bool wanted) {
  ORCH_TRY(const auto nodes, nodes_of(session, verb));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-" + std::string(verb)));
  int exit_code = 0;
  for (const Node& node : nodes) {
    if (auto done = cordon(writer, node, wanted); !done) {
      print_failure(done.error());
      exit_code = 1;
    }
  }
  return exit_code;
}

std::string pod_name(const JsonValue& pod) {
  return pod.at("metadata.namespace").text() + "/" + pod.at("metadata.name").text();
}

std::string pod_path(const JsonValue& pod) {
  return fmt::format("/api/v1/namespaces/{}/pods/{}",
                     net::url_encode(pod.at("metadata.namespace").text()),
                     net::url_encode(pod.at("metadata.name").text()));
}

struct Doomed {
  std::vector<JsonValue> pods;
  std::map<std::string, std::vector<std::string>> warnings, errors;  // by text: names of pods
};

// Does the pod go? Tells why not, or what is odd about it, in `out`.
bool is_doomed(const Flags& flags, ApiClient& client, const JsonValue& pod, Doomed& out) {
  const std::string phase = pod.at("status.phase").text();
  const bool finished = phase == "Succeeded" || phase == "Failed";
  const std::string name = pod_name(pod);
  if (const auto gone = api::Time::parse(pod.at("metadata.deletionTimestamp").text());
      gone && *gone) {
    const int64_t skip_after = flags.number("skip-wait-for-delete-timeout").value_or(0);
    const auto since =
        std::chrono::duration_cast<Seconds>(system_clock().now() - gone->wall()).count();
    if (skip_after > 0 && since > skip_after) return false;
  }
  JsonValue controller;
  for (const JsonValue& owner : pod.at("metadata.ownerReferences").items()) {
    if (owner.get("controller").boolean()) controller = owner;
  }
  const bool force = flags.on("force");
  if (controller.get("kind").text() == "DaemonSet" && !finished) {
    Call call;
    call.target = fmt::format("/apis/apps/v1/namespaces/{}/daemonsets/{}",
                              net::url_encode(pod.at("metadata.namespace").text()),
                              net::url_encode(controller.get("name").text()));
    auto set = client.json(call);
    if (!set && set.error().reason == "NotFound" && force) return true;
    if (!set) {
      out.errors[set.error().message].push_back(name);
      return false;
    }
    const bool ignore = flags.on("ignore-daemonsets");
    (ignore ? out.warnings["ignoring DaemonSet-managed Pods"] : out.errors[kDaemonSetFatal])
        .push_back(name);
    return false;
  }
  if (pod.at("metadata.annotations").has("kubernetes.io/config.mirror")) return false;
  const auto volumes = pod.at("spec.volumes").items();
  const bool local = std::any_of(volumes.begin(), volumes.end(),
                                 [](const JsonValue& v) { return v.has("emptyDir"); });
  if (local && !finished && !flags.on("delete-emptydir-data")) {
    out.errors[kLocalStorageFatal].push_back(name);
    return false;
  }
  if (controller.is_null() && !finished) {
    if (!force) {
      out.errors[kUnmanagedFatal].push_back(name);
      return false;
    }
    out.warnings["deleting Pods that declare no controller"].push_back(name);
  }
  return true;
}

Outcome<Doomed> doomed_of(const Writer& writer, const Node& node) {
  Call call;
  call.target =
      "/api/v1/pods" + query_text({{"fieldSelector", "spec.nodeName=" + node.target.name},
                                   {"labelSelector", writer.session.flags.text("pod-selector")}});
  ORCH_TRY(const JsonValue list, writer.client.json(call));
  Doomed out;
  for (JsonValue& pod : list.get("items").items()) {
    if (is_doomed(writer.session.flags, writer.client, pod, out))
      out.pods.push_back(std::move(pod));
  }
  return out;
}

struct Leaving {
  JsonValue pod;
  bool asked = false;
  Clock::time_point next{};
};

Outcome<Unit> ask(const Writer& writer, const JsonValue& pod, int64_t grace) {
  const bool evicts = !writer.session.flags.on("disable-eviction");
  JsonValue options = JsonValue::object(), body = options;
  if (grace >= 0) options.set("gracePeriodSeconds", grace);
  if (evicts) {
    body = new_object("policy/v1", "Eviction", pod.at("metadata.name").text());
    body.set_at("metadata.namespace", pod.at("metadata.namespace").text());
    if (grace >= 0) body.set("deleteOptions", options);
  } else {
    body = options;
  }
  auto done = writer.send(evicts ? "POST" : "DELETE", pod_path(pod) + (evicts ? "/eviction" : ""),
                          body.dump(), "application/json");
  if (!done && done.error().reason != "NotFound") return Err(done.error());
  return Unit{};
}

// Evicts all and waits until they are gone.
Outcome<Unit> evict(const Writer& writer, const std::vector<JsonValue>& pods) {
  const Flags& flags = writer.session.flags;
  ORCH_TRY(const int64_t grace, flags.number("grace-period"));
  ORCH_TRY(const int64_t timeout, flags.millis("timeout"));
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout);
  const bool evicts = !flags.on("disable-eviction");
  std::vector<Leaving> leaving;
  for (const JsonValue& pod : pods) leaving.push_back({pod});
  std::vector<std::string> failures;
  while (!leaving.empty()) {
    for (size_t i = 0; i < leaving.size();) {
      Leaving& one = leaving[i];
      const std::string name = one.pod.at("metadata.name").text();
      const std::string ns = one.pod.at("metadata.namespace").text();
      bool gone = false;
      if (!one.asked && Clock::now() >= one.next) {
        fmt::print("{} pod {}{}\n", evicts ? "evicting" : "deleting", pod_name(one.pod),
                   dry_run_suffix(writer.dry_run));
        auto asked = ask(writer, one.pod, grace);
        one.asked = asked.has_value();
        if (!asked && asked.error().reason == "TooManyRequests") {
          std::string why = asked.error().message;
          why.erase(0, why.find("): ") + 3);
          std::fflush(stdout);
          fmt::print(stderr,
                     "error when evicting pods/\"{}\" -n \"{}\" (will retry after 5s): {}\n", name,
                     ns, why);
          one.next = Clock::now() + kRetryEviction;
        } else if (!asked) {
          failures.push_back(fmt::format("error when evicting pods/\"{}\" -n \"{}\": {}", name, ns,
                                         asked.error().message));
          gone = true;
        } else if (writer.dry_run != DryRun::kNone) {
          gone = true;
        }
      } else if (one.asked) {
        Call call;
        call.target = pod_path(one.pod);
        auto object = writer.client.json(call);
        gone = object ? object->at("metadata.uid").text() != one.pod.at("metadata.uid").text()
                      : object.error().reason == "NotFound";
        if (!object && !gone) return Err(object.error());
        if (gone) fmt::print("pod/{} {}\n", name, evicts ? "evicted" : "deleted");
      }
      if (!gone && timeout > 0 && Clock::now() > deadline) {
        failures.push_back(
            one.asked
                ? fmt::format("error when waiting for pod \"{}\" in namespace \"{}\" to terminate: "
                              "global timeout reached: {}",
                              name, ns, flags.text("timeout"))
                : fmt::format("error when evicting pods/\"{}\" -n \"{}\": global timeout reached: "
                              "{}",
                              name, ns, flags.text("timeout")));
        gone = true;
      }
      if (gone) {
        leaving.erase(leaving.begin() + static_cast<long>(i));
      } else {
        ++i;
      }
    }
    std::fflush(stdout);
    if (!leaving.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  if (failures.empty()) return Unit{};
  return Err(Failure{join(failures, "\n"), 1, ""});
}

Outcome<Unit> drain_one(const Writer& writer, const Node& node) {
  ORCH_TRY(const Doomed doomed, doomed_of(writer, node));
  if (!doomed.errors.empty()) {
    std::vector<std::string> texts;
    for (const auto& [text, pods] : doomed.errors) {
      texts.push_back(fmt::format("cannot delete {}: {}", text, join(pods, ", ")));
    }
    return Err(Failure{join(texts, "\n"), 1, ""});
  }
  std::vector<std::string> warnings;
  for (const auto& [text, pods] : doomed.warnings) {
    warnings.push_back(fmt::format("{}: {}", text, join(pods, ", ")));
  }
  if (!warnings.empty()) {
    std::fflush(stdout);
    fmt::print(stderr, "Warning: {}\n", join(warnings, "; "));
  }
  ORCH_CHECK(evict(writer, doomed.pods));
  writer.print(node.target, "drained", node.object);
  return Unit{};
}

Outcome<int> run_drain(Session& session) {
  ORCH_TRY(const auto nodes, nodes_of(session, "drain"));
  ORCH_TRY(const Writer writer, Writer::of(session, "kubectl-drain"));
  for (const Node& node : nodes) ORCH_CHECK(cordon(writer, node, true));
  std::vector<std::string> pending, failures;
  for (const Node& node : nodes) {
    auto done = drain_one(writer, node);
    if (done) continue;
    auto lines = split(done.error().message, '\n');
    std::fflush(stdout);
    fmt::print(
        stderr, "error: unable to drain node \"{}\" due to error: {}, continuing command...\n",
        node.target.name, lines.size() == 1 ? lines[0] : fmt::format("[{}]", join(lines, ", ")));
    pending.push_back(node.target.name);
    failures.insert(failures.end(), lines.begin(), lines.end());
  }
  if (pending.empty()) return 0;
  fmt::print(stderr, "There are pending nodes to be drained:\n");
  for (const std::string& name : pending) fmt::print(stderr, " {}\n", name);
  return Err(Failure{(failures.size() == 1 ? "error: " : "") + join(failures, "\n"), 1, ""});
}

std::vector<Flag> node_flags() {
  return std::vector<Flag>{{"selector", 'l', Flag::Kind::kText, "", "nodes with these labels"}} +
         dry_run_flags();
}

}  // namespace

Verb cordon_verb() {
  return {"cordon", "Keep new pods off a node", "cordon (NODE... | -l SELECTOR)", node_flags(),
          [](Session& session) { return run_cordon(session, "cordon", true); }};
}

Verb uncordon_verb() {
  return {"uncordon", "Let new pods come to a node again", "uncordon (NODE... | -l SELECTOR)",
          node_flags(), [](Session& session) { return run_cordon(session, "uncordon", false); }};
}

Verb drain_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"force", 0, Kind::kBool, "false", "also pods that no controller makes anew"},
      {"ignore-daemonsets", 0, Kind::kBool, "false", "leave the pods of DaemonSets where they are"},
      {"delete-emptydir-data", 0, Kind::kBool, "false", "also pods with emptyDir volumes"},
      {"grace-period", 0, Kind::kText, "-1", "seconds to end in; -1 = the pod's own"},
      {"timeout", 0, Kind::kText, "0s", "how long to wait, 0 = without limit"},
      {"pod-selector", 0, Kind::kText, "", "only pods with these labels"},
      {"disable-eviction", 0, Kind::kBool, "false", "delete: no disruption budget is asked"},
      {"skip-wait-for-delete-timeout", 0, Kind::kText, "0",
       "seconds after which a pod that is being deleted is not waited for"}};
  return {"drain", "Empty a node for maintenance", "drain (NODE... | -l SELECTOR)",
          flags + node_flags(), run_drain};
}

}  // namespace orch::ctl
