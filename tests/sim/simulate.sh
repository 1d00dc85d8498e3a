#!/bin/bash
# `orch simulate` as its users call it: what it reports, and what it says to bad input.
#   simulate.sh PATH-OF-ORCH
set -u
orch=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# has NAME TEXT...: the last output holds each of TEXT.
has() {
  local name=$1 text
  shift
  for text in "$@"; do
    grep -qF -- "$text" "$dir/out" && continue
    echo "FAILED $name: no \"$text\" in:"
    sed 's/^/    /' "$dir/out"
    failed=1
  done
}
# ok NAME ARGUMENTS...: ends well. refused NAME STATUS ARGUMENTS...: does not, and says so in one line.
ok() {
  local name=$1
  shift
  "$orch" simulate "$@" >"$dir/out" 2>&1 && return
  echo "FAILED $name: ended with $?"
  sed 's/^/    /' "$dir/out"
  failed=1
}
refused() {
  local name=$1 status=$2 got
  shift 2
  "$orch" simulate "$@" >"$dir/stdout" 2>"$dir/out"
  got=$?
  if [ $got != "$status" ] || [ -s "$dir/stdout" ] || [ "$(wc -l <"$dir/out")" != 1 ]; then
    echo "FAILED $name: ended with $got, not $status, or with more than one line:"
    cat "$dir/stdout" "$dir/out"
    failed=1
  fi
}

ok fill --nodes 5 --pods 50
has fill "nodes                  5" "50 (50 running, 0 finished)" "pods without a node    0" \
  "pod start, virtual" "peak memory"
virtual() { grep -v -e real -e memory "$dir/out"; }
virtual >"$dir/first"
ok again --nodes 5 --pods 50
virtual | cmp - "$dir/first" || { echo "FAILED again: not the same run"; failed=1; }

ok too-much --nodes 2 --node-cpu 1 --pods 30
has too-much "20 (20 running, 0 finished)" "pods without a node    10" \
  "10  Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. preemption: "

cat >"$dir/cluster.yaml" <<'Y'
apiVersion: v1
kind: Node
metadata: {name: big, labels: {disk: ssd}}
status: {allocatable: {cpu: "8", memory: 16Gi}}
---
apiVersion: v1
kind: Node
metadata: {name: small}
spec: {taints: [{key: only, value: batch, effect: NoSchedule}]}
status: {capacity: {cpu: "2", memory: 4Gi, pods: "10"}}
---
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec:
    replicas: 3
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec:
        nodeSelector: {disk: ssd}
        containers: [{name: web, image: web, resources: {requests: {cpu: "1", memory: 1Gi}}}]
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop}
---
apiVersion: batch/v1
kind: Job
metadata: {name: sums}
spec:
  completions: 2
  parallelism: 2
  template:
    metadata: {annotations: {simulate.orch.dev/run-seconds: "5"}}
    spec:
      restartPolicy: Never
      tolerations: [{key: only, operator: Exists}]
      containers: [{name: sums, image: sums, resources: {requests: {cpu: 500m}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: huge, image: huge, resources: {requests: {cpu: "9"}}}]
Y
ok files -f "$dir/cluster.yaml"
has files "nodes                  2" "5 (3 running, 2 finished)" "pods without a node    1" \
  "1  Unschedulable: 0/2 nodes are available: "
ok both -f "$dir/cluster.yaml" --nodes 1 --pods 4
has both "nodes                  3" "9 (7 running, 2 finished)"

# bad NAME STATUS TEXT < YAML
bad() {
  cat >"$dir/$1.yaml"
  refused "$1" 1 --nodes 1 -f "$dir/$1.yaml"
  has "$1" "error: " "$2"
}
bad unknown-field 'unknown field "spec.replica"' <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replica: 3}
Y
bad invalid spec.template.metadata.labels <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: c, image: i}]}
Y
bad quantity "spec.containers[0].resources.requests[cpu]: quantities" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, image: i, resources: {requests: {cpu: many}}}]}
Y
bad node status.allocatable <<'Y'
apiVersion: v1
kind: Node
metadata: {name: one}
Y
bad kind 'no kind "Nod" in "v1"' <<'Y'
apiVersion: v1
kind: Nod
metadata: {name: one}
Y
bad yaml yaml <<'Y'
kind: [
Y
bad twice 'Node one' <<'Y'
{apiVersion: v1, kind: Node, metadata: {name: one}, status: {capacity: {cpu: "1"}}}
---
{apiVersion: v1, kind: Node, metadata: {name: one}, status: {capacity: {cpu: "1"}}}
Y
refused missing 1 --nodes 1 -f "$dir/none.yaml"
has missing none.yaml
refused no-nodes 1 --pods 3
has no-nodes --nodes
refused count 2 --nodes 1 --pods -3
has count --pods
refused size 1 --nodes 1 --node-cpu lots
has size --node-cpu
refused pod-size 1 --nodes 1 --pods 1 --pod-memory -1Gi
has pod-size --pod-memory
exit $failed
