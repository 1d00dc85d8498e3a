#!/bin/bash
# Persistent volumes as a user meets them: claims of the default class, data that outlives pods,
# protection, StatefulSets with volumes, ephemeral claims, and nothing left behind.
source "$(dirname "$0")/lib.sh"
one_node
image=docker.io/library/orch-test:1
storage=${node_data[n1]}/storage

claim() {
  cat <<YAML
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $1}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
---
YAML
}
# pod NAME CLAIM COMMAND [SPEC]
pod() {
  cat <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    command: [sh, -c, '$3; while true; do sleep 0.2; done']
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: $2}}]
  ${4:-}
---
YAML
}
claim_phase() { k get pvc "$1" -o 'jsonpath={.status.phase}'; }
volume_of() { k get pvc "$1" -o 'jsonpath={.spec.volumeName}'; }
running() { [ "$(k get pod "$1" -o 'jsonpath={.status.phase}')" = Running ]; }
gone() { ! k get "$@" 2>/dev/null; }
in_pod() { k exec "$1" -- sh -c "$2"; }
events_of() { k get events --field-selector "involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}'; }

say "the default class"
wait_for 5 "the class" outputs 'local-path \(default\) +orch.local/local-path +Delete +WaitForFirstConsumer +false' k get storageclass

say "a claim waits for its first consumer; its data outlives the pod"
claim data >"$work/claim.yaml"
check "the claim" k apply -f "$work/claim.yaml"
wait_for 5 "its event" outputs 'WaitForFirstConsumer: waiting for first consumer to be created before binding' events_of data
same "its phase" Pending "$(claim_phase data)"
pod first data 'echo kept >/data/file' >"$work/first.yaml"
check "the pod" k apply -f "$work/first.yaml"
wait_for 20 "the pod runs" running first
same "the claim is bound" Bound "$(claim_phase data)"
volume=$(volume_of data)
wait_for 5 "the file on the node" test -s "$storage/$volume/file"
check_out "the volume" 'Delete +Bound +default/data +local-path' k get pv "$volume"
check_out "the claim's row" 'data +Bound +pvc-.* 64Mi +RWO +local-path' k get pvc data
check "the pod goes" k delete pod first
pod second data true 'securityContext: {fsGroup: 3000}' >"$work/second.yaml"
check "another pod" k apply -f "$work/second.yaml"
wait_for 20 "it runs" running second
same "it sees the file" kept "$(in_pod second 'cat /data/file')"
same "fsGroup owns it" 3000 "$(in_pod second 'stat -c %g /data/file')"

say "a claim in use is kept; then the data goes with it"
check "the claim is deleted" k delete pvc data --wait=false
sleep 1
check_out "it is kept" 'Terminating' k get pvc data
same "and the data" kept "$(in_pod second 'cat /data/file')"
pod late data true >"$work/late.yaml"
check "a pod too late" k apply -f "$work/late.yaml"
wait_for 5 "it is refused" outputs 'persistentvolumeclaim "data" is being deleted' events_of late
check "it goes" k delete pod late
ln -s /etc "$storage/$volume/link"
check "the user goes" k delete pod second
wait_for 10 "the claim goes" gone pvc data
wait_for 10 "the volume goes" gone pv "$volume"
check "the directory is gone" test ! -e "$storage/$volume"
check "what it linked to is not" test -s /etc/passwd

say "a StatefulSet with volumes, read-only and subPath, an ephemeral volume"
cat >"$work/set.yaml" <<YAML
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: $image
        command: [sh, -c, 'hostname >>/data/names; while true; do sleep 0.2; done']
        volumeMounts: [{name: data, mountPath: /data, subPath: inner}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: scratch}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: $image
    command: [sh, -c, 'echo x >/data/file; while true; do sleep 0.2; done']
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - name: data
    ephemeral:
      volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}}
YAML
check "they are applied" k apply -f "$work/set.yaml"
wait_for 30 "the set runs" outputs '^2$' k get statefulset db -o 'jsonpath={.status.readyReplicas}'
wait_for 20 "the pod with its own claim runs" running scratch
same "its claim" Bound "$(claim_phase scratch-data)"
check "a pod of the set dies" k delete pod db-1
wait_for 20 "and is back" running db-1
wait_for 5 "with its data" outputs '^2$' in_pod db-1 'grep -c db-1 /data/names'
check_out "in its folder" db-1 cat "$storage/$(volume_of data-db-1)/inner/names"
scratch=$(volume_of scratch-data)
check "the pod with its own claim goes" k delete pod scratch
wait_for 15 "and its volume with it" gone pv "$scratch"
check "and its directory" test ! -e "$storage/$scratch"
pod reader data-db-0 true >"$work/reader.yaml"
sed -i 's/claimName: data-db-0/&, readOnly: true/' "$work/reader.yaml"
check "a reader" k apply -f "$work/reader.yaml"
wait_for 20 "it runs" running reader
check_out "it reads" db-0 in_pod reader 'cat /data/inner/names'
check_fails "it does not write" 'Read-only' in_pod reader 'echo x >/data/new'
check "it goes" k delete pod reader
check_out "the data stays" db-0 cat "$storage/$(volume_of data-db-0)/inner/names"

say "a pod that was given a node waits for its claim"
claim forced >"$work/forced.yaml"
pod forced forced true 'nodeName: n1' >>"$work/forced.yaml"
check "claim and pod" k apply -f "$work/forced.yaml"
wait_for 10 "it says why" outputs 'FailedMount: Unable to attach or mount volumes: unmounted volumes=\[data\].*error processing PVC default/forced: PVC is not bound' events_of forced
check "a node for the claim" k annotate pvc forced volume.kubernetes.io/selected-node=n1
wait_for 15 "then it runs" running forced

say "orch is killed and comes back: pods keep their volumes, new ones find theirs"
stop_orch n1 KILL
start_server n1 a
wait_for 30 "node n1 ready" node_ready n1
same "db-0 went on" 0 "$(k get pod db-0 -o 'jsonpath={.status.containerStatuses[0].restartCount}')"
before=$(in_pod db-0 'grep -c db-0 /data/names')
check "it is deleted" k delete pod db-0
wait_for 20 "and is back" running db-0
wait_for 5 "with its data" outputs "^$((before + 1))$" in_pod db-0 'grep -c db-0 /data/names'

say "the set and its claims go"
check "all goes" k delete statefulset/db pod/forced
check "the claims" k delete pvc --all
wait_for 20 "all volumes go" empty k get pv -o name
same "and nothing is left" "" "$(ls "$storage")"

say "a volume on another node; the node is away when it is deleted"
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2
claim far >"$work/far.yaml"
pod far far 'echo far >/data/file' 'nodeSelector: {kubernetes.io/hostname: n2}' >>"$work/far.yaml"
check "claim and pod" k apply -f "$work/far.yaml"
wait_for 30 "the pod runs" running far
far=${node_data[n2]}/storage/$(volume_of far)
wait_for 5 "its data is there" test -s "$far/file"
pod follower far true >"$work/follower.yaml"
check "a pod that names no node" k apply -f "$work/follower.yaml"
wait_for 20 "it runs" running follower
same "where the volume is" n2 "$(k get pod follower -o 'jsonpath={.spec.nodeName}')"
check "the pods go" k delete pod far follower
stop_orch n2 KILL
volume=$(volume_of far)
check "the claim goes" k delete pvc far
wait_for 5 "the volume waits for its node" outputs 'Terminating' k get pv "$volume"
check "with its data" test -s "$far/file"
start_agent n2 b https://192.168.77.1:6443
wait_for 15 "the volume goes" gone pv "$volume"
check "and the data" test ! -e "$far"
