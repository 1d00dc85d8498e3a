// A Deployment and its sets without a cluster: plans are applied to values, pods come up when the
// test says so.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/controllers/deployment.h"

namespace orch::server::test {

using api::IntOrString;
using api::appsv1::Deployment;
using api::appsv1::ReplicaSet;

struct Rollout {
  Deployment deployment;
  std::vector<ReplicaSet> sets;
  WallTime now = WallTime{Seconds{1'700'000'000}};
  std::map<std::string, bool> running;
  int made = 0;

  explicit Rollout(int32_t replicas = 4, IntOrString surge = 1, IntOrString unavailable = 1) {
    deployment.metadata.name = "web";
    deployment.metadata.namespace_ = "default";
    deployment.metadata.uid = "uid-web";
    deployment.metadata.generation = 1;
    deployment.spec.replicas = replicas;
    deployment.spec.revisionHistoryLimit = 10;
    deployment.spec.progressDeadlineSeconds = 600;
    deployment.spec.strategy.type = "RollingUpdate";
    auto& rolling = deployment.spec.strategy.rollingUpdate.ensure();
    rolling.maxSurge = std::move(surge);
    rolling.maxUnavailable = std::move(unavailable);
    deployment.spec.selector.ensure().matchLabels = {{"app", "web"}};
    deployment.spec.template_.metadata.labels = {{"app", "web"}};
    deployment.spec.template_.spec.containers.emplace_back().name = "c";
    image("v1");
  }

  void image(const std::string& name) {
    deployment.spec.template_.spec.containers[0].image = name;
    ++deployment.metadata.generation;
  }
  void resize(int32_t replicas) {
    deployment.spec.replicas = replicas;
    ++deployment.metadata.generation;
  }

  DeploymentPlan plan() const {
    DeploymentInput input{deployment, {}, running, now};
    for (const auto& set : sets) input.sets.push_back(std::make_shared<const ReplicaSet>(set));
    return plan_deployment(input);
  }
  ReplicaSet& at(const std::string& uid) {
    for (auto& set : sets) {
      if (set.metadata.uid == uid) return set;
    }
    FAIL("no set " << uid);
    return sets.front();
  }
  // The set that runs this image.
  ReplicaSet& of(const std::string& image) {
    for (auto& set : sets) {
      if (set.spec.template_.spec.containers[0].image == image) return set;
    }
    FAIL("no set of " << image);
    return sets.front();
  }
  int32_t size(const std::string& image) { return of(image).spec.replicas.value_or(-1); }

  // What the shell does with a plan. False when there was nothing to write.
  bool apply(const DeploymentPlan& plan) {
    bool wrote = false;
    if (plan.create) {
      ReplicaSet set = *plan.create;
      set.metadata.uid = "set-" + std::to_string(++made);
      set.metadata.generation = 1;
      set.metadata.creationTimestamp = now + Seconds{made};
      sets.push_back(std::move(set));
      wrote = true;
    }
    for (const auto& changed : plan.update) {
      at(changed.metadata.uid) = changed;
      wrote = true;
    }
    for (const auto& step : plan.scale) {
      auto& set = at(step.set->metadata.uid);
      set.spec.replicas = step.replicas;
      const int32_t wanted = *deployment.spec.replicas;
      set.metadata.annotations[kDesiredReplicas] = std::to_string(wanted);
      set.metadata.annotations[kMaxReplicas] =
          std::to_string(wanted + (wanted > 0 ? rolling_limits(deployment).surge : 0));
      wrote = true;
    }
    for (const auto& gone : plan.cleanup) {
      std::erase_if(sets, [&](const auto& s) { return s.metadata.uid == gone->metadata.uid; });
      wrote = true;
    }
    if (plan.revision && deployment.metadata.annotations[kRevision] != *plan.revision) {
      deployment.metadata.annotations[kRevision] = *plan.revision;
      wrote = true;
    }
    if (!api::equal(plan.status, deployment.status)) {
      deployment.status = plan.status;
      wrote = true;
    }
    return wrote;
  }
  // Pods follow their set's size; those of `broken` never get ready.
  void pods_follow(const std::string& broken = "") {
    for (auto& set : sets) {
      const int32_t size = *set.spec.replicas;
      const bool up = set.spec.template_.spec.containers[0].image != broken;
      set.status.replicas = size;
      set.status.readyReplicas = set.status.availableReplicas = up ? size : 0;
      set.status.observedGeneration = set.metadata.generation;
    }
  }
  // Steps until nothing changes; checks the promises of a rolling update at every step.
  void settle(const std::string& broken = "", bool check_limits = false) {
    const auto limits = rolling_limits(deployment);
    const int32_t wanted = *deployment.spec.replicas;
    for (int step = 0; step < 100; ++step) {
      const bool wrote = apply(plan());
      int32_t total = 0, available = 0;
      for (const auto& set : sets) {
        total += *set.spec.replicas;
        available += std::min(*set.spec.replicas, set.status.availableReplicas);
      }
      if (check_limits) {
        CHECK(total <= wanted + limits.surge);
        CHECK(available >= wanted - limits.unavailable);
      }
      pods_follow(broken);
      if (!wrote) return;
    }
    FAIL("no fixpoint");
  }
  // "status reason: message" of a condition.
  std::string condition(const std::string& type) const {
    for (const auto& c : deployment.status.conditions) {
      if (c.type == type) return c.status + " " + c.reason + ": " + c.message;
    }
    return "";
  }
};

}  // namespace orch::server::test
