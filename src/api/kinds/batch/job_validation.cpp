// The rules of a Job's spec, as a Job has it and as a CronJob's template does.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/apps/workload.h"
#include "api/kinds/batch/job.h"
#include "api/kinds/checks.h"
#include "api/validation/formats.h"
#include "api/validation/go_value.h"
#include "orch/api/selector.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace batchv1;

constexpr int32_t kIndexedMax = 100'000;
constexpr int32_t kManyCompletions = 100'000;
constexpr int32_t kManyCompletionsMax = 10'000;
constexpr size_t kRulesMax = 20;
constexpr size_t kExitCodesMax = 255;
constexpr size_t kIndexesBytesMax = 64 * 1024;

bool indexed_mode(const JobSpec& spec) {
  return spec.completionMode.value_or("NonIndexed") == "Indexed";
}

void non_negative(const std::optional<int32_t>& value, const std::string& path,
                  FieldErrors& errors) {
  if (value) validate_non_negative(*value, path, errors);
}

void at_most(const std::optional<int32_t>& value, int32_t max, const std::string& path,
             std::string_view when, FieldErrors& errors) {
  if (value && *value > max) {
    errors.invalid(path, std::to_string(*value),
                   fmt::format("must be less than or equal to {}{}", max, when));
  }
}

void validate_indexed(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  if (!spec.completions) {
    errors.required(path + ".completions", "when completion mode is Indexed");
  }
  at_most(spec.parallelism, kIndexedMax, path + ".parallelism", " when completion mode is Indexed",
          errors);
  if (spec.completions && spec.maxFailedIndexes && *spec.maxFailedIndexes > *spec.completions) {
    errors.invalid(path + ".maxFailedIndexes", std::to_string(*spec.maxFailedIndexes),
                   "must be less than or equal to completions");
  }
  at_most(spec.maxFailedIndexes, kIndexedMax, path + ".maxFailedIndexes", "", errors);
  if (spec.completions.value_or(0) <= kManyCompletions || !spec.backoffLimitPerIndex) return;
  if (!spec.maxFailedIndexes) {
    errors.required(
        path + ".maxFailedIndexes",
        fmt::format("must be specified when completions is above {}", kManyCompletions));
  }
  const std::string when = fmt::format(
      " when completions are above {} and used with backoff limit per index", kManyCompletions);
  at_most(spec.parallelism, kManyCompletionsMax, path + ".parallelism", when, errors);
  at_most(spec.maxFailedIndexes, kManyCompletionsMax, path + ".maxFailedIndexes", when, errors);
}

void validate_exit_codes(const PodFailurePolicyOnExitCodesRequirement& codes,
                         const std::set<std::string>& containers, const std::string& path,
                         FieldErrors& errors) {
  if (codes.operator_.empty()) {
    errors.required(path + ".operator", R"(valid values: ["In" "NotIn"])");
  } else {
    check_one_of(codes.operator_, path + ".operator", {"In", "NotIn"}, errors);
  }
  if (codes.containerName && containers.count(*codes.containerName) == 0) {
    errors.invalid(path + ".containerName", quoted(*codes.containerName),
                   "must be one of the container or initContainer names in the pod template");
  }
  const std::string values = path + ".values";
  if (codes.values.empty()) {
    errors.invalid(values, go_value(codes.values), "at least one value is required");
  } else if (codes.values.size() > kExitCodesMax) {
    errors.too_many(values, static_cast<int64_t>(codes.values.size()), kExitCodesMax);
  }
  std::set<int32_t> seen;
  for (size_t i = 0; i < codes.values.size(); ++i) {
    const std::string shown = std::to_string(codes.values[i]);
    if (codes.operator_ == "In" && codes.values[i] == 0) {
      errors.invalid(indexed(values, i), shown, "must not be 0 for the In operator");
    }
    if (!seen.insert(codes.values[i]).second) errors.duplicate(indexed(values, i), shown);
  }
  if (!std::is_sorted(codes.values.begin(), codes.values.end())) {
    errors.invalid(values, go_value(codes.values), "must be ordered");
  }
}

void validate_failure_rule(const JobSpec& spec, const PodFailurePolicyRule& rule,
                           const std::set<std::string>& containers, const std::string& path,
                           FieldErrors& errors) {
  if (rule.action.empty()) {
    errors.required(path + ".action", R"(valid values: ["Count" "FailIndex" "FailJob" "Ignore"])");
  } else if (rule.action == "FailIndex" && !spec.backoffLimitPerIndex) {
    errors.invalid(path + ".action", quoted(rule.action),
                   "requires the backoffLimitPerIndex to be set");
  } else {
    check_one_of(rule.action, path + ".action", {"Count", "FailIndex", "FailJob", "Ignore"},
                 errors);
  }
  if (rule.onExitCodes) {
    validate_exit_codes(*rule.onExitCodes, containers, path + ".onExitCodes", errors);
  }
  const auto& patterns = rule.onPodConditions;
  const std::string conditions = path + ".onPodConditions";
  if (patterns.size() > kRulesMax) {
    errors.too_many(conditions, static_cast<int64_t>(patterns.size()), kRulesMax);
  }
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::string at = indexed(conditions, i);
    validate_qualified_name(patterns[i].type, at + ".type", errors);
    if (patterns[i].status.empty()) {
      errors.required(at + ".status", R"(valid values: ["False" "True" "Unknown"])");
    } else {
      check_one_of(patterns[i].status, at + ".status", {"False", "True", "Unknown"}, errors);
    }
  }
  if (rule.onExitCodes && !patterns.empty()) {
    invalid_whole(path, "specifying both OnExitCodes and OnPodConditions is not supported", errors);
  }
  if (!rule.onExitCodes && patterns.empty()) {
    invalid_whole(path, "specifying one of OnExitCodes and OnPodConditions is required", errors);
  }
}

void validate_failure_policy(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  const auto& rules = spec.podFailurePolicy->rules;
  if (rules.size() > kRulesMax) {
    errors.too_many(path + ".rules", static_cast<int64_t>(rules.size()), kRulesMax);
  }
  std::set<std::string> containers;
  for (const auto& c : spec.template_.spec.containers) containers.insert(c.name);
  for (const auto& c : spec.template_.spec.initContainers) containers.insert(c.name);
  for (size_t i = 0; i < rules.size(); ++i) {
    validate_failure_rule(spec, rules[i], containers, indexed(path + ".rules", i), errors);
  }
}

// How many indexes "1,3-5,7" names: ascending, each below `completions`.
Result<int64_t, std::string> count_indexes(const std::string& text, int64_t completions) {
  int64_t last = -1, total = 0;
  const auto next = [&](const std::string& shown) -> Result<int64_t, std::string> {
    const auto index = parse_int(shown);
    if (!index) {
      return Err(fmt::format("cannot convert string to integer for index: {}", go_quoted(shown)));
    }
    if (*index >= completions) return Err(fmt::format("too large index: {}", go_quoted(shown)));
    if (last >= *index) {
      return Err(fmt::format("non-increasing order, previous: {}, current: {}", last, *index));
    }
    last = *index;
    return *index;
  };
  if (text.empty()) return total;
  for (const auto& interval : split(text, ',')) {
    const auto limits = split(interval, '-');
    if (limits.size() > 2) {
      return Err(
          fmt::format("the fragment {} violates the requirement that an index interval can "
                      "have at most two parts separated by '-'",
                      go_quoted(interval)));
    }
    ORCH_TRY(const int64_t first, next(limits.empty() ? "" : limits[0]));
    ++total;
    if (limits.size() < 2) continue;
    ORCH_TRY(const int64_t end, next(limits[1]));
    total += end - first;
  }
  return total;
}

void validate_success_rule(const SuccessPolicyRule& rule, int32_t completions,
                           const std::string& path, FieldErrors& errors) {
  if (!rule.succeededIndexes && !rule.succeededCount) {
    errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
  }
  int64_t named = 0;
  if (rule.succeededIndexes) {
    const std::string at = path + ".succeededIndexes";
    if (rule.succeededIndexes->size() > kIndexesBytesMax) errors.too_long(at, kIndexesBytesMax);
    const auto counted = count_indexes(*rule.succeededIndexes, completions);
    if (counted) {
      named = *counted;
    } else {
      errors.invalid(at, quoted(*rule.succeededIndexes),
                     "error parsing succeededIndexes: " + counted.error());
    }
  }
  if (!rule.succeededCount) return;
  const int32_t count = *rule.succeededCount;
  const std::string at = path + ".succeededCount";
  validate_non_negative(count, at, errors);
  at_most(count, completions, at, " (the number of specified completions)", errors);
  if (rule.succeededIndexes && count > named) {
    errors.invalid(at, std::to_string(count),
                   fmt::format("must be less than or equal to {} (the number of indexes in the "
                               "specified succeededIndexes field)",
                               named));
  }
}

void validate_success_policy(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  if (!indexed_mode(spec)) {
    errors.invalid(path, go_value(spec.successPolicy), "requires indexed completion mode");
    return;
  }
  const auto& rules = spec.successPolicy->rules;
  if (rules.empty()) {
    errors.required(path + ".rules",
                    "at least one rules must be specified when the successPolicy is specified");
  }
  if (rules.size() > kRulesMax) {
    errors.too_many(path + ".rules", static_cast<int64_t>(rules.size()), kRulesMax);
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    validate_success_rule(rules[i], spec.completions.value_or(0), indexed(path + ".rules", i),
                          errors);
  }
}

void validate_replacement(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  if (!spec.podReplacementPolicy) return;
  if (!spec.podFailurePolicy) {
    check_one_of(*spec.podReplacementPolicy, path, {"Failed", "TerminatingOrFailed"}, errors);
  } else {
    check_one_of(*spec.podReplacementPolicy, path, {"Failed"}, errors);
  }
}

void validate_restarts(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  const std::string& policy = spec.template_.spec.restartPolicy;
  if (policy.empty() || policy == "Always") {
    errors.required(path, R"(valid values: "OnFailure", "Never")");
  } else if (policy != "OnFailure" && policy != "Never") {
    errors.not_supported(path, policy, {"OnFailure", "Never"});
  } else if (spec.podFailurePolicy && policy != "Never") {
    errors.invalid(path, quoted(policy),
                   "only \"Never\" is supported when podFailurePolicy is specified");
  }
}

void validate_has_label(const Job& job, const char* key, const std::string& expected,
                        FieldErrors& errors) {
  const auto& labels = job.spec.template_.metadata.labels;
  const std::string path = keyed("spec.template.metadata.labels", key);
  const auto it = labels.find(key);
  if (it == labels.end()) {
    errors.required(path, fmt::format("must be '{}'", expected));
  } else if (it->second != expected) {
    errors.invalid(path, go_value(labels), fmt::format("must be '{}'", expected));
  }
}

// A selector that was generated must be that of this very Job, or it would adopt others' pods.
// Jobs from before the prefixed labels keep theirs.
void validate_generated_selector(const Job& job, bool prefixed, FieldErrors& errors) {
  if (job.spec.manualSelector.value_or(false) || !job.spec.selector) return;
  if (job.metadata.uid.empty()) errors.required("metadata.uid");
  Labels expected;
  const auto expect = [&](const char* key, const std::string& value) {
    validate_has_label(job, key, value, errors);
    expected[key] = value;
  };
  if (prefixed) {
    expect(kControllerUidLabel, job.metadata.uid);
    expect(kJobNameLabel, job.metadata.name);
  }
  expect(kLegacyControllerUidLabel, job.metadata.uid);
  expect(kLegacyJobNameLabel, job.metadata.name);
  const auto selector = LabelSelector::from(*job.spec.selector);
  if (selector && !selector->matches(expected)) {
    errors.invalid("spec.selector", go_value(job.spec.selector), "`selector` not auto-generated");
  }
}

// What may change in the template of a Job that waits suspended and never ran: where its pods go.
corev1::PodTemplateSpec with_new_directives(const corev1::PodTemplateSpec& old,
                                            const corev1::PodTemplateSpec& now) {
  auto out = old;
  if (now.spec.affinity) {
    out.spec.affinity.ensure().nodeAffinity = now.spec.affinity->nodeAffinity;
  } else if (out.spec.affinity) {
    out.spec.affinity->nodeAffinity.reset();
    if (!out.spec.affinity->podAffinity && !out.spec.affinity->podAntiAffinity) {
      out.spec.affinity.reset();
    }
  }
  out.spec.nodeSelector = now.spec.nodeSelector;
  out.spec.tolerations = now.spec.tolerations;
  out.spec.schedulingGates = now.spec.schedulingGates;
  out.metadata.annotations = now.metadata.annotations;
  out.metadata.labels = now.metadata.labels;
  return out;
}

template <class T>
void immutable(const Ptr<T>& now, const Ptr<T>& old, const char* path, FieldErrors& errors) {
  const bool same = now && old ? equal(*now, *old) : !now == !old;
  check_unchanged(same, path, go_value(now), errors);
}

void validate_job_change(const Job& now, const Job& old, FieldErrors& errors) {
  const auto& spec = now.spec;
  const auto& before = old.spec;
  if (spec.completions != before.completions) {
    const std::string shown = go_value(spec.completions);
    if (!indexed_mode(spec)) {
      errors.invalid("spec.completions", shown, kImmutable);
    } else if (!spec.completions || spec.completions != spec.parallelism) {
      errors.invalid("spec.completions", shown,
                     "can only be modified in tandem with spec.parallelism");
    }
  }
  immutable(spec.selector, before.selector, "spec.selector", errors);
  const bool waits = before.suspend.value_or(false) && !old.status.startTime;
  const auto allowed =
      waits ? with_new_directives(before.template_, spec.template_) : before.template_;
  check_unchanged(equal(allowed, spec.template_), "spec.template",
                  go_value(corev1::PodTemplateSpec::type_info(), &spec.template_), errors);
  check_unchanged(spec.completionMode == before.completionMode, "spec.completionMode",
                  go_value(spec.completionMode), errors);
  immutable(spec.podFailurePolicy, before.podFailurePolicy, "spec.podFailurePolicy", errors);
  check_unchanged(spec.backoffLimitPerIndex == before.backoffLimitPerIndex,
                  "spec.backoffLimitPerIndex", go_value(spec.backoffLimitPerIndex), errors);
  check_unchanged(spec.managedBy == before.managedBy, "spec.managedBy", go_value(spec.managedBy),
                  errors);
  immutable(spec.successPolicy, before.successPolicy, "spec.successPolicy", errors);
}

}  // namespace

void validate_job_template(const JobSpec& spec, const std::string& path, FieldErrors& errors) {
  non_negative(spec.parallelism, path + ".parallelism", errors);
  non_negative(spec.completions, path + ".completions", errors);
  if (spec.activeDeadlineSeconds) {
    validate_non_negative(*spec.activeDeadlineSeconds, path + ".activeDeadlineSeconds", errors);
  }
  non_negative(spec.backoffLimit, path + ".backoffLimit", errors);
  non_negative(spec.ttlSecondsAfterFinished, path + ".ttlSecondsAfterFinished", errors);
  non_negative(spec.backoffLimitPerIndex, path + ".backoffLimitPerIndex", errors);
  non_negative(spec.maxFailedIndexes, path + ".maxFailedIndexes", errors);
  if (spec.maxFailedIndexes && !spec.backoffLimitPerIndex) {
    errors.required(path + ".backoffLimitPerIndex", "when maxFailedIndexes is specified");
  }
  if (spec.managedBy) {
    validate_domain_prefixed_path(*spec.managedBy, path + ".managedBy", errors);
    if (spec.managedBy->size() > 63) errors.too_long(path + ".managedBy", 63);
  }
  if (spec.completionMode) {
    check_one_of(*spec.completionMode, path + ".completionMode", {"NonIndexed", "Indexed"}, errors);
  }
  if (indexed_mode(spec)) {
    validate_indexed(spec, path, errors);
  } else {
    const auto refuse = [&](const std::optional<int32_t>& value, const char* field) {
      if (value) {
        errors.invalid(path + field, std::to_string(*value), "requires indexed completion mode");
      }
    };
    refuse(spec.backoffLimitPerIndex, ".backoffLimitPerIndex");
    refuse(spec.maxFailedIndexes, ".maxFailedIndexes");
  }
  if (spec.podFailurePolicy) validate_failure_policy(spec, path + ".podFailurePolicy", errors);
  if (spec.successPolicy) validate_success_policy(spec, path + ".successPolicy", errors);
  validate_replacement(spec, path + ".podReplacementPolicy", errors);
  validate_pod_template(spec.template_, path + ".template", errors);
  validate_restarts(spec, path + ".template.spec.restartPolicy", errors);
}

void validate_job(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& job = static_cast<const Job&>(object);
  const auto* old = static_cast<const Job*>(old_object);
  const auto& spec = job.spec;
  const bool prefixed =
      old == nullptr || old->spec.template_.metadata.labels.count(kJobNameLabel) != 0;
  validate_generated_selector(job, prefixed, errors);
  validate_job_template(spec, "spec", errors);
  if (!spec.selector) {
    errors.required("spec.selector");
  } else {
    validate_label_selector(*spec.selector, "spec.selector", errors);
    const auto selector = LabelSelector::from(*spec.selector);
    if (selector && !selector->matches(spec.template_.metadata.labels)) {
      errors.invalid("spec.template.metadata.labels", go_value(spec.template_.metadata.labels),
                     "`selector` does not match template `labels`");
    }
  }
  if (old == nullptr && indexed_mode(spec) && spec.completions.value_or(0) > 0) {
    const std::string last = fmt::format("{}-{}", job.metadata.name, *spec.completions - 1);
    if (!check_dns1123_label(last).empty()) {
      errors.invalid("metadata.name", quoted(job.metadata.name),
                     "will not able to create pod with invalid DNS label: " + last);
    }
  }
  if (old != nullptr) validate_job_change(job, *old, errors);
}

void validate_job_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& job = static_cast<const Job&>(object);
  const auto& status = job.status;
  validate_non_negative(status.active, "status.active", errors);
  validate_non_negative(status.succeeded, "status.succeeded", errors);
  validate_non_negative(status.failed, "status.failed", errors);
  non_negative(status.ready, "status.ready", errors);
  non_negative(status.terminating, "status.terminating", errors);
  const bool complete = job_has_condition(job, "Complete"),
             failed = job_has_condition(job, "Failed");
  if (complete && failed) {
    invalid_whole("status.conditions", "cannot set Complete=True and Failed=true conditions",
                  errors);
  }
  if (complete && !status.completionTime) {
    errors.required("status.completionTime", "completionTime is required for Complete jobs");
  }
  if (!complete && status.completionTime) {
    errors.invalid("status.completionTime", quoted(status.completionTime->str()),
                   "cannot set completionTime when there is no Complete=True condition");
  }
  if (!complete && !failed) return;
  if (!status.startTime) {
    errors.required("status.startTime", "startTime is required for finished job");
  }
  if (status.active > 0) {
    errors.invalid("status.active", std::to_string(status.active),
                   "active>0 is invalid for finished job");
  }
  if (status.terminating.value_or(0) > 0) {
    errors.invalid("status.terminating", std::to_string(*status.terminating),
                   "terminating>0 is invalid for finished job");
  }
}

}  // namespace orch::api
