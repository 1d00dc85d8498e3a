#!/bin/bash
# Requests made to hurt: bodies that are too large, too deep or explode, forged tokens, addresses that
# must not be reached. Each a quick clear refusal; the server's memory stays in bounds.
source "$(dirname "$0")/lib.sh"
need_netns
need_kubectl
need_commands curl python3
setup
make_ns a
make_ns b
connect a 192.168.77.1 b 192.168.77.2
start_server n1 a --disable-agent
wait_for 15 "the default service account" k get serviceaccount default
maps=/api/v1/namespaces/default/configmaps
json=application/json yaml=application/yaml
patch_types="application/json-patch+json application/merge-patch+json
  application/strategic-merge-patch+json application/apply-patch+yaml"
limit=3145728

# fill TEXT BYTES: the text again and again.
fill() { yes "$1" | tr -d '\n' | head -c "$2"; }

# ask CODES PATTERN METHOD PATH TYPE [curl arguments]: sends $work/request, within 5 s (the machine may be busy).
ask() {
  local codes=$1 pattern=$2 start end
  start=$(date +%s%N)
  api "$3" "$4" -H "Content-Type: $5" --data-binary "@$work/request" "${@:6}" >/dev/null
  end=$(date +%s%N)
  local code
  code=$(cat "$work/code")
  [[ $code =~ ^($codes)$ ]] || fail "$3 $4 ($5): $code instead of $codes: $(head -c 400 "$work/body")"
  grep -Eq -- "$pattern" "$work/body" || fail "$3 $4 ($5): no '$pattern': $(head -c 400 "$work/body")"
  [ $(((end - start) / 1000000)) -lt 5000 ] || fail "$3 $4 ($5): $(((end - start) / 1000000)) ms"
  checks=$((checks + 1))
}
object() { printf '%s' "$1" >"$work/request"; }
resident() { awk '/VmRSS/ {print $2}' "/proc/${node_pid[n1]}/status"; }

object '{"metadata":{"name":"there"},"data":{"a":"b"}}'
ask 201 '"there"' POST $maps $json

say "bodies over the limit"
fill ' ' $((limit + 1)) >"$work/request"
ask 413 RequestEntityTooLarge POST $maps $json
ask 413 RequestEntityTooLarge PUT $maps/there $json
ask 413 RequestEntityTooLarge DELETE $maps/there $json
for type in $patch_types; do ask 413 RequestEntityTooLarge PATCH "$maps/there?fieldManager=m" "$type"; done
ask 413 RequestEntityTooLarge POST $maps $json -H 'Transfer-Encoding: chunked'
object '{"metadata":{"name":"zipped"}}'
gzip -c "$work/request" >"$work/request.gz" && mv "$work/request.gz" "$work/request"
ask '400|415' Status POST $maps $json -H 'Content-Encoding: gzip'
{ echo '['; for i in $(seq 10000); do echo '{"op":"test","path":"/a","value":1},'; done
  echo '{"op":"test","path":"/a","value":1}]'; } >"$work/request"
ask 413 'allowed maximum operations in a JSON patch' PATCH $maps/there application/json-patch+json

say "depth"
fill '[' $((limit - 100)) >"$work/request"
for type in $patch_types; do ask 400 Status PATCH "$maps/there?fieldManager=m" "$type"; done
ask 400 Status POST $maps $json
ask 400 Status POST $maps $yaml
{ fill '[' 1500000; fill ']' 1500000; } >"$work/request"
for type in $patch_types; do ask '200|400|422' . PATCH "$maps/there?fieldManager=m" "$type"; done
{ printf '{"metadata":{"name":"deep"},"x":'; fill '[' 1500000; fill ']' 1500000; printf '}'; } >"$work/request"
ask '201|400' . POST $maps $json
{ fill '{"":' 1500000; printf 1; fill '}' 300000; } >"$work/request"
ask 400 Status POST $maps $json

say "width"
for piece in '[],' '{},' '0,' '"",'; do
  { printf '{"metadata":{"name":"wide"},"x":['; fill "$piece" 3000000; printf '0]}'; } >"$work/request"
  ask '201|400' . POST $maps $json
  api DELETE $maps/wide >/dev/null
  { printf 'x: ['; fill "$piece" 3000000; } >"$work/request"
  ask 400 Status POST $maps $yaml
done

say "aliases"
for piece in '"x"' '""' null 1 1.5 true '{}' '[]'; do
  { echo "a: &a [$piece,$piece,$piece,$piece,$piece,$piece,$piece,$piece,$piece]"
    last=a
    for next in b c d e f g h i; do
      echo "$next: &$next [*$last,*$last,*$last,*$last,*$last,*$last,*$last,*$last,*$last]"
      last=$next
    done; } >"$work/request"
  ask 400 'excessive aliasing' POST $maps $yaml
done
[ "$(resident)" -lt 150000 ] || fail "the server holds $(resident) kB"

say "lists"
: >"$work/request"
ask 400 Status GET "$maps?limit=9223372036854775808" $json
ask '200|400' . GET "$maps?limit=-1" $json
token() { printf '%s' "$1" | base64 -w0 | tr '+/' '-_' | tr -d '='; }
ask 400 'continue' GET "$maps?limit=1&continue=nonsense" $json
for start in '../../secrets/default/' '../x' '/../x' '../../../secrets/kube-system/x'; do
  ask '400' 'continue' GET \
    "$maps?limit=1&continue=$(token "{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"$start\"}")" $json
done
ask '400|410|504' Status GET \
  "$maps?limit=1&continue=$(token '{"v":"meta.k8s.io/v1","rv":99999999,"start":"a\u0000"}')" $json

say "names"
for name in 'Upper' "$(fill a 254)" '..' 'a/b' 'a%b' 'é' ' ' '-a'; do
  object '{"metadata":{"name":"'"$name"'"}}'
  ask 422 'metadata.name' POST $maps $json
done
object '{"metadata":{"name":"a","namespace":"kube-system"}}'
ask 400 'namespace' POST $maps $json
object '{"metadata":{"name":"b"}}'
ask 400 'does not match' PUT $maps/there $json
: >"$work/request"
ask '301|400|404' . GET "$maps/..%2f..%2fsecrets" $json --path-as-is
ask '301|400|404' . GET "$maps/../secrets/x" $json --path-as-is

say "addresses"
for ip in 127.0.0.1 127.9.9.9 169.254.169.254 ::1 224.0.0.1 0.0.0.0 ::; do
  object '{"metadata":{"name":"bad"},"subsets":[{"addresses":[{"ip":"'$ip'"}],"ports":[{"port":80}]}]}'
  ask 422 'addresses\[0\].ip' POST /api/v1/namespaces/default/endpoints $json
  case $ip in *:*) family=IPv6 ;; *) family=IPv4 ;; esac
  object '{"metadata":{"name":"bad"},"addressType":"'$family'","endpoints":[{"addresses":["'$ip'"]}]}'
  ask 422 'addresses\[0\]' POST /apis/discovery.k8s.io/v1/namespaces/default/endpointslices $json
done
service() {
  object '{"metadata":{"name":"'"$1"'"},"spec":{"clusterIP":"'"$2"'","ports":[{"port":80}]}}'
}
services=/api/v1/namespaces/default/services
service outside 8.8.8.8 && ask 422 'spec.clusterIP' POST $services $json
service api "$(k get service kubernetes -o 'jsonpath={.spec.clusterIP}')" &&
  ask 422 'already allocated' POST $services $json
service one 10.43.7.7 && ask 201 '10.43.7.7' POST $services $json
service two 10.43.7.7 && ask 422 'already allocated' POST $services $json

say "unknown and double fields"
object '{"metadata":{"name":"f"},"data":{"a":"b","a":"c"},"dota":1}'
ask 400 'unknown field' POST "$maps?fieldValidation=Strict" $json
ask 400 'duplicate field' POST "$maps?fieldValidation=Strict" $json
ask 201 '"f"' POST "$maps?fieldValidation=Warn" $json -D "$work/headers"
grep -iq '^warning: 299 .*duplicate field' "$work/headers" || fail "no warning: $(cat "$work/headers")"

say "HTTP/2: whoever offers it gets HTTP/1.1, so none of its floods"
api GET /readyz --http2 -w '%{http_version}' >/dev/null
[ "$(cat "$work/code")" = 1.1 ] || fail "the server chose HTTP/$(cat "$work/code")"

say "connections that say nothing, or half of it"
before=$(resident)
cat >"$work/connections.py" <<'PY'
import resource, socket, sys, time
count = 10000
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
held = []
for i in range(count):
    held.append(socket.create_connection(("192.168.77.1", 6443)))
    if i % 100 == 1:
        held[-1].sendall(b"\x16\x03\x01\x02\x00\x01")  # a TLS hello that does not go on
    if i % 100 == 2:
        held[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # no TLS at all
print("held", flush=True)
sys.stdin.readline()
PY
mkfifo "$work/release"
in_ns "$run_id-b" python3 "$work/connections.py" <"$work/release" >"$work/held" 2>&1 &
exec 9>"$work/release"
wait_for 30 "10,000 connections" grep -q held "$work/held"
: >"$work/request"
ask 200 '"there"' GET $maps/there $json
[ $(($(resident) - before)) -lt 60000 ] || fail "10,000 connections cost $(($(resident) - before)) kB"
exec 9>&-
ask 200 '"there"' GET $maps/there $json

alive n1 || fail "the server ended"
say "resident: $(resident) kB"
exit 0
