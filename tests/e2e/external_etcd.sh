#!/bin/bash
# Several servers over a real etcd cluster of three: the same API from each, one leader; the leader and a
# member of etcd are killed while a client writes: no acknowledged write is lost.
source "$(dirname "$0")/lib.sh"
need_netns
need_kubectl
need_commands etcd etcdctl jq
setup
export ETCDCTL_API=3
make_ns a
ns=$run_id-a
ip -n "$ns" address add 192.168.88.1/32 dev lo
for i in 1 2 3; do ip -n "$ns" address add "192.168.88.1$i/32" dev lo; done

cluster="m1=http://192.168.88.11:2380,m2=http://192.168.88.12:2380,m3=http://192.168.88.13:2380"
declare -A member
start_member() {
  local i=$1 address=192.168.88.1$1
  nsenter --net="/var/run/netns/$ns" etcd --name "m$i" --data-dir "$work/etcd$i" --listen-peer-urls "http://$address:2380" \
    --initial-advertise-peer-urls "http://$address:2380" --listen-client-urls "http://$address:2379" \
    --advertise-client-urls "http://$address:2379" --initial-cluster "$cluster" --logger zap \
    --log-level error >>"$work/etcd$i.log" 2>&1 3>&- &
  member[$i]=$!
  children+=($!)
}
endpoints=http://192.168.88.11:2379,http://192.168.88.12:2379,http://192.168.88.13:2379
e() { in_ns "$ns" timeout 20 etcdctl --endpoints "$endpoints" "$@"; }

say "etcd"
for i in 1 2 3; do start_member $i; done
wait_for 60 "etcd" outputs 'is healthy' e endpoint health

say "two servers"
token=0123456789abcdef0123456789abcdef
server() {  # server NODE PORT
  start_orch "$1" a server --disable-agent --node-name "$1" --datastore-endpoint "$endpoints" \
    --https-listen-port "$2" --token "$token" --leader-elect-fast --write-kubeconfig "$work/$1.kubeconfig" \
    --advertise-address 192.168.88.1
}
server_ns=$ns
on() {  # on NODE kubectl-arguments...
  local node=$1
  shift
  in_ns "$ns" timeout 30 "$kubectl" --kubeconfig "$work/$node.kubeconfig" "$@"
}
ready() { [ -s "$work/$1.kubeconfig" ] && [ "$(on "$1" get --raw /readyz 2>/dev/null)" = ok ]; }
server s1 6443
server s2 6444
wait_for 90 "s1" ready s1
wait_for 90 "s2" ready s2
same "one CA" "$(sha256sum <"$work/s1/server/tls/server-ca.crt")" "$(sha256sum <"$work/s2/server/tls/server-ca.crt")"
check_fails "a wrong token" 'not the token' timeout 30 nsenter --net="/var/run/netns/$ns" "$orch" server \
  --config "$work/none.yaml" --data-dir "$work/stranger" --disable-agent --https-listen-port 6445 \
  --datastore-endpoint "$endpoints" --token wrong --write-kubeconfig "$work/stranger.yaml"
check "write at one" on s1 create configmap shared --from-literal=k=v
check_out "read at the other" '^v$' on s2 get configmap shared -o 'jsonpath={.data.k}'
leader() { on "$1" get lease -n kube-system kube-controller-manager -o 'jsonpath={.spec.holderIdentity}'; }
wait_for 30 "a leader" outputs '^s[12]_' leader s1
check "a deployment" on s2 create deployment web --image=none --replicas=2
wait_for 30 "its pods" outputs '^2$' bash -c "$(declare -f on in_ns)
  ns=$ns kubectl=$kubectl work=$work; on s1 get pods -o name | wc -l"

say "the leader and a member are killed under writes"
first=$(leader s1 | cut -d_ -f1)
other=s1; [ "$first" = s1 ] && other=s2
acknowledged=$work/acknowledged
: >"$acknowledged"
(
  for i in $(seq 1 400); do
    [ -e "$work/stop" ] && break
    on "$other" create configmap "w$i" --from-literal=n="$i" >/dev/null 2>&1 && echo "w$i" >>"$acknowledged"
  done
) &
writer=$!
sleep 2
kill -9 "${node_pid[$first]}"
killed=$(date +%s%N)
wait_for 20 "another leader" outputs "^${other}_" leader "$other"
took=$((($(date +%s%N) - killed) / 1000000))
say "another leads after $took ms"
[ $took -lt 12000 ] || fail "a new leader after $took ms"
check "a deployment under it" on "$other" scale deployment web --replicas=3
wait_for 30 "its pods" outputs '^3$' bash -c "$(declare -f on in_ns)
  ns=$ns kubectl=$kubectl work=$work; on $other get pods -o name | wc -l"
before=$(wc -l <"$acknowledged")
kill -9 "${member[1]}"
wait_for 30 "writes go on without one member" bash -c "[ \$(wc -l <$acknowledged) -gt $((before + 5)) ]"
touch "$work/stop"
wait $writer
on "$other" get configmaps -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | sort >"$work/present"
lost=$(sort "$acknowledged" | comm -23 - "$work/present")
same "acknowledged writes that are lost" "" "$lost"
say "$(wc -l <"$acknowledged") writes acknowledged"

say "etcd gone, and back"
kill -9 "${member[2]}"
check_fails "a write" 'datastore|ServiceUnavailable|unable to handle|[Tt]imeout' on "$other" create configmap refused
check_fails "a read" 'datastore|ServiceUnavailable|unable to handle|[Tt]imeout' on "$other" get configmap shared
start_member 1
start_member 2
wait_for 60 "recovery" on "$other" create configmap again
check_out "nothing is lost" '^v$' on "$other" get configmap shared -o 'jsonpath={.data.k}'
