#!/bin/bash
# Pods that mean harm to their node: what they asked for is not granted by halves, and node and neighbours live.
source "$(dirname "$0")/lib.sh"
one_node --pod-max-pids 200
image=docker.io/library/orch-test:1

# pod NAME COMMAND MORE_OF_CONTAINER
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
    command: [sh, -c, '$2']
    ${3:-}
---
YAML
}
waiting() { k get pod "$1" -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason}: {.status.containerStatuses[0].state.waiting.message}'; }
running() { [ "$(k get pod "$1" -o 'jsonpath={.status.phase}')" = Running ]; }
resident() { awk '/^VmRSS/ {print $2}' "/proc/${node_pid[n1]}/status"; }
# Of the pod's cgroup: v1's pids hierarchy, or v2.
pids() { cat "$(find /sys/fs/cgroup -path "*pod$(k get pod "$1" -o 'jsonpath={.metadata.uid}')/pids.$2" | head -n 1)"; }

forever='while true; do sleep 0.2; done'
{
  pod neighbour "$forever"
  pod bomb 'for i in 1 2 3 4; do ( while true; do sleep 1000 & done ) & done; exec sleep 1000'
  pod root "$forever" 'securityContext: {runAsNonRoot: true}'
  pod unfiltered "$forever" 'securityContext: {seccompProfile: {type: Localhost, localhostProfile: none.json}}'
  pod talker "$forever" 'readinessProbe: {exec: {command: ["yes"]}, periodSeconds: 1, timeoutSeconds: 1}'
  for number in 3 6 7 8 9 10; do
    pod folder-$number "$forever" "workingDir: /proc/self/fd/$number"
  done
} >"$work/pods.yaml"
check "the pods" k apply -f "$work/pods.yaml"
for name in neighbour bomb talker; do wait_for 60 "$name runs" running $name; done

say "what was asked for is not granted by halves"
wait_for 40 "nobody is root who must not be" outputs '^CreateContainerConfigError: container has runAsNonRoot and image will run as root ' waiting root
wait_for 40 "no filter, no container" outputs '^CreateContainerError: .*none.json' waiting unfiltered
for number in 3 6 7 8 9 10; do
  # It may run, in a folder of its own: of the host it sees nothing.
  if running folder-$number; then
    check_fails "the host's files through descriptor $number" '' k exec folder-$number -- sh -c 'cd -P . && ls ../../../../../work ../../../../../etc/debian_version'
  fi
done

say "processes without end"
wait_for 60 "as many as it may" outputs '^(19[0-9]|200)$' pids bomb current
same "the limit" 200 "$(pids bomb max)"
check_out "the neighbour lives" '^here$' k exec neighbour -- echo here
check "the node is ready" node_ready n1

say "output without end"
before=$(resident)
# What the runtime makes of a command whose asker left is its own; here nothing may pile up.
for i in 1 2 3; do timeout 3 nsenter --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$kubeconfig" exec neighbour -- yes >/dev/null 2>&1; done
few() { [ "$(k exec talker -- sh -c 'ps | grep -c "[y]es"')" -le 2 ]; }
wait_for 40 "probes end with their time" few
after=$(resident)
[ "$after" -lt $((before + 65536)) ] || fail "resident: $before kB before, $after kB after"
say "resident: $before kB, then $after kB"

say "descriptors and sockets"
for file in "/proc/${node_pid[n1]}/fdinfo"/*; do
  [ "${file##*/}" -gt 2 ] && [ -e "$file" ] || continue
  flags=$(sed -n 's/^flags:[[:space:]]*//p' "$file" 2>/dev/null)
  [ -n "$flags" ] || continue
  target=$(readlink "/proc/${node_pid[n1]}/fd/${file##*/}")
  # What this shell gave it, as which it also keeps /dev/null.
  [ "$target" = /dev/null ] || readlink "/proc/$$/fd/"* | grep -qxF "$target" && continue
  [ $((8#$flags & 8#2000000)) -ne 0 ] ||
    fail "descriptor ${file##*/} would be inherited: $target"
  checks=$((checks + 1))
done
no_abstract() { ! in_ns "$run_id-a" grep -E '@.*(containerd|shim|orch)' /proc/net/unix; }
check "no socket of the runtime that has no file" no_abstract
paths=(/pods /runningpods/ /stats/summary /metrics /metrics/cadvisor /configz /logs/ /debug/pprof/profile
  /containerLogs/default/neighbour/main '/run/default/neighbour/main?cmd=id'
  '/exec/default/neighbour/main?command=id' /attach/default/neighbour/main /portForward/default/neighbour
  /checkpoint/default/neighbour/main)
urls=()
for path in "${paths[@]}"; do urls+=(-o /dev/null "https://192.168.77.1:10250$path"); done
for method in GET POST; do
  in_ns "$run_id-b" curl -sk --max-time 60 -X $method -w '%{http_code}\n' "${urls[@]}" >"$work/codes"
  same "${#paths[@]} paths by $method without credentials" "${#paths[@]}" "$(grep -c '^401$' "$work/codes")"
done
exit 0
