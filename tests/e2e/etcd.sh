#!/bin/bash
# The store in etcd's protocol: Debian's etcdctl, unmodified, against orch; with and without a client
# certificate; what it says to strangers.
source "$(dirname "$0")/lib.sh"
need_commands etcdctl openssl
api_server --etcd-listen-client-url "https://127.0.0.1:2379,unix://${TMPDIR:-/tmp}/$run_id.sock"
tls=${node_data[n1]}/server/tls/etcd
export ETCDCTL_API=3
e() {
  in_ns "$server_ns" timeout 20 etcdctl --endpoints https://127.0.0.1:2379 --cacert "$tls/ca.crt" \
    --cert "$tls/client.crt" --key "$tls/client.key" "$@"
}
# Goes on beside the test. Its end is not waited for, nor heard: an etcdctl that is told to end asks
# a server that is gone already.
beside() { # FILE ARGUMENTS...
  local out=$1
  shift
  nsenter --net="/var/run/netns/$server_ns" etcdctl \
    --endpoints https://127.0.0.1:2379 --cacert "$tls/ca.crt" --cert "$tls/client.crt" \
    --key "$tls/client.key" "$@" >"$out" 2>&1 3>&- &
  children+=($!)
}

say "certificates"
check_out "with one" '^1$' bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  e put k v >/dev/null && e get k --print-value-only | wc -l"
check_fails "without one" 'certificate|context deadline' in_ns "$server_ns" timeout 20 etcdctl \
  --command-timeout 2s --dial-timeout 2s --endpoints https://127.0.0.1:2379 --cacert "$tls/ca.crt" get k
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=etcd-client \
  -keyout "$work/other.key" -out "$work/other.crt" 2>/dev/null
check_fails "with a stranger's" 'certificate|context deadline' in_ns "$server_ns" timeout 20 etcdctl \
  --command-timeout 2s --dial-timeout 2s --endpoints https://127.0.0.1:2379 --cacert "$tls/ca.crt" \
  --cert "$work/other.crt" --key "$work/other.key" get k
socket=${TMPDIR:-/tmp}/$run_id.sock
check_out "over the socket" 'k' etcdctl --endpoints "unix://$socket" get k
same "the socket's mode" 600 "$(stat -c %a "$socket")"

say "keys"
check "put" e put /test/a 1
check "put" e put /test/b 2
check_out "previous value" '^1$' e put /test/a 3 --prev-kv
check_out "get by prefix, sorted" '^/test/b,/test/a,$' \
  bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  e get /test/ --prefix --order=DESCEND --sort-by=KEY --keys-only | grep . | tr '\n' ,"
check_out "count" '"Count" : 2' e get /test/ --prefix --limit 1 -w fields
check_out "objects are there" '^/registry/core/namespaces/default$' e get /registry/core/namespaces/ --prefix --keys-only
check_out "delete" '^2$' e del /test/ --prefix
check_out "txn" 'SUCCESS' bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  printf 'version(\"/t\") = \"0\"\n\nput /t 1\nget /t\n\nput /t 2\n\n' | e txn"
check_out "txn, the other branch" 'FAILURE' bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  printf 'version(\"/t\") = \"0\"\n\nput /t 1\n\nput /t 2\n\n' | e txn"

say "watch"
revision=$(e get /t -w json | jq .header.revision)
beside "$work/watched" watch /w --prefix --rev "$revision"
check "put" e put /w/1 one
check "delete" e del /w/1
wait_for 10 "both events" bash -c "grep -q PUT $work/watched && grep -q DELETE $work/watched"

say "leases"
lease=$(e lease grant 60 | awk '{print $2}')
check "put under it" e put /l v --lease="$lease"
check_out "its keys" '/l' e lease timetolive "$lease" --keys
check_out "kept alive" 'keepalived' e lease keep-alive --once "$lease"
check_out "listed" "$lease" e lease list
check "revoke" e lease revoke "$lease"
check_out "its key went" '"Count" : 0' e get /l -w fields
check_fails "again" 'requested lease not found' e lease revoke "$lease"
check "a short one" e put /short v --lease="$(e lease grant 2 | awk '{print $2}')"
wait_for 20 "its end" bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  [ -z \"\$(e get /short)\" ]"

say "maintenance"
check_out "health" 'is healthy' e endpoint health
check_out "status" '3\.5' e endpoint status
check_out "hash" '127.0.0.1' e endpoint hashkv
check_out "members" 'started|n1' e member list
same "no alarms" "" "$(e alarm list)"
check_out "auth" 'not enabled' bash -c "$(declare -f in_ns e); server_ns=$server_ns tls=$tls
  e user list 2>&1; true"
revision=$(e get /t -w json | jq .header.revision)
check "compact" e compact "$revision" --physical
check_fails "twice" 'required revision has been compacted' e compact "$revision"
check_fails "the future" 'future revision' e compact 99999999
check_fails "reading what was" 'compacted' e get /t --rev 2
check "defragment" e defrag
check "snapshot" e snapshot save "$work/etcd.db"
check_out "its status" '[0-9]+' etcdctl snapshot status "$work/etcd.db"
check "etcd restores it" etcdctl snapshot restore "$work/etcd.db" --data-dir "$work/restored"

say "election, lock"
beside "$work/elected" elect boss me
wait_for 15 "the election" grep -q '^me$' "$work/elected"
check_out "lock" 'held' e lock mutex echo held

say "limits and strangers"
head -c 1700000 /dev/zero | tr '\0' x >"$work/large"
check_fails "too large" 'request is too large' bash -c "$(declare -f in_ns e)
  server_ns=$server_ns tls=$tls; e put large <$work/large"
for noise in 'GET / HTTP/1.1\r\n\r\n' 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\377\377\377\377\377'; do
  printf "$noise" | timeout 5 python3 -c 'import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read())
s.settimeout(2)
try: s.recv(1000)
except OSError: pass' "$socket"
done
if curl -V | grep -q HTTP2; then
  check_out "health over plain HTTP/2" 'true' in_ns "$server_ns" curl -sS --http2 --cacert "$tls/ca.crt" \
    --cert "$tls/client.crt" --key "$tls/client.key" https://127.0.0.1:2379/health
fi
check_out "alive" 'is healthy' e endpoint health
# Byte for byte but for the name: values carry the place where the resourceVersion goes.
check_out "a write is seen by Kubernetes" '^foreign +Active' bash -c "$(declare -f in_ns e k)
  server_ns=$server_ns tls=$tls kubectl=$kubectl kubeconfig=$kubeconfig
  e get /registry/core/namespaces/default --print-value-only | head -c -1 |
    sed 's/\"name\":\"default\"/\"name\":\"foreign\"/' |
    e put /registry/core/namespaces/foreign >/dev/null
  k get namespace foreign --no-headers"

say "values that are not the API server's"
check "noise" e put /registry/core/configmaps/default/noise '{"kind":"ConfigMap"}'
check "a copy with a longer name" bash -c "$(declare -f in_ns e)
  server_ns=$server_ns tls=$tls
  e get /registry/core/namespaces/default --print-value-only | head -c -1 |
    sed 's/\"name\":\"default\"/\"name\":\"a-longer-one\"/' |
    e put /registry/core/namespaces/a-longer-one >/dev/null"
check_fails "the one" 'stored value of /registry/core/configmaps/default/noise is damaged' k get configmap noise
check_fails "the other" 'stored value of /registry/core/namespaces/a-longer-one is damaged' k get namespace a-longer-one
check "its neighbour" k create configmap neighbour --from-literal=k=v
check_out "lists go on" '^kube-root-ca.crt$' k get configmaps -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'
check_out "both lists" '^default +Active' k get namespaces --no-headers
check_out "removed as it was made" '^1$' e del /registry/core/configmaps/default/noise
check_fails "gone" 'NotFound' k get configmap noise

say "another one on the machine"
check_fails "an explicit URL that is taken" 'etcd-listen-client-url.*address already in use' \
  timeout 20 nsenter --net="/var/run/netns/$server_ns" "$orch" server --config "$work/none.yaml" \
  --data-dir "$work/second" --disable-agent --https-listen-port 7443 \
  --write-kubeconfig "$work/second.yaml" --etcd-listen-client-url https://127.0.0.1:6443
check_fails "plain text to others" 'loopback' timeout 20 "$orch" server --config "$work/none.yaml" \
  --data-dir "$work/third" --disable-agent --write-kubeconfig "$work/third.yaml" \
  --etcd-listen-client-url http://0.0.0.0:2379
rm -f "$socket"
