#include "sim/workload.h"

#include <fmt/format.h>

#include "orch/base/json_scan.h"
#include "sim/world.h"

namespace orch::sim {
namespace {

constexpr const char* kDefault = "default";

std::string pod_template(const std::string& app, int image, int milli_cpu,
                         const std::string& more = "") {
  return fmt::format(
      R"("template":{{"metadata":{{"labels":{{"app":"{}"}}}},"spec":{{{}"containers":[{{"name":"c",)"
      R"("image":"v{}","resources":{{"requests":{{"cpu":"{}m","memory":"64Mi"}}}}}}]}}}})",
      app, more, image, milli_cpu);
}

std::string meta(const std::string& name) {
  return fmt::format(R"("metadata":{{"name":"{}"}})", name);
}

}  // namespace

void Workload::say(const std::string& verb, const std::string& resource, const std::string& name,
                   const std::string& body, const std::string& sub) {
  (void)world_.send(verb, resource, kDefault, name, body, sub);
}

std::vector<std::string> Workload::names(const std::string& resource, const std::string& ns) {
  std::vector<std::string> out;
  auto list = world_.send("list", resource, ns, "");
  if (!list) return out;
  const auto items = json_member(*list, "items");
  if (!items) return out;
  json_elements(*items, [&](std::string_view item) {
    if (auto name = json_string_at(item, "metadata.name")) out.push_back(*name);
    return true;
  });
  return out;
}

std::string Workload::propagation() {
  static constexpr const char* kPolicies[] = {"Background", "Foreground", "Orphan"};
  return fmt::format(R"({{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"{}"}})",
                     kPolicies[world_.choose(3)]);
}

void Workload::begin() {
  say("create", "priorityclasses", "", R"({"metadata":{"name":"high"},"value":1000})");
  say("create", "priorityclasses", "", R"({"metadata":{"name":"low"},"value":-10})");
  for (const char* app : {"d0", "s0"}) {
    say("create", "services", "",
        fmt::format(R"({{{},"spec":{{"selector":{{"app":"{}"}},"ports":[{{"port":80}}]}}}})",
                    meta(app), app));
  }
  for (int i = 0; i < 3; ++i) deployment();
  stateful_set();
  daemon_set();
}

void Workload::step() {
  switch (world_.choose(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return deployment();
    case 4:
    case 5:
    case 6:
      return stateful_set();
    case 7:
      return daemon_set();
    case 8:
    case 9:
    case 10:
      return job();
    case 11:
      return cron_job();
    case 12:
      return budget();
    case 13:
      return pods();
    case 14:
      return node();
    default:
      return name_space();
  }
}

void Workload::deployment() {
  const std::string name = fmt::format("d{}", world_.choose(3));
  const auto image = static_cast<int>(1 + world_.choose(3));
  switch (world_.choose(8)) {
    case 0:
    case 1: {
      const bool recreate = world_.choose(4) == 0;
      const bool high = world_.choose(3) == 0;
      say("create", "deployments", "",
          fmt::format(
              R"({{{},"spec":{{"replicas":{},"revisionHistoryLimit":2,)"
              R"("selector":{{"matchLabels":{{"app":"{}"}}}},"strategy":{{"type":"{}"}},{}}}}})",
              meta(name), world_.choose(7), name, recreate ? "Recreate" : "RollingUpdate",
              pod_template(name, image, static_cast<int>(50 + 150 * world_.choose(4)),
                           high ? R"("priorityClassName":"high",)" : "")));
      return;
    }
    case 2:
      return say("patch", "deployments", name,
                 fmt::format(R"({{"spec":{{"replicas":{}}}}})", world_.choose(9)));
    case 3:
    case 4:
      // An update, or a roll back to one of the earlier images.
      return say("patch", "deployments", name,
                 fmt::format(R"({{"spec":{{{}}}}})", pod_template(name, image, 100)));
    case 5:
      return say("patch", "deployments", name,
                 fmt::format(R"({{"spec":{{"paused":{}}}}})", world_.choose(2) == 0));
    case 6:
      return say("delete", "deployments", name, propagation());
    default:
      // Fills the cluster, so that others have to push it aside.
      say("create", "deployments", "",
          fmt::format(
              R"({{{},"spec":{{"replicas":{},"selector":{{"matchLabels":{{"app":"filler"}}}},{}}}}})",
              meta("filler"), 4 + world_.choose(20),
              pod_template("filler", 1, 1000, R"("priorityClassName":"low",)")));
  }
}

void Workload::stateful_set() {
  const std::string name = fmt::format("s{}", world_.choose(2));
  const auto image = static_cast<int>(1 + world_.choose(3));
  switch (world_.choose(7)) {
    case 0:
    case 1: {
      const bool parallel = world_.choose(3) == 0;
      return say(
          "create", "statefulsets", "",
          fmt::format(
              R"({{{},"spec":{{"replicas":{},"serviceName":"{}",)"
              R"("selector":{{"matchLabels":{{"app":"{}"}}}},"podManagementPolicy":"{}",{}}}}})",
              meta(name), 1 + world_.choose(4), name, name, parallel ? "Parallel" : "OrderedReady",
              pod_template(name, image, 200)));
    }
    case 2:
    case 3:
      return say("patch", "statefulsets", name,
                 fmt::format(R"({{"spec":{{"replicas":{}}}}})", world_.choose(5)));
    case 4:
      return say("patch", "statefulsets", name,
                 fmt::format(R"({{"spec":{{{}}}}})", pod_template(name, image, 200)));
    case 5:
      return say("delete", "pods", fmt::format("{}-{}", name, world_.choose(3)));
    default:
      return say("delete", "statefulsets", name, propagation());
  }
}

void Workload::daemon_set() {
  const auto image = static_cast<int>(1 + world_.choose(3));
  switch (world_.choose(4)) {
    case 0:
      return say("delete", "daemonsets", "ds", propagation());
    case 1:
      return say("patch", "daemonsets", "ds",
                 fmt::format(R"({{"spec":{{{}}}}})", pod_template("ds", image, 50)));
    default:
      say("create", "daemonsets", "",
          fmt::format(R"({{{},"spec":{{"selector":{{"matchLabels":{{"app":"ds"}}}},{}}}}})",
                      meta("ds"), pod_template("ds", image, 50)));
  }
}

void Workload::job() {
  const auto jobs = names("jobs");
  if (!jobs.empty() && world_.choose(3) == 0) {
    const std::string& name = jobs[world_.choose(jobs.size())];
    switch (world_.choose(3)) {
      case 0:
        return say("delete", "jobs", name, propagation());
      case 1:
        return say("patch", "jobs", name,
                   fmt::format(R"({{"spec":{{"suspend":{}}}}})", world_.choose(2) == 0));
      default:
        return say("patch", "jobs", name,
                   fmt::format(R"({{"spec":{{"parallelism":{}}}}})", 1 + world_.choose(4)));
    }
  }
  const std::string name = fmt::format("j{}", ++serial_);
  const bool indexed = world_.choose(2) == 0;
  const bool never = world_.choose(2) == 0;
  const std::string ttl = world_.choose(3) == 0 ? R"("ttlSecondsAfterFinished":60,)" : "";
  say("create", "jobs", "",
      fmt::format(
          R"({{{},"spec":{{"completions":{},"parallelism":{},"backoffLimit":{},{})"
          R"("completionMode":"{}",{}}}}})",
          meta(name), 1 + world_.choose(5), 1 + world_.choose(3), world_.choose(6), ttl,
          indexed ? "Indexed" : "NonIndexed",
          pod_template(name, 1, 100,
                       fmt::format(R"("restartPolicy":"{}",)", never ? "Never" : "OnFailure"))));
}

void Workload::cron_job() {
  if (world_.choose(3) == 0) return say("delete", "cronjobs", "cj", propagation());
  static constexpr const char* kPolicies[] = {"Allow", "Forbid", "Replace"};
  say("create", "cronjobs", "",
      fmt::format(R"({{{},"spec":{{"schedule":"*/1 * * * *","concurrencyPolicy":"{}",)"
                  R"("jobTemplate":{{"spec":{{{}}}}}}}}})",
                  meta("cj"), kPolicies[world_.choose(3)],
                  pod_template("cj", 1, 50, R"("restartPolicy":"Never",)")));
}

void Workload::budget() {
  const std::string name = fmt::format("d{}", world_.choose(3));
  if (world_.choose(3) == 0) return say("delete", "poddisruptionbudgets", name);
  say("create", "poddisruptionbudgets", "",
      fmt::format(
          R"({{{},"spec":{{"minAvailable":"50%","selector":{{"matchLabels":{{"app":"{}"}}}}}}}})",
          meta(name), name));
}

// Evicts or deletes some.
void Workload::pods() {
  const auto all = names("pods");
  for (size_t i = 0; i < 3 && !all.empty(); ++i) {
    const std::string& name = all[world_.choose(all.size())];
    if (world_.choose(3) == 0) {
      say("delete", "pods", name);
    } else {
      say("create", "pods", name,
          fmt::format(R"({{"apiVersion":"policy/v1","kind":"Eviction",{}}})", meta(name)),
          "eviction");
    }
  }
}

void Workload::node() {
  const auto all = world_.nodes->names();
  const std::string& name = all[world_.choose(all.size())];
  switch (world_.choose(4)) {
    case 0:
      return say("patch", "nodes", name, R"({"spec":{"unschedulable":true}})");
    case 1:
      return say("patch", "nodes", name, R"({"spec":{"unschedulable":null}})");
    case 2:
      return say("patch", "nodes", name,
                 fmt::format(R"({{"spec":{{"taints":[{{"key":"t","value":"v","effect":"{}"}}]}}}})",
                             world_.choose(2) == 0 ? "NoSchedule" : "NoExecute"));
    default:
      return say("patch", "nodes", name,
                 R"({"spec":{"taints":[{"$patch":"delete","key":"t","effect":"NoExecute"}]}})");
  }
}

void Workload::name_space() {
  const std::string name = "extra";
  if (world_.choose(2) == 0) return say("delete", "namespaces", name);
  say("create", "namespaces", "", fmt::format("{{{}}}", meta(name)));
  (void)world_.send(
      "create", "deployments", name, "",
      fmt::format(R"({{{},"spec":{{"replicas":2,"selector":{{"matchLabels":{{"app":"e"}}}},{}}}}})",
                  meta("e"), pod_template("e", 1, 100)));
}

void Workload::end() {
  say("delete", "deployments", "filler",
      R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"})");
  for (const auto& name : names("cronjobs")) {
    say("patch", "cronjobs", name, R"({"spec":{"suspend":true}})");
  }
  for (const auto& name : names("jobs")) {
    say("patch", "jobs", name, R"({"spec":{"suspend":false}})");
  }
  for (const auto& name : names("deployments")) {
    say("patch", "deployments", name, R"({"spec":{"paused":false}})");
  }
  for (const auto& name : names("nodes")) {
    say("patch", "nodes", name,
        R"({"spec":{"unschedulable":null,"taints":[{"$patch":"delete","key":"t"}]}})");
  }
  world_.journal.add("the users are done");
}

}  // namespace orch::sim
