#!/bin/bash
# orch killall: nothing that this instance made is left; another instance on the machine is not touched.
source "$(dirname "$0")/lib.sh"
one_node
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2

# What a namespace and a data dir hold of orch's, one thing a line.
left() {
  local ns=$run_id-$1 data=$2
  nsenter --net="/var/run/netns/$ns" ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/link \1/' |
    grep -Ev '^link (lo|to-[ab])$'
  nsenter --net="/var/run/netns/$ns" ip -o route | grep -E '^10\.4[23]\.' | sed 's/^/route /'
  if command -v nft >/dev/null; then
    nsenter --net="/var/run/netns/$ns" nft list tables | sed 's/^/nft /'
  fi
  grep -F " $data/" /proc/mounts | awk '{ print "mount", $2 }'
  local process id
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline" | grep -F "$data/"; } >"$work/command" 2>/dev/null; then
      echo "process $(cut -c 1-100 "$work/command")"
    fi
  done
  for id in $(cat "$work/containers-$1" 2>/dev/null); do
    find /sys/fs/cgroup -type d -name "*$id*" 2>/dev/null | sed 's/^/cgroup /'
  done
  find /sys/fs/cgroup -type d -name '*pod*' 2>/dev/null | grep -Ff "$work/uids-$1" | sed 's/^/cgroup /'
}

check "create deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=4
check "expose" k expose deployment web --port=80 --target-port=8080 --type=NodePort
check "a host port" k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: port}
spec:
  containers:
  - {name: main, image: "docker.io/library/orch-test:1", ports: [{containerPort: 8080, hostPort: 8088}]}
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
YAML
check "rollout" k rollout status deploy/web --timeout=60s
wait_for 30 "the pod" k wait --for=condition=Ready pod/port --timeout=20s
for side in a b; do
  [ $side = a ] && node=n1 || node=n2
  k get pods --field-selector "spec.nodeName=$node" -o 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}' \
    >"$work/uids-$side"
  k get pods --field-selector "spec.nodeName=$node" \
    -o 'jsonpath={range .items[*]}{.status.containerStatuses[0].containerID}{"\n"}{end}' |
    sed 's,containerd://,,' >"$work/containers-$side"
  [ -s "$work/uids-$side" ] || fail "no pod on $node"
done
cluster_ip=$(k get svc web -o 'jsonpath={.spec.clusterIP}')
second_ip=$(k get pods --field-selector spec.nodeName=n2 -o 'jsonpath={.items[0].status.podIP}')
left a "$work/n1" >"$work/before"
for thing in link nft mount process cgroup; do
  if [ $thing = nft ] && ! command -v nft >/dev/null; then continue; fi
  grep -q "^$thing " "$work/before" || fail "before: no $thing in $(cat "$work/before")"
done

say "killall"
check "killall" in_ns "$run_id-a" "$orch" killall --config "$work/none.yaml" --data-dir "$work/n1"
wait "${node_pid[n1]}" 2>/dev/null
if alive n1; then fail "orch still runs"; fi
left a "$work/n1" >"$work/after"
same "what is left" "" "$(cat "$work/after")"
[ -f "$work/n1/server/token" ] || fail "the data is gone"

say "the other instance lives"
alive n2 || fail "the agent of n2 has ended"
check_out "its pod answers" '^(web|port)' \
  in_ns "$run_id-b" curl -sS --max-time 3 "http://$second_ip:8080/cgi-bin/hostname"
check "killall again" in_ns "$run_id-a" "$orch" killall --config "$work/none.yaml" --data-dir "$work/n1"

say "start again"
start_server n1 a
wait_for 30 "node n1 ready" node_ready n1
check "rollout" k rollout status deploy/web --timeout=60s
wait_for 20 "the Service" answers a "http://$cluster_ip" 4

say "uninstall"
check "uninstall of n2" in_ns "$run_id-b" "$orch" uninstall --config "$work/none.yaml" --data-dir "$work/n2"
same "what is left" "" "$(left b "$work/n2")"
[ ! -e "$work/n2/agent" ] || fail "the data of n2 is left: $(ls "$work/n2")"
