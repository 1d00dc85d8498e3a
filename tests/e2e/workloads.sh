#!/bin/bash
# StatefulSet, DaemonSet and PodDisruptionBudget on two nodes, as kubectl shows and changes them.
source "$(dirname "$0")/lib.sh"
one_node '--controllers=*,-ttl-controller'
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2

say "controllers by name"
same "no word of the controller that is left out" "" \
  "$(k get nodes -o 'jsonpath={.items[*].metadata.annotations.node\.alpha\.kubernetes\.io/ttl}')"
check_fails "a controller nobody knows" '"nonsense" is not in the list of known controllers' \
  in_ns "$run_id-b" timeout 20 "$orch" server --config "$work/none.yaml" --data-dir "$work/other" \
  --disable-agent --write-kubeconfig "" --controllers=nonsense

# The variable of the pods' containers tells the templates apart.
cat >"$work/sets.yaml" <<YAML
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "docker.io/library/orch-test:1", env: [{name: V, value: "1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ds}
spec:
  selector: {matchLabels: {app: ds}}
  template:
    metadata: {labels: {app: ds}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "docker.io/library/orch-test:1", env: [{name: V, value: "1"}]}
YAML
values() { # LABEL: V of every pod, by name
  k get pods -l "app=$1" -o 'jsonpath={range .items[*]}{.spec.containers[0].env[0].value} {end}'
}
set_value() { # KIND/NAME VALUE
  k patch "$1" -p "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"env\":[{\"name\":\"V\",\"value\":\"$2\"}]}]}}}}"
}
started() { k get pod "db-$1" -o 'jsonpath={.metadata.creationTimestamp} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}'; }

say "a StatefulSet starts in order, a DaemonSet everywhere"
check "apply" k apply -f "$work/sets.yaml"
check_out "rollout of the StatefulSet" 'roll out complete|rolling update complete' \
  k rollout status statefulset/db --timeout=40s
check_out "rollout of the DaemonSet" 'successfully rolled out' k rollout status daemonset/ds --timeout=40s
check_out "sts" 'db +3/3' k get sts
check_out "ds" 'ds +2 +2 +2 +2 +2 +<none>' k get ds
for ordinal in 1 2; do
  made=$(started $ordinal)
  before=$(started $((ordinal - 1)))
  [[ ! ${made%% *} < ${before#* } ]] || fail "db-$ordinal was made at ${made%% *}, before db-$((ordinal - 1)) was ready at ${before#* }"
done
same "one daemon a node" "n1 n2 " \
  "$(k get pods -l app=ds -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort | tr '\n' ' ')"
same "the host name" db-1 "$(k exec db-1 -- hostname)"
check_out "a pod's own name in DNS" "$(k get pod db-1 -o 'jsonpath={.status.podIP}')" \
  k exec db-0 -- nslookup db-1.db.default.svc.cluster.local

say "a partition, the rest, and back"
check "partition" k patch statefulset db -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}'
check "new template" set_value statefulset/db 2
check_out "partitioned rollout" 'partitioned roll out complete: 1 new pods' \
  k rollout status statefulset/db --timeout=40s
same "only the last one is new" "1 1 2 " "$(values db)"
check "no partition" k patch statefulset db -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
wait_for 30 "all new" outputs '^2 2 2 $' values db
check "rollout" k rollout status statefulset/db --timeout=40s
check_out "history" '^2 ' k rollout history statefulset/db
check_out "undo" 'rolled back' k rollout undo statefulset/db
wait_for 30 "all as before" outputs '^1 1 1 $' values db
check "rollout of undo" k rollout status statefulset/db --timeout=40s

say "scale down, from the top"
check "scale" k scale statefulset/db --replicas=1
wait_for 30 "only db-0" outputs '^pod/db-0$' k get pods -l app=db -o name

say "the DaemonSet's template, and back"
check "new template" set_value daemonset/ds 2
check_out "rollout" 'successfully rolled out' k rollout status daemonset/ds --timeout=40s
same "all new" "2 2 " "$(values ds)"
check_out "history" '^2 ' k rollout history daemonset/ds
check_out "undo" 'rolled back' k rollout undo daemonset/ds
check "rollout of undo" k rollout status daemonset/ds --timeout=40s
same "all as before" "1 1 " "$(values ds)"

say "a budget holds up a drain"
check "create deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=2
check "short end" k patch deployment web -p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}'
check "rollout" k rollout status deployment/web --timeout=40s
check "budget" k create pdb web --selector=app=web --min-available=2
wait_for 10 "the budget's status" outputs '^2 2 0$' \
  k get pdb web -o 'jsonpath={.status.currentHealthy} {.status.desiredHealthy} {.status.disruptionsAllowed}'
check_fails "drain" "violate the pod's disruption budget" \
  k drain n2 --ignore-daemonsets --force --timeout=3s
same "nobody went" 2 "$(k get pods -l app=web -o name | wc -l)"
check "a looser budget" k patch pdb web --type=merge -p '{"spec":{"minAvailable":1}}'
check_out "drain" 'node/n2 drained' k drain n2 --ignore-daemonsets --force --timeout=40s
wait_for 30 "both on n1" outputs '^n1 n1 $' \
  k get pods -l app=web -o 'jsonpath={range .items[*]}{.spec.nodeName} {end}'
same "the daemon stays" 2 "$(k get pods -l app=ds -o name | wc -l)"
check "uncordon" k uncordon n2
