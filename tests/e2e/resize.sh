#!/bin/bash
# cpu and memory of running pods are changed in place, or by a restart where the container wants one.
source "$(dirname "$0")/lib.sh"
one_node
image=docker.io/library/orch-test:1

# pod NAME POLICY
pod() {
  k apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    command: [sleep, "1000"]
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
    resizePolicy: [{resourceName: memory, restartPolicy: $2}]
YAML
}
# resize NAME REQUESTS LIMITS
resize() {
  api PATCH "/api/v1/namespaces/default/pods/$1/resize" -H 'Content-Type: application/strategic-merge-patch+json' \
    --data "{\"spec\":{\"containers\":[{\"name\":\"main\",\"resources\":{\"requests\":{$2},\"limits\":{$3}}}]}}"
  [ "$(cat "$work/code")" = 200 ]
}
status() { k get pod "$1" -o "jsonpath={.status.$2}"; }
main() { status "$1" "containerStatuses[0].$2"; }
memory_limit() { k exec "$1" -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'; }
cpu_of() { k exec "$1" -- sh -c 'cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || cat /sys/fs/cgroup/cpu.weight'; }

say "in place"
pod here NotRequired
pod again RestartContainer
wait_for 60 "it runs" outputs '^Running$' status here phase
same "what it was given" '{"cpu":"100m","memory":"32Mi"}' "$(main here allocatedResources)"
same "what it has" '{"limits":{"cpu":"200m","memory":"64Mi"},"requests":{"cpu":"100m","memory":"32Mi"}}' "$(main here resources)"
before=$(cpu_of here)
check "more of both" resize here '"cpu":"400m","memory":"64Mi"' '"cpu":"800m","memory":"128Mi"'
wait_for 40 "it has that" outputs '^\{"cpu":"800m","memory":"128Mi"\}$' main here resources.limits
wait_for 20 "and is done" empty status here resize
same "as its cgroup says" 134217728 "$(memory_limit here)"
[ "$(cpu_of here)" -gt "$before" ] || fail "cpu: $(cpu_of here) after $before"
check "less again" resize here '"cpu":"100m","memory":"16Mi"' '"cpu":"200m","memory":"32Mi"'
wait_for 40 "it has that" outputs '^\{"cpu":"200m","memory":"32Mi"\}$' main here resources.limits
same "as its cgroup says" 33554432 "$(memory_limit here)"
same "without a restart" 0 "$(main here restartCount)"

say "by a restart"
wait_for 40 "it runs" outputs '^Running$' status again phase
check "more memory" resize again '"cpu":"100m","memory":"64Mi"' '"cpu":"200m","memory":"128Mi"'
wait_for 60 "it was restarted" outputs '^1$' main again restartCount
wait_for 40 "with that" outputs '^\{"cpu":"200m","memory":"128Mi"\}$' main again resources.limits
wait_for 20 "and is done" empty status again resize
wait_for 20 "as its cgroup says" outputs '^134217728$' memory_limit again

say "what the node does not have"
check "too much" resize here '"cpu":"1000","memory":"16Mi"' '"cpu":"1000","memory":"32Mi"'
wait_for 40 "it never fits" outputs '^Infeasible$' status here resize
same "the pod has what it had" '{"cpu":"200m","memory":"32Mi"}' "$(main here resources.limits)"
stop_orch n1 KILL
start_server n1 a
wait_for 40 "nor after a restart of the agent" outputs '^Infeasible$' status here resize
same "the pod has what it had" '{"cpu":"100m","memory":"16Mi"}' "$(main here allocatedResources)"
same "and runs on" 0 "$(main here restartCount)"
check "something that fits" resize here '"cpu":"150m","memory":"16Mi"' '"cpu":"300m","memory":"32Mi"'
wait_for 40 "is given" outputs '^\{"cpu":"300m","memory":"32Mi"\}$' main here resources.limits
wait_for 20 "and nothing is left to do" empty status here resize
