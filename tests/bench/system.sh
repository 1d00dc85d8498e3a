#!/usr/bin/env bash
# The whole thing, measured: start, memory, idle cost, pod latency beside `ctr run` of the same image, LIST. Prints a
# table; not part of ctest. Needs root, containerd, kubectl; everything in its own network namespace.
#   ORCH_BINARY=build/release/orch tests/bench/system.sh [idle seconds, default 60] [settle seconds, default 5]
# The store compacts every 5 minutes: what the pods of this run left behind is gone after two rounds, so idle disk
# writes are those of an idle cluster with `system.sh 300 620`; with less, the load's housekeeping is in them.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
orch=$(readlink -f "${ORCH_BINARY:-$top/build/release/orch}")
idle=${1:-60}
settle=${2:-5}
ns=orchbench$$
dir=$(mktemp -d /tmp/orchbench-XXXX)
image=docker.io/library/orch-test:1
pids=()
inside() { nsenter --net="/var/run/netns/$ns" "$@"; }
k() { inside kubectl --kubeconfig "$dir/kc.yaml" "$@"; }
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  sleep 1
  "$orch" killall --data-dir "$dir" >/dev/null 2>&1 || true
  "$orch" killall --data-dir "$dir/agent-alone" >/dev/null 2>&1 || true
  ip netns del "$ns" 2>/dev/null || true
  ip netns del "$ns-2" 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
now_ms() { date +%s%3N; }
row() { printf '%-44s %14s   %s\n' "$1" "$2" "$3"; }
value() { awk -v key="$2" '$1 == key ":" {print $2}' "/proc/$1/$3"; }

ip netns add "$ns"
ip netns add "$ns-2"
ip -n "$ns" link add eth0 type veth peer name eth0 netns "$ns-2"
for host in 1 2; do
  name=$ns; [ "$host" = 2 ] && name=$ns-2
  ip -n "$name" link set lo up
  ip -n "$name" addr add "192.168.99.$host/24" dev eth0
  ip -n "$name" link set eth0 up
done
ip -n "$ns-2" route add default via 192.168.99.1
mkdir -p "$dir/agent/images"
"$top/tests/support/make_image.sh" "$dir/agent/images/test.tar" "$image" >/dev/null

row "what" "measured" "goal or peer"
row "binary, MB" "$(( $(stat -c %s "$orch") / 1000000 ))" "under 25"

# Pods are measured here, not what becomes of them on a full disk.
export ORCH_EVICTION_HARD='memory.available<100Mi,nodefs.available<1%,imagefs.available<1%'
start=$(now_ms)
# Not through inside(): $! must be orch itself, not a shell around it.
nsenter --net="/var/run/netns/$ns" "$orch" server --data-dir "$dir" --node-name bench \
  --write-kubeconfig "$dir/kc.yaml" >"$dir/log" 2>&1 &
pid=$!
pids+=("$pid")
until inside curl -sk --max-time 1 https://127.0.0.1:6443/readyz 2>/dev/null | grep -q '^ok'; do sleep 0.005; done
row "start on an empty data dir to /readyz, ms" "$(( $(now_ms) - start ))" "under 300"
until grep -q 'bench is Ready' "$dir/log"; do sleep 0.005; done
row "start to node Ready, ms" "$(( $(now_ms) - start ))" "under 2000"

config=$(pgrep -af "containerd --config $dir" | head -1 | grep -o "$dir[^ ]*config.toml" || true)
address=$(awk -F'"' '/address/ {print $2; exit}' "${config:-/dev/null}")
until grep -q "imported images/test.tar" "$dir/log"; do sleep 0.05; done

# One pod at a time, from POST to the Running state its status tells; beside it, ctr run.
k create namespace bench >/dev/null
pod() {
  cat <<POD
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"$1","namespace":"bench"},"spec":{"terminationGracePeriodSeconds":0,
"containers":[{"name":"c","image":"$image","imagePullPolicy":"IfNotPresent"}]}}
POD
}
cert=$(mktemp -p "$dir"); key=$(mktemp -p "$dir")
grep client-certificate-data "$dir/kc.yaml" | awk '{print $2}' | base64 -d >"$cert"
grep client-key-data "$dir/kc.yaml" | awk '{print $2}' | base64 -d >"$key"
api() { inside curl -sk --cert "$cert" --key "$key" "$@"; }
base=https://127.0.0.1:6443/api/v1/namespaces/bench/pods
times=()
for i in $(seq 10); do
  t=$(now_ms)
  pod "p$i" | api -X POST -H 'Content-Type: application/json' --data-binary @- "$base" >/dev/null
  until api "$base/p$i" | grep -q '"phase": *"Running"'; do sleep 0.005; done
  times+=($(( $(now_ms) - t )))
  api -X DELETE "$base/p$i?gracePeriodSeconds=0" >/dev/null
done
median() { printf '%s\n' "$@" | sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
ctr_times=()
if [ -n "$address" ] && command -v ctr >/dev/null; then
  for i in $(seq 10); do
    t=$(now_ms)
    ctr -a "$address" -n k8s.io run --rm "$image" "bench-$i" /bin/true >/dev/null 2>&1 || true
    ctr_times+=($(( $(now_ms) - t )))
  done
fi
row "pod POST to Running, p50 of 10, ms" "$(median "${times[@]}")" "ctr run + 250"
[ ${#ctr_times[@]} -gt 0 ] && row "ctr run of the same image (/bin/true), p50, ms" "$(median "${ctr_times[@]}")" "the peer"

t=$(now_ms)
k -n bench create deployment many --image="$image" --replicas=30 >/dev/null
until [ "$(k -n bench get deployment many -o jsonpath='{.status.readyReplicas}')" = 30 ]; do sleep 0.05; done
row "30 pods at once, all Ready, ms" "$(( $(now_ms) - t ))" "under 15000"
k -n bench delete deployment many >/dev/null
k -n bench delete pods --all --grace-period=0 --force >/dev/null 2>&1 || true
until [ -z "$(k -n bench get pods -o name)" ]; do sleep 0.2; done

# A second host with nothing but the agent, idle for as long as the server will be.
nsenter --net="/var/run/netns/$ns-2" "$orch" agent --join https://192.168.99.1:6443 \
  --token "$(cat "$dir/server/token")" --data-dir "$dir/agent-alone" --node-name alone \
  >"$dir/agent.log" 2>&1 &
agent=$!
pids+=("$agent")
until k get node alone 2>/dev/null | grep -q " Ready "; do sleep 0.1; done

sleep "$settle"
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
w0=$(value "$pid" write_bytes io); c0=$(ticks "$pid"); a0=$(ticks "$agent"); aw0=$(value "$agent" write_bytes io)
sleep "$idle"
w1=$(value "$pid" write_bytes io); c1=$(ticks "$pid"); a1=$(ticks "$agent"); aw1=$(value "$agent" write_bytes io)
percent() { awk -v t="$1" -v s="$idle" -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.2f", 100 * t / hz / s}'; }
row "idle RSS, server with agent, MiB" "$(( $(value "$pid" VmRSS status) / 1024 ))" "under 40 (k3s: 300 to 565)"
row "idle CPU, % of a core" "$(percent $((c1 - c0)))" "under 0.5"
row "idle disk writes, B/s over ${idle} s" "$(( (w1 - w0) / idle ))" "under 500 (k3s: 6,000 to 10,000)"
row "agent alone: idle RSS, MiB" "$(( $(value "$agent" VmRSS status) / 1024 ))" "under 20 (k3s: 275)"
row "agent alone: idle CPU, % of a core" "$(percent $((a1 - a0)))" "-"
row "agent alone: idle disk writes, B/s" "$(( (aw1 - aw0) / idle ))" "-"
ctd=$(pgrep -f "containerd --config $dir" | head -1 || true)
[ -n "$ctd" ] && row "containerd beside it, RSS MiB" "$(( $(value "$ctd" VmRSS status) / 1024 ))" "not ours"

t=$(now_ms)
kill -TERM "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
row "SIGTERM to exit, ms" "$(( $(now_ms) - t ))" "under 5000"
