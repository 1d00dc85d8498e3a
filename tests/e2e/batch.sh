#!/bin/bash
# Jobs, CronJobs, quotas and limit ranges on one node, as people use them with kubectl.
source "$(dirname "$0")/lib.sh"
one_node

# job NAME COMMAND SPEC: a Job of the test image.
job() {
  cat <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec:
  $3
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: docker.io/library/orch-test:1
        command: ["/bin/sh", "-c", "$2"]
YAML
}

say "an indexed job, and one that fails"
job indexed 'echo index $JOB_COMPLETION_INDEX on $(hostname)' \
  $'completions: 3\n  parallelism: 3\n  completionMode: Indexed' >"$work/indexed.yaml"
job failing 'exit 3' "backoffLimit: 1" >"$work/failing.yaml"
check "create" k create -f "$work/indexed.yaml" -f "$work/failing.yaml"
check "wait for completion" k wait --for=condition=complete job/indexed --timeout=40s
check_out "job" 'indexed +Complete +3/3' k get job indexed
same "indexes" 0-2 "$(k get job indexed -o 'jsonpath={.status.completedIndexes}')"
check_out "a pod knows its index" '^index 1 on indexed-1$' k logs -l batch.kubernetes.io/job-completion-index=1
same "finalizers left" "" "$(k get pods -l job-name=indexed -o 'jsonpath={.items[*].metadata.finalizers}')"
check_out "describe" 'Normal +Completed .*Job completed' k describe job indexed

say "a quota and limits"
check "namespace" k create namespace small
check "quota" k create quota few -n small --hard=pods=1,requests.cpu=500m
k apply -f - >"$work/last" 2>&1 <<'YAML' || fail "limit range: $(cat "$work/last")"
apiVersion: v1
kind: LimitRange
metadata: {name: sane, namespace: small}
spec:
  limits:
  - {type: Container, defaultRequest: {cpu: 100m}, default: {cpu: 200m}, max: {cpu: "1"}}
YAML
wait_for 10 "the quota counted" outputs '^0$' k get quota few -n small -o 'jsonpath={.status.used.pods}'
wait_for 10 "its service account" k get serviceaccount default -n small
run() { k run "$1" -n small --image=docker.io/library/orch-test:1 --restart=Never "${@:2}"; }
check "first pod" run one
same "the default request" 100m "$(k get pod one -n small -o 'jsonpath={.spec.containers[0].resources.requests.cpu}')"
check_fails "second pod" 'exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1' run two
check_out "describe quota" 'pods +1 +1' k describe quota few -n small
check_fails "beyond the range" 'maximum cpu usage per Container is 1, but limit is 2' run big \
  --overrides='{"spec":{"containers":[{"name":"big","image":"x","resources":{"limits":{"cpu":"2"}}}]}}'
check "delete" k delete pod one -n small --grace-period=1
wait_for 20 "the pod is given back" outputs '^0$' k get quota few -n small -o 'jsonpath={.status.used.pods}'

say "a cron job"
check "create cronjob" k create cronjob tick --image=docker.io/library/orch-test:1 --schedule='0 0 1 1 *' \
  -- /bin/sh -c 'echo tock'
check_out "cronjob" 'tick +0 0 1 1 \*' k get cronjob tick
check "a run by hand" k create job --from=cronjob/tick now
check "it completes" k wait --for=condition=complete job/now --timeout=30s
check_out "its output" '^tock$' k logs job/now
check_out "its owner" '^CronJob/tick$' \
  k get job now -o 'jsonpath={.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'
check_fails "nonsense is refused" 'spec.schedule|Invalid value' \
  k create cronjob bad --image=x --schedule='99 * * * *'

say "the job that fails, after its back-off"
check "wait for failure" k wait --for=condition=failed job/failing --timeout=40s
check_out "its reason" '^BackoffLimitExceeded$' \
  k get job failing -o 'jsonpath={.status.conditions[?(@.type=="Failed")].reason}'
same "its failures" 2 "$(k get job failing -o 'jsonpath={.status.failed}')"
check "delete jobs" k delete job --all --timeout=20s
wait_for 20 "their pods are gone" empty k get pods -o name
