#!/bin/bash
# Snapshots of a busy server restore what was acknowledged before them, in orch's and in etcd's form;
# Secrets are ciphertext on disk and in snapshots, through rotation and back.
source "$(dirname "$0")/lib.sh"
need_commands zstd
api_server --secrets-encryption --snapshot-schedule '@every 2s' --snapshot-retention 2
maps=/api/v1/namespaces/default/configmaps
o() { local verb=$1 command=$2; shift 2; in_ns "$server_ns" "$orch" "$verb" "$command" --config "$work/none.yaml" "$@"; }
snapshot() { local command=$1; shift; o snapshot "$command" --data-dir "$work/n1" "$@"; }
secrets() { o secrets "$1" --data-dir "$work/n1"; }

say "saving under load"
k create secret generic hidden --from-literal=password=very-plain-password >/dev/null || fail "no secret"
client_files
writer() { # creates ConfigMaps until told to end; the acknowledged ones are listed
  local i
  for i in $(seq 2000); do
    [ -e "$work/stop" ] && return
    code=$(in_ns "$server_ns" curl -sS --cacert "$work/certificate-authority.pem" --cert "$work/client-certificate.pem" \
      --key "$work/client-key.pem" -o /dev/null -w '%{http_code}' -X POST -H 'Content-Type: application/json' \
      --data "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"load-$i\"}}" \
      "https://127.0.0.1:6443$maps")
    [ "$code" = 201 ] && echo "load-$i" >>"$work/acknowledged"
  done
}
writer & children+=($!)
wait_for 20 "some writes" outputs '[0-9]{2}' wc -l "$work/acknowledged"
cp "$work/acknowledged" "$work/before"
check_out "save" 'revision [0-9]+, [0-9]+ keys' snapshot save --name busy
check "a second one" snapshot save --name busy
check_out "etcd's form" '\.db: revision' snapshot save --name forms --format etcd
wait_for 20 "scheduled snapshots" outputs scheduled snapshot list
check_out "list" '^busy-.*\.db\.zst +[0-9]' snapshot list
busy=$(ls "$work"/n1/server/snapshots/busy-*.db.zst | head -n 1)
same "mode of a snapshot" 600 "$(stat -c %a "$busy")"
check_fails "a name with a slash" 'may only have' snapshot save --name ../x
touch "$work/stop"
stop_orch n1 KILL
check_fails "restore over a store" 'holds a store already' snapshot restore "$busy"

say "while it is down"
check_out "save without a server" 'revision' snapshot save --name offline
check_out "prune" 'deleted .*/busy-' snapshot prune --name busy --snapshot-retention 1
same "one of the name left" 1 "$(snapshot list | grep -c '^busy-')"

say "restoring into an empty data directory"
snap=$(ls "$work"/n1/server/snapshots/busy-*.db.zst)
cp "$snap" "$work/good.db.zst"
cp "$snap" "$work/bad.db.zst"
printf 'damage' | dd of="$work/bad.db.zst" bs=1 seek=2000 conv=notrunc 2>/dev/null
head -c 3000 "$snap" >"$work/cut.db.zst"
cp "$work/n1/server/cred/encryption-config.json" "$work/keys.json"
mv "$work/n1" "$work/old"
check_fails "a damaged file" 'damaged' snapshot restore "$work/bad.db.zst"
check_fails "a file cut off" 'damaged|end' snapshot restore "$work/cut.db.zst"
[ -e "$work/n1/server/db" ] && fail "a damaged file left a store behind"
check_out "restore" 'restored: [0-9]+ keys' snapshot restore "$work/good.db.zst"
start_orch n1 a server --disable-agent --node-name n1 --write-kubeconfig "$kubeconfig"
wait "${node_pid[n1]}"
grep -q 'is not known: restore' "$work/n1.log" || fail "started without the key: $(tail -n 3 "$work/n1.log")"
checks=$((checks + 1))
mkdir -p "$work/n1/server/cred" && cp "$work/keys.json" "$work/n1/server/cred/encryption-config.json"
start_server n1 a --disable-agent
k get configmaps -o name | sed 's,.*/,,' | sort >"$work/found"
missing=$(sort "$work/before" | comm -23 - "$work/found")
same "acknowledged before the snapshot and gone" "" "$missing"
same "the secret" very-plain-password "$(k get secret hidden -o 'jsonpath={.data.password}' | base64 -d)"
check "it takes writes" k create configmap after-restore

say "encryption"
plain() { # how many files of the store and its snapshots hold the password, in any form it has been written
  { grep -la -e very-plain-password -e dmVyeS1wbGFpbi1wYXNzd29yZA "$work"/n1/server/db/* 
    zstd -dcq "$work"/n1/server/snapshots/*.zst 2>/dev/null | grep -la dmVyeS1wbGFpbi1wYXNzd29yZA
    true; } | wc -l
}
same "plain copies" 0 "$(plain)"
check_out "status" 'Encryption: +enabled' secrets status
key=$(secrets status | sed -n 's/^Key: *//p')
check_out "rotate" 'Encryption: +enabled' secrets rotate
[ "$(secrets status | sed -n 's/^Key: *//p')" != "$key" ] || fail "the key is the same after rotation"
same "copies under the old key" 0 "$(grep -la "aesgcm:v1:$key:" "$work"/n1/server/db/* | wc -l)"
same "plain copies" 0 "$(plain)"
check_out "disable" 'Encryption: +disabled' secrets disable
[ "$(plain)" -gt 0 ] || fail "this test cannot see plain text"
check_out "enable" 'Encryption: +enabled' secrets enable
same "plain copies after enabling it" 0 "$(plain)"
same "the secret" very-plain-password "$(k get secret hidden -o 'jsonpath={.data.password}' | base64 -d)"
stop_orch n1 KILL
start_server n1 a --disable-agent
same "plain copies after a crash" 0 "$(plain)"
same "the secret" very-plain-password "$(k get secret hidden -o 'jsonpath={.data.password}' | base64 -d)"

if command -v etcdctl >/dev/null; then
  say "etcd's own tools"
  form=$(ls "$work"/old/server/snapshots/forms-*.db)
  zstd -dq "$work/good.db.zst" -o "$work/good.db" 2>/dev/null || cp "$form" "$work/good.db"
  export ETCDCTL_API=3
  check_out "etcdctl snapshot status" 'revision' etcdctl snapshot status -w json "$work/good.db"
  check "etcdctl snapshot restore" etcdctl snapshot restore "$form" --data-dir "$work/etcd"
  if command -v etcd >/dev/null; then
    ectl() { etcdctl --endpoints http://127.0.0.1:23790 "$@"; }
    run_etcd() { # DIRECTORY
      etcd --data-dir "$1" --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls \
        http://127.0.0.1:23790 --listen-peer-urls http://127.0.0.1:23800 --log-level error >"$work/etcd.log" 2>&1 &
      etcd_pid=$!
      children+=($etcd_pid)
      wait_for 20 "etcd over $1" ectl endpoint health
    }
    run_etcd "$work/etcd"
    check_out "a key in etcd" 'load-1' ectl get --prefix /registry/core/configmaps/default/load-1 --keys-only
    kill $etcd_pid; wait $etcd_pid 2>/dev/null
    run_etcd "$work/foreign"
    # What another Kubernetes' API server keeps there: JSON of custom kinds, protobuf otherwise.
    ectl put /registry/configmaps/default/foreign \
      '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"foreign","namespace":"default","uid":"4f0c8fb8-0b5c-4b67-9e0f-0d0c3a3b1f0e"},"data":{"a":"b"}}' >/dev/null
    ectl put /registry/namespaces/default \
      '{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"default","uid":"5f0c8fb8-0b5c-4b67-9e0f-0d0c3a3b1f0e"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}' >/dev/null
    ectl put /registry/things.example.com/x '{"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"x"}}' >/dev/null
    check "etcdctl snapshot save" ectl snapshot save "$work/foreign.db"
    kill $etcd_pid
    stop_orch n1
    mv "$work/n1" "$work/second"
    check_out "import" 'imported from etcd' snapshot restore "$work/foreign.db" \
      --encryption-provider-config "$work/second/server/cred/encryption-config.json"
    grep -q 'example.com/v1 Thing' "$work/last" || fail "what was left out is not told: $(cat "$work/last")"
    start_server n1 a --disable-agent
    same "an imported object" b "$(k get configmap foreign -o 'jsonpath={.data.a}')"
    check "writes after the import" k label configmap foreign seen=yes
  fi
fi
