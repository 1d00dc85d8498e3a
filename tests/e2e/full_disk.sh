#!/bin/bash
# The data dir's disk fills: writes are refused clearly, reads go on, and when there is room again so do
# writes; nothing acknowledged is lost, not even by a kill.
source "$(dirname "$0")/lib.sh"
need_netns
need_kubectl
need_commands curl fallocate
setup
make_ns a
make_ns b
connect a 192.168.77.1 b 192.168.77.2
mkdir "$work/n1"
mount -t tmpfs -o size=24m tmpfs "$work/n1" || skip "cannot mount a tmpfs"
trap 'full_disk_cleanup' EXIT
full_disk_cleanup() {
  local status=$?
  [ -n "${node_pid[n1]:-}" ] && kill -9 "${node_pid[n1]}" 2>/dev/null && wait "${node_pid[n1]}" 2>/dev/null
  node_pid[n1]=
  umount "$work/n1" || umount -l "$work/n1"
  (exit $status)
  cleanup
}
fallocate -l 6m "$work/n1/reserve"
nodes+=(n1)
node_data[n1]=$work/n1
start_server n1 a --disable-agent
wait_for 15 "the default service account" k get serviceaccount default
maps=/api/v1/namespaces/default/configmaps

# put NAME BYTES: creates a ConfigMap of that size; its name goes to the list of the acknowledged ones.
put() {
  { printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"a":"' "$1"
    head -c "$2" /dev/zero | tr '\0' a
    printf '"}}'; } >"$work/request"
  api POST $maps -H 'Content-Type: application/json' --data-binary "@$work/request" >/dev/null
  code=$(cat "$work/code")
  [ "$code" = 201 ] && echo "$1" >>"$work/acknowledged"
}

all_there() {
  k get configmaps -o name | sed 's,.*/,,' | sort >"$work/found"
  sort "$work/acknowledged" >"$work/expected"
  [ -z "$(comm -23 "$work/expected" "$work/found")" ]
}

say "filling"
for i in $(seq 60); do
  put "fill-$i" 700000
  [ "$code" = 201 ] || break
done
[ "$code" != 201 ] || fail "60 objects of 700 kB went onto 24 MiB"
[ "$i" -gt 3 ] || fail "only $i objects went onto 24 MiB"
refused() { # WHAT: the last answer is a clear Status
  [[ $code == 5* ]] || fail "$1: code $code instead of 5xx: $(head -c 400 "$work/body")"
  grep -q '"kind": *"Status"' "$work/body" || fail "$1: no Status: $(head -c 400 "$work/body")"
  grep -qi 'no space' "$work/body" || fail "$1: does not say why: $(head -c 400 "$work/body")"
  checks=$((checks + 1))
}
refused "a large object"
# The last blocks too.
fallocate -l 24m "$work/n1/ballast" 2>/dev/null || dd if=/dev/zero of="$work/n1/ballast" bs=4k 2>/dev/null
for i in $(seq 400); do
  put "small-$i" 20000
  [ "$code" = 201 ] || break
done
refused "a small object"

say "full"
alive n1 || fail "orch ended: $(tail -n 3 "${node_log[n1]}")"
check "what was acknowledged is listed" all_there
check "one object is read" k get configmap fill-1
check_out "the server is alive" '^ok$' k get --raw /livez
start=$SECONDS
for i in 1 2 3; do put "more-$i" 500000; refused "again"; done
[ $((SECONDS - start)) -le 10 ] || fail "refusals took $((SECONDS - start)) s"

say "room again"
rm -f "$work/n1/ballast" "$work/n1/reserve"
writes_again() { put "after-$SECONDS-$RANDOM" 20000; [ "$code" = 201 ]; }
wait_for 20 "writes after there is room" writes_again
put large-after 700000
same "a large object" 201 "$code"
check "nothing is lost" all_there

say "kill"
put before-kill 1000
same "the last write" 201 "$code"
stop_orch n1 KILL
start_server n1 a --disable-agent
check "nothing is lost by the kill" all_there
check "deletions" k delete configmap fill-1
exit 0
