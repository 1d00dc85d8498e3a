#!/bin/bash
# Several servers over a real etcd cluster of three: the same API from each, one leader, no address given
# twice, Secrets encrypted in etcd; the leader and a member of etcd are killed while a client writes: no
# acknowledged write is lost. The token and the authorities are rotated.
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
    --advertise-address 192.168.88.1 --secrets-encryption
}
server_ns=$ns
on() {  # on NODE kubectl-arguments...
  local node=$1
  shift
  in_ns "$ns" timeout 90 "$kubectl" --kubeconfig "$work/$node.kubeconfig" "$@"
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
wait_for 60 "a leader" outputs '^s[12]_' leader s1
check "a deployment" on s2 create deployment web --image=none --replicas=2
wait_for 60 "its pods" outputs '^2$' bash -c "$(declare -f on in_ns)
  ns=$ns kubectl=$kubectl work=$work; on s1 get pods -o name | wc -l"

say "Services through both at once"
services() { # SERVER: manifests of 30 Services
  local i
  for i in $(seq 30); do
    printf 'apiVersion: v1\nkind: Service\nmetadata: {name: %s-%s}\nspec: {type: NodePort, ports: [{port: 80}]}\n---\n' "$1" "$i"
  done
}
for node in s1 s2; do services "$node" >"$work/$node-services.yaml"; done
on s1 create -f "$work/s1-services.yaml" >"$work/s1-services" 2>&1 &
creator=$!
check "Services through s2" on s2 create -f "$work/s2-services.yaml"
wait $creator || fail "Services through s1: $(tail -n 5 "$work/s1-services")"
on s1 get services -o 'jsonpath={range .items[*]}{.spec.clusterIP}{"\n"}{end}' >"$work/ips"
on s2 get services -o 'jsonpath={range .items[*]}{.spec.ports[0].nodePort}{"\n"}{end}' | grep . >"$work/ports"
same "addresses" 61 "$(wc -l <"$work/ips")"
same "addresses given twice" "" "$(sort "$work/ips" | uniq -d)"
same "node ports" 60 "$(wc -l <"$work/ports")"
same "node ports given twice" "" "$(sort "$work/ports" | uniq -d)"
ip=$(on s1 get service s1-1 -o 'jsonpath={.spec.clusterIP}')
port=$(on s1 get service s1-1 -o 'jsonpath={.spec.ports[0].nodePort}')
check_fails "an address of the other server's" "failed to allocate IP $ip: provided IP is already allocated" \
  on s2 create service clusterip taken --clusterip "$ip" --tcp=80
check_fails "its node port" "Invalid value: $port: provided port is already allocated" \
  on s2 create service nodeport taken --node-port "$port" --tcp=80
check "it goes" on s1 delete service s1-1
check "its address is free for the other" on s2 create service clusterip taken --clusterip "$ip" --tcp=80
# Started at once, one may have written before it saw the other: the next round puts that right.
wait_for 60 "the Service kubernetes names both" outputs '^6443 6444 $' on s1 get endpoints kubernetes \
  -o 'jsonpath={range .subsets[*]}{.ports[0].port} {end}'

say "Secrets"
check "through one" on s1 create secret generic hidden --from-literal=word=xyzzy-in-the-clear
word=$(printf xyzzy-in-the-clear | base64)
check_out "through the other" "^$word\$" on s2 get secret hidden -o 'jsonpath={.data.word}'
check_out "in etcd" '^k8s:enc:aesgcm:v1:key-' bash -c "$(declare -f e in_ns); ns=$ns endpoints=$endpoints
  e get /registry/core/secrets/default/hidden --print-value-only | head -c 60 | tr -d '\0'"
same "in etcd's files" "" "$(grep -lrE "$word|xyzzy-in-the-clear" "$work"/etcd[123])"
check_fails "a rotation that the others would not know" 'several servers share' \
  in_ns "$ns" "$orch" secrets rotate --config "$work/none.yaml" --data-dir "$work/s1"
check "noise" e put /registry/core/configmaps/default/noise 'not an object'
check_fails "is told of" 'stored value of /registry/core/configmaps/default/noise is damaged' \
  on s2 get configmap noise
check_out "its neighbours live" 'shared' on s2 get configmaps
check "removed" e del /registry/core/configmaps/default/noise

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
wait_for 60 "another leader" outputs "^${other}_" leader "$other"
took=$((($(date +%s%N) - killed) / 1000000))
say "another leads after $took ms"
[ $took -lt 30000 ] || fail "a new leader after $took ms"
check "a deployment under it" on "$other" scale deployment web --replicas=3
wait_for 60 "its pods" outputs '^3$' bash -c "$(declare -f on in_ns)
  ns=$ns kubectl=$kubectl work=$work; on $other get pods -o name | wc -l"
before=$(wc -l <"$acknowledged")
kill -9 "${member[1]}"
wait_for 60 "writes go on without one member" bash -c "[ \$(wc -l <$acknowledged) -gt $((before + 5)) ]"
touch "$work/stop"
wait $writer
on "$other" get configmaps -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | sort >"$work/present"
lost=$(sort "$acknowledged" | comm -23 - "$work/present")
same "acknowledged writes that are lost" "" "$lost"
say "$(wc -l <"$acknowledged") writes acknowledged"

say "etcd gone, and back"
kill -9 "${member[2]}"
unavailable='datastore|ServiceUnavailable|unable to handle|[Tt]imeout'
on "$other" get configmap shared >"$work/read" 2>&1 &
reader=$!
check_fails "a write" "$unavailable" on "$other" create configmap refused
wait $reader && fail "a read succeeded: $(cat "$work/read")"
check_out "a read" "$unavailable" cat "$work/read"
start_member 1
start_member 2
wait_for 60 "recovery" on "$other" create configmap again
check_out "nothing is lost" '^v$' on "$other" get configmap shared -o 'jsonpath={.data.k}'

say "the token and the authorities are rotated"
mend() { "$orch" "$1" "$2" --config "$work/none.yaml" --data-dir "$work/$3" "${@:4}"; }
check "the token, where a server runs" mend token rotate "$other" --new-token fedcba9876543210fedcba9876543210
wait_for 40 "the new seal" grep -q 'sealed with the new token' "$work/$other.log"
check "the authorities, where none runs" mend certificate rotate-ca "$first"
port=6443
[ "$first" = s1 ] || port=6444
server "$first" "$port"
wait_for 60 "the old token's end" bash -c "! kill -0 ${node_pid[$first]} 2>/dev/null"
check_out "it is refused" 'not the token' tail -n 3 "$work/$first.log"
token=fedcba9876543210fedcba9876543210
server "$first" "$port"
wait_for 90 "$first again" ready "$first"
wait_for 40 "word of it at the other" grep -q 'authorities were rotated on another server' "$work/$other.log"
check_out "which goes on" '^v$' on "$other" get configmap shared -o 'jsonpath={.data.k}'
stop_orch "$other"
server "$other" $((6443 + 6444 - port))
wait_for 90 "$other again" ready "$other"
same "one CA again" "$(sha256sum <"$work/s1/server/tls/server-ca.crt")" "$(sha256sum <"$work/s2/server/tls/server-ca.crt")"
check_out "Secrets are readable" "^$word\$" on "$other" get secret hidden -o 'jsonpath={.data.word}'
