// describe: kinds that make pods, and what watches over them.
#include <fmt/format.h>

#include <array>

#include "ctl/describe.h"
#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

std::string or_text(const JsonValue& value, std::string_view nothing) {
  const std::string text = value.text();
  return text.empty() ? std::string(nothing) : text;
}

std::string created(const JsonValue& object) {
  return fmt::format("CreationTimestamp:\t{}\n",
                     time_text(object.at("metadata.creationTimestamp")));
}

std::string pods_status(const Described& what) {
  std::array<int, 4> counts{};
  for (const JsonValue& pod : what.pods) {
    const std::string phase = pod.at("status.phase").text();
    const size_t at = phase == "Running"     ? 0
                      : phase == "Pending"   ? 1
                      : phase == "Succeeded" ? 2
                                             : 3;
    ++counts[at];
  }
  return fmt::format("Pods Status:\t{} Running / {} Waiting / {} Succeeded / {} Failed\n",
                     counts[0], counts[1], counts[2], counts[3]);
}

std::string conditions(const JsonValue& list, bool message) {
  if (list.size() == 0) return "";
  std::string out = message ? "Conditions:\n  Type\tStatus\tReason\tMessage\n"
                              "  ----\t------\t------\t-------\n"
                            : "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------\n";
  for (const JsonValue& one : list.items()) {
    out += fmt::format("  {}\t{}\t{}", one.get("type").text() + (message ? "" : " "),
                       one.get("status").text(), one.get("reason").text());
    out += message ? fmt::format("\t{}\n", one.get("message").text()) : "\n";
  }
  return out;
}

std::string replica_set(const Described& what) {
  const JsonValue& object = what.object;
  std::string out = describe_head(object, true);
  out += fmt::format("Selector:\t{}\n", describe_selector(object.at("spec.selector")));
  out += describe_labels(object) + describe_controller(object);
  out += fmt::format("Replicas:\t{} current / {} desired\n", object.at("status.replicas").number(),
                     object.at("spec.replicas").number());
  out += pods_status(what) + describe_template(object.at("spec.template"));
  return out + conditions(object.at("status.conditions"), false) + describe_events(what);
}

std::string daemon_set(const Described& what) {
  const JsonValue &object = what.object, status = object.get("status");
  std::string out = fmt::format("Name:\t{}\n", object.at("metadata.name").text());
  out += fmt::format("Selector:\t{}\n", describe_selector(object.at("spec.selector")));
  out += fmt::format("Node-Selector:\t{}\n",
                     describe_selector(object.at("spec.template.spec.nodeSelector")));
  out += describe_labels(object);
  for (const auto& [title, key] :
       {std::pair{"Desired Number of Nodes Scheduled", "desiredNumberScheduled"},
        {"Current Number of Nodes Scheduled", "currentNumberScheduled"},
        {"Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"},
        {"Number of Nodes Scheduled with Available Pods", "numberAvailable"},
        {"Number of Nodes Misscheduled", "numberMisscheduled"}}) {
    out += fmt::format("{}: {}\n", title, status.get(key).number());
  }
  return out + pods_status(what) + describe_template(object.at("spec.template")) +
         describe_events(what);
}

std::string claims(const JsonValue& templates) {
  if (templates.size() == 0) return "Volume Claims:\t<none>\n";
  std::string out = "Volume Claims:\n";
  for (const JsonValue& claim : templates.items()) {
    std::vector<std::string> modes;
    for (const JsonValue& mode : claim.at("spec.accessModes").items()) modes.push_back(mode.text());
    out += fmt::format("  Name:\t{}\n  StorageClass:\t{}\n", claim.at("metadata.name").text(),
                       claim.at("spec.storageClassName").text());
    out += describe_map("  Labels", claim.at("metadata.labels"), "=");
    out += describe_map("  Annotations", claim.at("metadata.annotations"), ": ");
    out += fmt::format("  Capacity:\t{}\n  Access Modes:\t[{}]\n",
                       or_text(claim.at("spec.resources.requests.storage"), "<default>"),
                       join(modes, " "));
  }
  return out;
}

std::string stateful_set(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec");
  std::string out = describe_head(object, true) + created(object);
  out += fmt::format("Selector:\t{}\n", describe_selector(spec.get("selector")));
  out += describe_labels(object);
  out += fmt::format("Replicas:\t{} desired | {} total\n", spec.get("replicas").number(),
                     object.at("status.replicas").number());
  out += fmt::format("Update Strategy:\t{}\n", spec.at("updateStrategy.type").text());
  if (const JsonValue rolling = spec.at("updateStrategy.rollingUpdate"); !rolling.is_null()) {
    if (rolling.has("partition")) {
      out += fmt::format("  Partition:\t{}\n", rolling.get("partition").number());
    }
    if (rolling.has("maxUnavailable")) {
      out += fmt::format("  MaxUnavailable:\t{}\n", rolling.get("maxUnavailable").text());
    }
  }
  return out + pods_status(what) + describe_template(spec.get("template")) +
         claims(spec.get("volumeClaimTemplates")) + describe_events(what);
}

std::string job(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"), status = object.get("status");
  std::string out = describe_head(object, true);
  out += fmt::format("Selector:\t{}\n", describe_selector(spec.get("selector")));
  out += describe_labels(object) + describe_controller(object);
  out += fmt::format("Parallelism:\t{}\nCompletions:\t{}\n",
                     or_text(spec.get("parallelism"), "<unset>"),
                     or_text(spec.get("completions"), "<unset>"));
  if (spec.has("completionMode")) {
    out += fmt::format("Completion Mode:\t{}\n", spec.get("completionMode").text());
  }
  if (spec.has("suspend")) out += fmt::format("Suspend:\t{}\n", spec.get("suspend").text());
  if (spec.has("backoffLimit")) {
    out += fmt::format("Backoff Limit:\t{}\n", spec.get("backoffLimit").number());
  }
  if (spec.has("ttlSecondsAfterFinished")) {
    out += fmt::format("TTL Seconds After Finished:\t{}\n",
                       spec.get("ttlSecondsAfterFinished").number());
  }
  for (const auto& [title, key] :
       {std::pair{"Start Time", "startTime"}, {"Completed At", "completionTime"}}) {
    if (status.has(key)) out += fmt::format("{}:\t{}\n", title, time_text(status.get(key)));
  }
  if (status.has("startTime") && status.has("completionTime")) {
    const auto from = api::Time::parse(status.get("startTime").text());
    const auto to = api::Time::parse(status.get("completionTime").text());
    if (from && to) {
      out += fmt::format("Duration:\t{}\n", age_of(from->str(), to->wall()));
    }
  }
  if (spec.has("activeDeadlineSeconds")) {
    out +=
        fmt::format("Active Deadline Seconds:\t{}s\n", spec.get("activeDeadlineSeconds").number());
  }
  const std::string ready =
      status.has("ready") ? fmt::format(" ({} Ready)", status.get("ready").number()) : "";
  out += fmt::format("Pods Statuses:\t{} Active{} / {} Succeeded / {} Failed\n",
                     status.get("active").number(), ready, status.get("succeeded").number(),
                     status.get("failed").number());
  if (spec.get("completionMode").text() == "Indexed") {
    out +=
        fmt::format("Completed Indexes:\t{}\n", or_text(status.get("completedIndexes"), "<none>"));
  }
  return out + describe_template(spec.get("template")) + describe_events(what);
}

std::string cron_job(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"),
                  inner = spec.at("jobTemplate.spec");
  std::string out = describe_head(object, true) + describe_labels(object);
  out += fmt::format("Schedule:\t{}\nConcurrency Policy:\t{}\nSuspend:\t{}\n",
                     spec.get("schedule").text(), spec.get("concurrencyPolicy").text(),
                     !spec.has("suspend")            ? "<unset>"
                     : spec.get("suspend").boolean() ? "True"
                                                     : "False");
  for (const auto& [title, key] :
       {std::pair{"Successful Job History Limit", "successfulJobsHistoryLimit"},
        {"Failed Job History Limit", "failedJobsHistoryLimit"}}) {
    out += fmt::format("{}:\t{}\n", title, or_text(spec.get(key), "<unset>"));
  }
  out += fmt::format("Starting Deadline Seconds:\t{}\n",
                     spec.has("startingDeadlineSeconds")
                         ? spec.get("startingDeadlineSeconds").text() + "s"
                         : "<unset>");
  out += fmt::format("Selector:\t{}\n",
                     inner.has("selector") ? describe_selector(inner.get("selector")) : "<unset>");
  out += fmt::format("Parallelism:\t{}\nCompletions:\t{}\n",
                     or_text(inner.get("parallelism"), "<unset>"),
                     or_text(inner.get("completions"), "<unset>"));
  if (inner.has("activeDeadlineSeconds")) {
    out +=
        fmt::format("Active Deadline Seconds:\t{}s\n", inner.get("activeDeadlineSeconds").number());
  }
  out += describe_template(inner.get("template"));
  out +=
      fmt::format("Last Schedule Time:\t{}\n", object.at("status").has("lastScheduleTime")
                                                   ? time_text(object.at("status.lastScheduleTime"))
                                                   : "<unset>");
  std::vector<std::string> active;
  for (const JsonValue& one : object.at("status.active").items()) {
    active.push_back(one.get("name").text());
  }
  out += fmt::format("Active Jobs:\t{}\n", active.empty() ? "<none>" : join(active, ", "));
  return out + describe_events(what);
}

// "80%" and "<unknown>" of a resource metric.
std::string metric_text(const JsonValue& spec, const JsonValue& status) {
  const JsonValue target = spec.get("target"), now = status.get("current");
  if (target.has("averageUtilization")) {
    const std::string current =
        now.has("averageUtilization")
            ? fmt::format("{}% ({})", now.get("averageUtilization").number(),
                          now.get("averageValue").text())
            : "<unknown>";
    return fmt::format("{} / {}%", current, target.get("averageUtilization").number());
  }
  const char* key = target.has("averageValue") ? "averageValue" : "value";
  return fmt::format("{} / {}", or_text(now.get(key), "<unknown>"), target.get(key).text());
}

std::string autoscaler(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"), status = object.get("status");
  std::string out = describe_head(object, true) + describe_labels(object) + created(object);
  out += fmt::format("Reference:\t{}/{}\nMetrics:\t( current / target )\n",
                     spec.at("scaleTargetRef.kind").text(), spec.at("scaleTargetRef.name").text());
  const auto found = status.get("currentMetrics").items();
  size_t i = 0;
  for (const JsonValue& metric : spec.get("metrics").items()) {
    const JsonValue now = i < found.size() ? found[i] : JsonValue();
    ++i;
    const std::string type = metric.get("type").text();
    if (type == "Resource") {
      const JsonValue source = metric.get("resource");
      const bool percent = source.get("target").has("averageUtilization");
      out += fmt::format("  resource {} on pods{}:\t{}\n", source.get("name").text(),
                         percent ? "  (as a percentage of request)" : "",
                         metric_text(source, now.get("resource")));
    } else if (type == "Pods") {
      out += fmt::format("  \"{}\" on pods:\t{}\n", metric.at("pods.metric.name").text(),
                         metric_text(metric.get("pods"), now.get("pods")));
    } else if (type == "Object") {
      const JsonValue source = metric.get("object");
      out += fmt::format("  \"{}\" on {}/{}:\t{}\n", source.at("metric.name").text(),
                         source.at("describedObject.kind").text(),
                         source.at("describedObject.name").text(),
                         metric_text(source, now.get("object")));
    } else if (type == "External") {
      out += fmt::format("  \"{}\" (target value):\t{}\n", metric.at("external.metric.name").text(),
                         metric_text(metric.get("external"), now.get("external")));
    }
  }
  out += fmt::format("Min replicas:\t{}\nMax replicas:\t{}\n",
                     or_text(spec.get("minReplicas"), "<unset>"), spec.get("maxReplicas").number());
  out +=
      fmt::format("{} pods:\t{} current / {} desired\n", spec.at("scaleTargetRef.kind").text(),
                  status.get("currentReplicas").number(), status.get("desiredReplicas").number());
  return out + conditions(status.get("conditions"), true) + describe_events(what);
}

std::string disruption_budget(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"), status = object.get("status");
  std::string out = describe_head(object, true);
  if (spec.has("minAvailable")) {
    out += fmt::format("Min available:\t{}\n", spec.get("minAvailable").text());
  } else if (spec.has("maxUnavailable")) {
    out += fmt::format("Max unavailable:\t{}\n", spec.get("maxUnavailable").text());
  }
  out += fmt::format("Selector:\t{}\nStatus:\n", describe_selector(spec.get("selector")));
  for (const auto& [title, key] : {std::pair{"Allowed disruptions", "disruptionsAllowed"},
                                   {"Current", "currentHealthy"},
                                   {"Desired", "desiredHealthy"},
                                   {"Total", "expectedPods"}}) {
    out += fmt::format("    {}:\t{}\n", title, status.get(key).number());
  }
  return out + describe_events(what);
}

}  // namespace

DescribeFunction find_workload_text(std::string_view group, std::string_view kind) {
  constexpr struct {
    std::string_view group, kind;
    DescribeFunction text;
  } kTexts[] = {{"", "Pod", describe_pod},
                {"apps", "Deployment", describe_deployment},
                {"apps", "ReplicaSet", replica_set},
                {"apps", "DaemonSet", daemon_set},
                {"apps", "StatefulSet", stateful_set},
                {"batch", "Job", job},
                {"batch", "CronJob", cron_job},
                {"autoscaling", "HorizontalPodAutoscaler", autoscaler},
                {"policy", "PodDisruptionBudget", disruption_budget}};
  for (const auto& one : kTexts) {
    if (one.group == group && one.kind == kind) return one.text;
  }
  return nullptr;
}

}  // namespace orch::ctl
