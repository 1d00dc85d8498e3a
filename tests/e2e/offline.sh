#!/bin/bash
# A node whose server is gone: its pods run on, and an agent that starts again starts them again.
source "$(dirname "$0")/lib.sh"
need_runtime
need_kubectl
need_commands curl
setup
make_ns a
make_ns b
connect a 192.168.77.1 b 192.168.77.2
start_server n1 a --disable-agent
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2
wait_for 15 "the default service account" k get serviceaccount default

check "config" k create configmap settings --from-literal=word=kept
check "pod" k apply -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: c
      image: docker.io/library/orch-test:1
      envFrom: [{configMapRef: {name: settings}}]
      volumeMounts: [{name: v, mountPath: /settings}]
      ports: [{containerPort: 8080, hostPort: 8088}]
  volumes: [{name: v, configMap: {name: settings}}]
YAML
answers_there() { in_ns "$run_id-b" curl -sS --max-time 2 http://192.168.77.2:8088/; }
wait_for 30 "the pod runs" outputs '^Running 10\.' k get pod web -o 'jsonpath={.status.phase} {.status.podIP}'
uid=$(k get pod web -o 'jsonpath={.metadata.uid}')
wait_for 10 "it answers" answers_there

# The agent writes down what it runs half a second after a change at the latest.
wait_for 5 "the agent's note of the pod" grep -q "$uid" "$work/n2/agent/pods.json"

say "the server goes"
stop_orch n1
check "the pod answers" answers_there
say "the agent starts again, without a server, containers running"
stop_orch n2 KILL
start_agent n2 b https://192.168.77.1:6443
sleep 3
check "the agent lives" alive n2
check "the pod answers still" answers_there

say "the node starts again: no containers, no server"
stop_orch n2
check "all containers stopped" in_ns "$run_id-b" "$orch" killall --config "$work/none.yaml" --data-dir "$work/n2"
if answers_there >/dev/null 2>&1; then fail "killall left the container"; fi
start_agent n2 b https://192.168.77.1:6443
wait_for 60 "the pod is started again" answers_there

say "the server comes back"
start_server n1 a --disable-agent
wait_for 60 "node n2 ready" node_ready n2
wait_for 30 "the same pod, ready" outputs "^$uid True" \
  k get pod web -o 'jsonpath={.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}'
check_out "its configuration" '^kept$' k exec web -- cat /settings/word
