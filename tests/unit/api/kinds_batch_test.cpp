#include "kinds_support.h"
#include "orch/api/batchv1.h"

namespace orch::api::test {
namespace {

using batchv1::CronJob;
using batchv1::Job;

constexpr const char* kJob = R"({"metadata":{"name":"pi","namespace":"default","uid":"u1"},
  "spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never",
  "containers":[{"name":"c","image":"perl:5"}]}}}})";

Job created(const std::string& json) {
  auto job = decoded<Job>(json);
  job.metadata.uid = "u1";
  resource_of<Job>().prepare(job, nullptr, {});
  return job;
}

TEST_CASE("jobs: defaults, labels and selector") {
  const auto job = created(kJob);
  CHECK(job.spec.completions == 1);
  CHECK(job.spec.parallelism == 1);
  CHECK(job.spec.backoffLimit == 6);
  CHECK(job.spec.completionMode == "NonIndexed");
  CHECK(job.spec.suspend == false);
  CHECK(job.spec.podReplacementPolicy == "TerminatingOrFailed");
  CHECK(job.metadata.generation == 1);
  CHECK(job.metadata.labels == std::map<std::string, std::string>{{"a", "b"}});
  CHECK(job.spec.template_.metadata.labels ==
        std::map<std::string, std::string>{{"a", "b"},
                                           {"batch.kubernetes.io/controller-uid", "u1"},
                                           {"batch.kubernetes.io/job-name", "pi"},
                                           {"controller-uid", "u1"},
                                           {"job-name", "pi"}});
  CHECK(to_json(*job.spec.selector) ==
        R"({"matchLabels":{"batch.kubernetes.io/controller-uid":"u1"}})");

  auto indexed = decoded<Job>(R"({"spec":{"parallelism":3,"backoffLimitPerIndex":1,
      "podFailurePolicy":{"rules":[{"action":"Ignore","onPodConditions":[{"type":"X"}]}]}}})");
  CHECK_FALSE(indexed.spec.completions);
  CHECK(indexed.spec.backoffLimit == 2147483647);
  CHECK(indexed.spec.podReplacementPolicy == "Failed");
  CHECK(indexed.spec.podFailurePolicy->rules[0].onPodConditions[0].status == "True");

  auto manual = decoded<Job>(kJob);
  manual.spec.manualSelector = true;
  resource_of<Job>().prepare(manual, nullptr, {});
  CHECK_FALSE(manual.spec.selector);
}

TEST_CASE("jobs: rows") {
  auto job = created(kJob);
  const WallTime now{Seconds{1000}};
  const auto shown = [&] {
    auto all = cells(job, now);
    all.resize(4);
    return all;
  };
  CHECK(shown() == Texts{"pi", "Running", "0/1", ""});
  job.status.startTime = Time(now - Seconds{90});
  CHECK(shown() == Texts{"pi", "Running", "0/1", "90s"});
  job.status.completionTime = Time(now - Seconds{80});
  job.status.succeeded = 1;
  job.status.conditions.emplace_back();
  job.status.conditions[0].type = "Complete";
  job.status.conditions[0].status = "True";
  CHECK(shown() == Texts{"pi", "Complete", "1/1", "10s"});
  CHECK(resource_of<Job>().field_value(job, "status.successful") == "1");
  job.spec.completions.reset();
  job.spec.parallelism = 3;
  job.status.conditions[0].type = "Suspended";
  CHECK(shown() == Texts{"pi", "Suspended", "1/1 of 3", "10s"});
  job.metadata.deletionTimestamp = Time(now);
  CHECK(shown()[1] == "Terminating");
}

TEST_CASE("cron jobs: defaults and rows") {
  auto job = decoded<CronJob>(R"({"metadata":{"name":"c"},"spec":{"schedule":"* * * * *",
      "jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"x","image":"i"}]}}}}}})");
  CHECK(job.spec.concurrencyPolicy == "Allow");
  CHECK(job.spec.suspend == false);
  CHECK(job.spec.successfulJobsHistoryLimit == 3);
  CHECK(job.spec.failedJobsHistoryLimit == 1);
  CHECK_FALSE(job.spec.jobTemplate.spec.completions);
  CHECK(job.spec.jobTemplate.spec.template_.spec.schedulerName == "default-scheduler");
  CHECK(cells(job) ==
        Texts{"c", "* * * * *", "<none>", "False", "0", "<none>", "<unknown>", "x", "i", "<none>"});
  job.spec.timeZone = "Etc/UTC";
  job.status.active.resize(2);
  job.status.lastScheduleTime = Time(WallTime{});
  CHECK(cells(job, WallTime{Seconds{30}}) ==
        Texts{"c", "* * * * *", "Etc/UTC", "False", "2", "30s", "<unknown>", "x", "i", "<none>"});
}

TEST_CASE("jobs: rules on creation") {
  check_rules<Job>(
      kJob,
      {{"/spec/parallelism",
        "-1",
        {"spec.parallelism: Invalid value: -1: must be greater than or equal to 0"}},
       {"/spec/ttlSecondsAfterFinished",
        "-1",
        {"spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0"}},
       {"/spec/template/spec/restartPolicy",
        "\"Always\"",
        {"spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
         "\"Never\""}},
       {"/spec/managedBy",
        "\"me\"",
        {"spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as "
         "\"acme.io/foo\")"}},
       {"/spec/completionMode",
        "\"Odd\"",
        {"spec.completionMode: Unsupported value: \"Odd\": supported values: \"NonIndexed\", "
         "\"Indexed\""}},
       {"/spec/backoffLimitPerIndex",
        "1",
        {"spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"}},
       {"/spec/maxFailedIndexes",
        "1",
        {"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
         "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode"}},
       {"/spec/podReplacementPolicy",
        "\"x\"",
        {"spec.podReplacementPolicy: Unsupported value: \"x\": supported values: \"Failed\", "
         "\"TerminatingOrFailed\""}},
       {"/spec/template/metadata/labels/job-name",
        "\"x\"",
        {"spec.template.metadata.labels[job-name]: Invalid value: map[string]string{\"a\":\"b\", "
         "\"batch.kubernetes.io/controller-uid\":\"u1\", \"batch.kubernetes.io/job-name\":\"pi\", "
         "\"controller-uid\":\"u1\", \"job-name\":\"x\"}: must be 'pi'"}},

       {"/spec/selector",
        R"({"matchLabels":{"c":"d"}})",
        {"spec.selector: Invalid value: "
         "v1.LabelSelector{MatchLabels:map[string]string{\"batch.kubernetes.io/"
         "controller-uid\":\"u1\", \"c\":\"d\"}, "
         "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` not auto-generated",
         "spec.template.metadata.labels: Invalid value: map[string]string{\"a\":\"b\", "
         "\"batch.kubernetes.io/controller-uid\":\"u1\", \"batch.kubernetes.io/job-name\":\"pi\", "
         "\"controller-uid\":\"u1\", \"job-name\":\"pi\"}: `selector` does not match template "
         "`labels`"}},
       {"/spec/manualSelector", "true", {"spec.selector: Required value"}}});
}

constexpr const char* kIndexedJob = R"({"metadata":{"name":"pi","namespace":"default","uid":"u1"},
  "spec":{"completionMode":"Indexed","completions":5,"parallelism":2,"template":{"spec":
  {"restartPolicy":"Never","containers":[{"name":"c","image":"perl:5"}]}}}})";

TEST_CASE("jobs: rules of indexes, failure and success policies") {
  const std::string exit_codes = "spec.podFailurePolicy.rules[0].onExitCodes";
  check_rules<Job>(
      kIndexedJob,
      {{"/spec/completions",
        "",
        {"spec.completions: Required value: when completion mode is Indexed"}},
       {"/spec/parallelism",
        "100001",
        {"spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when "
         "completion mode is Indexed"}},
       {"/metadata/name",
        "\"a.b\"",
        {"metadata.name: Invalid value: \"a.b\": will not able to create pod with invalid DNS "
         "label: a.b-4"}},
       {"/spec/podFailurePolicy",
        R"({"rules":[{"action":"FailIndex","onExitCodes":
          {"operator":"In","containerName":"x","values":[3,0,3]}}]})",
        {"spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the "
         "backoffLimitPerIndex to be set",
         exit_codes + ".containerName: Invalid value: \"x\": must be one of the container or "
                      "initContainer names in the pod template",
         exit_codes + ".values[1]: Invalid value: 0: must not be 0 for the In operator",
         exit_codes + ".values[2]: Duplicate value: 3",
         exit_codes + ".values: Invalid value: []int32{3, 0, 3}: must be ordered"}},
       {"/spec/podFailurePolicy",
        R"({"rules":[{"action":""},{"action":"Ignore","onExitCodes":
          {"operator":"","values":[]},"onPodConditions":[{"type":"X","status":"Y"}]}]})",
        {"spec.podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" "
         "\"FailIndex\" \"FailJob\" \"Ignore\"]",
         "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and "
         "OnPodConditions is required",
         "spec.podFailurePolicy.rules[1].onExitCodes.operator: Required value: valid values: "
         "[\"In\" \"NotIn\"]",
         "spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: []int32(nil): at least "
         "one value is required",
         "spec.podFailurePolicy.rules[1].onPodConditions[0].status: Unsupported value: \"Y\": "
         "supported values: \"False\", \"True\", \"Unknown\"",
         "spec.podFailurePolicy.rules[1]: Invalid value: specifying both OnExitCodes and "
         "OnPodConditions is not supported"}},
       {"/spec/successPolicy",
        R"({"rules":[{},{"succeededIndexes":"0-2,4","succeededCount":4},
          {"succeededIndexes":"3,2"},{"succeededIndexes":"1-5"},{"succeededIndexes":"1-2-3"},
          {"succeededIndexes":"a"},{"succeededCount":6}]})",
        {"spec.successPolicy.rules[0]: Required value: at least one of succeededCount or "
         "succeededIndexes must be specified",
         "spec.successPolicy.rules[2].succeededIndexes: Invalid value: \"3,2\": error parsing "
         "succeededIndexes: non-increasing order, previous: 3, current: 2",
         "spec.successPolicy.rules[3].succeededIndexes: Invalid value: \"1-5\": error parsing "
         "succeededIndexes: too large index: \"5\"",
         "spec.successPolicy.rules[4].succeededIndexes: Invalid value: \"1-2-3\": error parsing "
         "succeededIndexes: the fragment \"1-2-3\" violates the requirement that an index interval "
         "can have at most two parts separated by '-'",
         "spec.successPolicy.rules[5].succeededIndexes: Invalid value: \"a\": error parsing "
         "succeededIndexes: cannot convert string to integer for index: \"a\"",
         "spec.successPolicy.rules[6].succeededCount: Invalid value: 6: must be less than or equal "
         "to 5 (the number of specified completions)"}},
       {"/spec/completionMode", "\"NonIndexed\"", {}}});
}

TEST_CASE("jobs: what an update may change") {
  check_changes<Job>(kIndexedJob,
                     {{"/spec/parallelism", "7", {}},
                      {"/spec/suspend", "true", {}},
                      {"/spec/completions",
                       "7",
                       {"spec.completions: Invalid value: 7: can only be modified in tandem with "
                        "spec.parallelism"}},
                      {"/spec/completions", "2", {}},
                      {"/spec/completionMode",
                       "\"NonIndexed\"",
                       {"spec.completionMode: Invalid value: \"NonIndexed\": field is immutable"}},
                      {"/spec/backoffLimitPerIndex",
                       "2",
                       {"spec.backoffLimitPerIndex: Invalid value: 2: field is immutable"}},
                      {"/spec/managedBy",
                       "\"a.b/c\"",
                       {"spec.managedBy: Invalid value: \"a.b/c\": field is immutable"}}});
  // Where pods go may change while none was there.
  auto job = made<Job>(kIndexedJob);
  const Rule nodes{"/spec/template/spec/nodeSelector", R"({"a":"b"})", {}};
  Job now = decoded<Job>(changed(to_json(static_cast<const Object&>(job)), nodes));
  auto said = complaints(now, &job);
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with("spec.template: Invalid value: core.PodTemplateSpec{ObjectMeta:"));
  CHECK(said[0].ends_with(": field is immutable"));
  job.spec.suspend = true;
  check_changes<Job>(job, {nodes});
  job.status.startTime = Time(WallTime{});
  CHECK(complaints(now, &job).size() == 1);
}

TEST_CASE("jobs: the status of a finished job") {
  auto job = made<Job>(kJob);
  job.status.active = 1;
  job.status.conditions.resize(2);
  job.status.conditions[0].type = "Complete";
  job.status.conditions[1].type = "Failed";
  for (auto& condition : job.status.conditions) condition.status = "True";
  FieldErrors errors;
  resource_of<Job>().validate_status(job, job, errors);
  Texts said;
  for (const auto& cause : errors.take()) said.push_back(cause.field + ": " + cause.message);
  CHECK(said == Texts{"status.conditions: Invalid value: cannot set Complete=True and Failed=true "
                      "conditions",
                      "status.completionTime: Required value: completionTime is required for "
                      "Complete jobs",
                      "status.startTime: Required value: startTime is required for finished job",
                      "status.active: Invalid value: 1: active>0 is invalid for finished job"});
}

TEST_CASE("cron jobs: rules") {
  const std::string json = R"({"metadata":{"name":"c","namespace":"default"},"spec":
      {"schedule":"*/5 * * * *","jobTemplate":{"spec":{"template":{"spec":
      {"restartPolicy":"OnFailure","containers":[{"name":"x","image":"i"}]}}}}}})";
  check_rules<CronJob>(
      json,
      {{"/spec/schedule", "\"\"", {"spec.schedule: Required value"}},
       {"/spec/schedule",
        "\"* * * *\"",
        {"spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * "
         "*]"}},
       {"/spec/schedule",
        "\"TZ=UTC * * * * *\"",
        {"spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in "
         "schedule, use timeZone field instead"}},
       {"/spec/timeZone",
        "\"Nowhere/At_All\"",
        {"spec.timeZone: Invalid value: \"Nowhere/At_All\": unknown time zone Nowhere/At_All"}},
       {"/spec/timeZone",
        "\"\"",
        {"spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"}},
       {"/spec/concurrencyPolicy",
        "\"Maybe\"",
        {"spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", "
         "\"Forbid\", \"Replace\""}},
       {"/spec/startingDeadlineSeconds",
        "-1",
        {"spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"}},
       {"/spec/failedJobsHistoryLimit",
        "-1",
        {"spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"}},
       {"/spec/jobTemplate/spec/manualSelector",
        "true",
        {"spec.jobTemplate.spec.manualSelector: Unsupported value: \"true\": supported values: "
         "\"nil\", \"false\""}},
       {"/spec/jobTemplate/spec/parallelism",
        "-2",
        {"spec.jobTemplate.spec.parallelism: Invalid value: -2: must be greater than or equal to "
         "0"}},
       {"/metadata/name",
        "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff\"",
        {"metadata.name: Invalid value: \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff\": "
         "must be no more than 52 characters"}}});
}

}  // namespace
}  // namespace orch::api::test
