#!/bin/bash
# A node that keeps itself alive: pods over their limits of local storage, unused images, disk pressure.
source "$(dirname "$0")/lib.sh"
one_node
image=docker.io/library/orch-test:1

# pod NAME COMMAND [SPEC [RESOURCES]]
pod() {
  cat <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 30
  containers:
  - name: main
    image: $image
    command: [sh, -c, '$2; while true; do sleep 0.2; done']
    resources: {${4:-}}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {${3:-}}}]
---
YAML
}
field() { k get pod "$1" -o "jsonpath={.status.$2}"; }
events_of() { k get events --field-selector "involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.type} {.reason}: {.message}{"\n"}{end}'; }
condition() { k get node n1 -o "jsonpath={.status.conditions[?(@.type==\"$1\")].status} {.status.conditions[?(@.type==\"$1\")].reason}: {.status.conditions[?(@.type==\"$1\")].message}"; }
socket_of() { sed -n '/^\[grpc\]/,/address/s/.*address = "\(.*\)"/\1/p' "${node_data[n1]}/agent/etc/containerd/config.toml"; }
images() { command ctr --address "$(socket_of)" --namespace k8s.io images list -q; }
no_image() { ! images | grep -q "$1"; }

say "pods over their limits"
mega='head -c 5000000 /dev/zero'
limit='limits: {ephemeral-storage: 2Mi}'
{
  pod neighbour 'echo here >/data/file'
  pod dir "$mega >/data/file" 'sizeLimit: 1Mi'
  pod layer "$mega >/file" '' "$limit"
  pod hosts "$mega >/etc/hosts" '' "$limit"
  pod message "$mega >/dev/termination-log" '' "$limit"
  pod output "$mega | tr \"\\\\0\" x" '' "$limit"
} >"$work/limits.yaml"
check "the pods" k apply -f "$work/limits.yaml"
for name in dir layer hosts message output; do
  wait_for 90 "$name is evicted" outputs '^Failed Evicted$' k get pod $name -o 'jsonpath={.status.phase} {.status.reason}'
done
same "what it is told" 'Usage of EmptyDir volume "data" exceeds the limit "1Mi". ' "$(field dir message)"
for name in layer output; do
  check_out "what $name is told" '^(Pod ephemeral local storage usage exceeds the total limit of containers 2Mi|Container main exceeded its local ephemeral storage limit "2Mi")\. $' field $name message
done
for name in hosts message; do
  same "what $name is told" 'Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ' "$(field $name message)"
done
wait_for 20 "the event" outputs 'Warning Evicted: Usage of EmptyDir volume "data" exceeds the limit "1Mi"' events_of dir
check "their files are gone" test ! -e "${node_data[n1]}/agent/pods/$(k get pod dir -o 'jsonpath={.metadata.uid}')/volumes"
same "the neighbour runs" Running "$(field neighbour phase)"
check_out "no pressure" '^False KubeletHasNoDiskPressure: kubelet has no disk pressure$' condition DiskPressure

say "a node short of disk, with an image that nobody uses"
"$here/../support/make_image.sh" "$work/unused.tar" docker.io/library/orch-unused:1
check "an image" command ctr --address "$(socket_of)" --namespace k8s.io images import "$work/unused.tar"
{
  pod critical true
} | sed 's/^spec:/&\n  priorityClassName: system-node-critical/' >"$work/critical.yaml"
check "a critical pod" k apply -f "$work/critical.yaml"
wait_for 40 "it runs" outputs "^Running\$" field critical phase
check "the image is there" outputs orch-unused images
stop_orch n1
start_server n1 a --eviction-hard 'nodefs.available<99.9%' --image-gc-high-threshold 1 --image-gc-low-threshold 0 \
  --minimum-image-ttl-duration 1s --eviction-pressure-transition-period 1s
wait_for 60 "the image goes" no_image orch-unused
check "the one that was imported from the folder stays" outputs 'orch-test:1' images
check "and the pause image" outputs 'orch.local/pause' images
wait_for 20 "the node says so" outputs 'Warning FreeDiskSpaceFailed: Failed to garbage collect required amount of images' events_of n1
wait_for 60 "disk pressure" outputs '^True KubeletHasDiskPressure: kubelet has disk pressure$' condition DiskPressure
wait_for 60 "a pod is evicted" outputs '^Failed Evicted The node was low on resource: ephemeral-storage. Threshold quantity: [0-9A-Za-z]+, available: [0-9A-Za-z]+\. ' k get pod neighbour -o 'jsonpath={.status.phase} {.status.reason} {.status.message}'
check_out "its condition" '^True TerminationByKubelet$' k get pod neighbour -o 'jsonpath={.status.conditions[?(@.type=="DisruptionTarget")].status} {.status.conditions[?(@.type=="DisruptionTarget")].reason}'
wait_for 30 "the node's events" outputs 'EvictionThresholdMet: Attempting to reclaim ephemeral-storage' events_of n1
wait_for 30 "the node's events" outputs 'Normal NodeHasDiskPressure: Node n1 status is now: NodeHasDiskPressure' events_of n1
same "the critical pod runs" Running "$(field critical phase)"
pod refused true | sed 's/^spec:/&\n  nodeName: n1/' >"$work/refused.yaml"
check "a pod for this node" k apply -f "$work/refused.yaml"
wait_for 30 "it is refused" outputs '^Failed Evicted Pod was rejected: The node had condition: \[DiskPressure\]\. $' k get pod refused -o 'jsonpath={.status.phase} {.status.reason} {.status.message}'

say "room again"
stop_orch n1
start_server n1 a
wait_for 60 "no pressure" outputs '^False KubeletHasNoDiskPressure' condition DiskPressure
check "the refused pod goes" k delete pod refused --wait=false
pod after true >"$work/after.yaml"
check "a new pod" k apply -f "$work/after.yaml"
wait_for 60 "it runs" outputs "^Running\$" field after phase
same "the critical pod runs on" 0 "$(field critical 'containerStatuses[0].restartCount')"
