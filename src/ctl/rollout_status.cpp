#include "ctl/rollout_status.h"

#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kRevision[] = "deployment.kubernetes.io/revision";

Outcome<RolloutStatus> deployment_status(const JsonValue& object, int64_t revision) {
  const std::string name = object.at("metadata.name").text();
  if (revision > 0) {
    const auto has = parse_int(object.at("metadata.annotations").get(kRevision).text());
    if (!has) return Err(error(fmt::format("cannot get the revision of deployment \"{}\"", name)));
    if (*has != revision) {
      return Err(
          error(fmt::format("desired revision ({}) is different from the running revision "
                            "({})",
                            revision, *has)));
    }
  }
  const JsonValue status = object.get("status");
  if (object.at("metadata.generation").number() > status.get("observedGeneration").number()) {
    return RolloutStatus{"Waiting for deployment spec update to be observed...", false};
  }
  for (const JsonValue& condition : status.get("conditions").items()) {
    if (condition.get("type").text() == "Progressing" &&
        condition.get("reason").text() == "ProgressDeadlineExceeded") {
      return Err(error(fmt::format("deployment \"{}\" exceeded its progress deadline", name)));
    }
  }
  const int64_t wanted = object.at("spec.replicas").number(1);
  const int64_t updated = status.get("updatedReplicas").number();
  const int64_t replicas = status.get("replicas").number();
  const int64_t available = status.get("availableReplicas").number();
  const std::string waiting =
      fmt::format("Waiting for deployment \"{}\" rollout to finish: ", name);
  if (updated < wanted) {
    return RolloutStatus{
        waiting + fmt::format("{} out of {} new replicas have been updated...", updated, wanted),
        false};
  }
  if (replicas > updated) {
    return RolloutStatus{
        waiting + fmt::format("{} old replicas are pending termination...", replicas - updated),
        false};
  }
  if (available < updated) {
    return RolloutStatus{
        waiting + fmt::format("{} of {} updated replicas are available...", available, updated),
        false};
  }
  return RolloutStatus{fmt::format("deployment \"{}\" successfully rolled out", name), true};
}

Outcome<RolloutStatus> daemon_set_status(const JsonValue& object) {
  const std::string name = object.at("metadata.name").text();
  if (object.at("spec.updateStrategy.type").text() != "RollingUpdate") {
    return Err(error("rollout status is only available for RollingUpdate strategy type"));
  }
  const JsonValue status = object.get("status");
  if (object.at("metadata.generation").number() > status.get("observedGeneration").number()) {
    return RolloutStatus{"Waiting for daemon set spec update to be observed...", false};
  }
  const int64_t wanted = status.get("desiredNumberScheduled").number();
  const int64_t updated = status.get("updatedNumberScheduled").number();
  const int64_t available = status.get("numberAvailable").number();
  const std::string waiting =
      fmt::format("Waiting for daemon set \"{}\" rollout to finish: ", name);
  if (updated < wanted) {
    return RolloutStatus{
        waiting + fmt::format("{} out of {} new pods have been updated...", updated, wanted),
        false};
  }
  if (available < wanted) {
    return RolloutStatus{
        waiting + fmt::format("{} of {} updated pods are available...", available, wanted), false};
  }
  return RolloutStatus{fmt::format("daemon set \"{}\" successfully rolled out", name), true};
}

Outcome<RolloutStatus> stateful_set_status(const JsonValue& object) {
  if (object.at("spec.updateStrategy.type").text() != "RollingUpdate") {
    return Err(error("rollout status is only available for RollingUpdate strategy type"));
  }
  const JsonValue status = object.get("status");
  const int64_t observed = status.get("observedGeneration").number();
  if (observed == 0 || object.at("metadata.generation").number() > observed) {
    return RolloutStatus{"Waiting for statefulset spec update to be observed...", false};
  }
  const int64_t wanted = object.at("spec.replicas").number(1);
  const int64_t ready = status.get("readyReplicas").number();
  const int64_t updated = status.get("updatedReplicas").number();
  if (ready < wanted) {
    return RolloutStatus{fmt::format("Waiting for {} pods to be ready...", wanted - ready), false};
  }
  const JsonValue rolling = object.at("spec.updateStrategy.rollingUpdate");
  if (rolling.is_object()) {
    const JsonValue partition = rolling.get("partition");
    if (partition.is_number() && updated < wanted - partition.number()) {
      return RolloutStatus{fmt::format("Waiting for partitioned roll out to finish: {} out of {} "
                                       "new pods have been updated...",
                                       updated, wanted - partition.number()),
                           false};
    }
    return RolloutStatus{
        fmt::format("partitioned roll out complete: {} new pods have been updated...", updated),
        true};
  }
  const std::string revision = status.get("updateRevision").text();
  if (revision != status.get("currentRevision").text()) {
    return RolloutStatus{
        fmt::format("waiting for statefulset rolling update to complete {} pods at revision {}...",
                    updated, revision),
        false};
  }
  return RolloutStatus{
      fmt::format("statefulset rolling update complete {} pods at revision {}...",
                  status.get("currentReplicas").number(), status.get("currentRevision").text()),
      true};
}

}  // namespace

Outcome<RolloutStatus> rollout_status(const JsonValue& object, int64_t revision) {
  const std::string kind = object.get("kind").text();
  if (kind == "Deployment") return deployment_status(object, revision);
  if (kind == "DaemonSet") return daemon_set_status(object);
  if (kind == "StatefulSet") return stateful_set_status(object);
  return Err(error(fmt::format("no status viewer has been implemented for {}", kind)));
}

}  // namespace orch::ctl
