#!/bin/bash
# Bad flags, bad bodies, bad references: each a clear error that names what is wrong; the server lives on.
source "$(dirname "$0")/lib.sh"
one_node
server_pid=${node_pid[n1]}
token=$(cat "$work/n1/server/token")

# run FLAGS...: orch to its end, in the namespace b.
run() { in_ns "$run_id-b" timeout 20 "$orch" "$@"; }
fresh="--config $work/none.yaml --data-dir $work/fresh --write-kubeconfig $work/fresh.kubeconfig"

say "flags and configuration"
check_fails "unknown flag" '\-\-nothing' run server $fresh --nothing
check_fails "unknown verb" 'nothing' run nothing
check_fails "port out of range" 'https-listen-port' run server $fresh --https-listen-port 70000
check_fails "not a number" 'https-listen-port' run server $fresh --https-listen-port many
check_fails "bad CIDR" 'cluster-cidr.*10\.42|10\.42.*cluster-cidr' run server $fresh --cluster-cidr 10.42.0.0/99
check_fails "bad service CIDR" 'service-cidr' run server $fresh --service-cidr nonsense
check_fails "bad port range" 'service-node-port-range' run server $fresh --service-node-port-range 9-1
check_fails "bad address" 'bind-address' run server $fresh --bind-address 1.2.3
check_fails "bad mode" 'write-kubeconfig-mode' run server $fresh --write-kubeconfig-mode 999
check_fails "bad node name" 'node-name' run server $fresh --node-name 'Not_A_Name'
check_fails "bad label" 'node-label' run server $fresh --node-label '=='
check_fails "bad taint" 'node-taint' run server $fresh --node-taint 'key=value:Sometimes'
check_fails "bad overlay" 'overlay' run server $fresh --overlay ipip
check_fails "iptables mode" 'proxy-mode.*iptables|iptables.*proxy-mode' run server $fresh --proxy-mode iptables
check_fails "bad log level" 'log-level' run server $fresh --log-level loud
[ ! -e "$work/fresh" ] || fail "refused flags left a data directory behind"
check_fails "bad controller name" 'disable.*nothing|nothing.*disable' run server $fresh --disable nothing
check_fails "bad value in the environment" 'https-listen-port|ORCH_HTTPS_LISTEN_PORT' \
  env ORCH_HTTPS_LISTEN_PORT=x nsenter --net="/var/run/netns/$run_id-b" timeout 20 "$orch" server $fresh
echo 'nothing: 1' >"$work/bad.yaml"
check_fails "unknown key" 'nothing' run server $fresh --config "$work/bad.yaml"
echo 'https-listen-port: many' >"$work/bad.yaml"
check_fails "bad value of a key" 'https-listen-port' run server $fresh --config "$work/bad.yaml"
printf 'a: [\n' >"$work/bad.yaml"
check_fails "configuration is no YAML" 'bad\.yaml' run server $fresh --config "$work/bad.yaml"
check_fails "no such configuration" 'missing\.yaml' run server $fresh --config "$work/missing.yaml"

say "starts that cannot work"
check_fails "port in use" '6443.*in use|in use.*6443' in_ns "$run_id-a" timeout 20 "$orch" server \
  $fresh --disable-agent
check_fails "second orch on the data dir" "$work/n1" in_ns "$run_id-a" timeout 20 "$orch" server \
  --config "$work/none.yaml" --data-dir "$work/n1" --https-listen-port 7443 --write-kubeconfig "$work/second"
echo >"$work/file"
check_fails "the data dir is a file" "$work/file" run server --config "$work/none.yaml" \
  --write-kubeconfig "$work/second" --data-dir "$work/file"
check_fails "the data dir cannot be written" '/proc/orch' run server --config "$work/none.yaml" \
  --write-kubeconfig "$work/second" --data-dir /proc/orch
check_fails "the kubeconfig cannot be written" '/proc/orch' run server --config "$work/none.yaml" \
  --data-dir "$work/fresh" --disable-agent --write-kubeconfig /proc/orch.yaml

say "joins that cannot work"
join() { run agent --config "$work/none.yaml" --data-dir "$work/joining" --node-name n9 "$@"; }
check_fails "no --join" 'join' join --token "$token"
check_fails "no token" 'token' join --join https://192.168.77.1:6443
check_fails "wrong token" '[Tt]oken' join --join https://192.168.77.1:6443 --token "${token%??????}abcdef"
wrong=$(echo "$token" | sed 's/^K10......../K1000000000/')
check_fails "wrong CA" 'CA' join --join https://192.168.77.1:6443 --token "$wrong"
check_fails "malformed token" 'token' join --join https://192.168.77.1:6443 --token 'K10zz::'
check_fails "bad URL" 'join' join --join nonsense --token "$token"
check_fails "a name that is taken" 'n1' run agent --config "$work/none.yaml" \
  --data-dir "$work/taken" --node-name n1 --join https://192.168.77.1:6443 --token "$token"

say "bodies"
post() { # CODE PATTERN PATH TYPE FILE
  local out
  out=$(api POST "$3" -H "Content-Type: $4" --data-binary "@$5")
  [ "$(cat "$work/code")" = "$1" ] || fail "POST $3: $(cat "$work/code") instead of $1: ${out:0:300}"
  grep -Eq -- "$2" <<<"$out" || fail "POST $3: no '$2' in ${out:0:500}"
  checks=$((checks + 1))
}
maps=/api/v1/namespaces/default/configmaps
json=application/json
yaml=application/yaml
body() { printf '%s' "$1" >"$work/request"; }
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{'
post 400 '"reason": ?"BadRequest"' $maps $json "$work/request"
body 'a: [b'
post 400 '"reason": ?"BadRequest"' $maps $yaml "$work/request"
body ''
post 400 'BadRequest' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":1}}'
post 400 'data' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":[]}'
post 400 'data' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}'
post 400 'Pod' $maps $json "$work/request"
body '<xml/>'
post 415 'UnsupportedMediaType' $maps text/xml "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Not_A_Name"}}'
post 422 'metadata.name.*RFC 1123' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}'
post 422 'name or generateName is required' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"other"}}'
post 400 'namespace' $maps $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}'
post 404 'namespaces .*nowhere.* not found' /api/v1/namespaces/nowhere/configmaps $json "$work/request"
{ printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"'
  head -c 3200000 /dev/zero | tr '\0' a
  printf '"}}'; } >"$work/request"
post 413 'RequestEntityTooLarge' $maps $json "$work/request"
{ head -c 100000 /dev/zero | tr '\0' '['; } >"$work/request"
post 400 'BadRequest' $maps $json "$work/request"
post 400 'BadRequest' $maps $yaml "$work/request"
{ echo 'a: &a [x,x,x,x,x,x,x,x,x]'
  last=a
  for next in b c d e f g h i j; do
    echo "$next: &$next [*$last,*$last,*$last,*$last,*$last,*$last,*$last,*$last,*$last]"
    last=$next
  done; } >"$work/request"
post 400 'BadRequest' $maps $yaml "$work/request"
{ printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"\xff\xfe"}}'; } >"$work/request"
post 400 'BadRequest' $maps $json "$work/request"

say "unknown fields"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"f"},"dota":{"a":"b"}}'
post 400 'unknown field .*dota' "$maps?fieldValidation=Strict" $json "$work/request"
post 201 '"name": ?"f"' "$maps?fieldValidation=Ignore" $json "$work/request"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"g"},"dota":{"a":"b"}}'
api POST "$maps?fieldValidation=Warn" -H "Content-Type: $json" --data-binary "@$work/request" \
  -D "$work/headers" >/dev/null
grep -Eiq '^warning: 299 .*unknown field .*dota' "$work/headers" || fail "no warning: $(cat "$work/headers")"
body '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"h"}}'
post 422 'fieldValidation' "$maps?fieldValidation=Maybe" $json "$work/request"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k}\ndota: {a: b}\n' >"$work/unknown.yaml"
check_fails "kubectl, strict" 'unknown field "dota"' k create -f "$work/unknown.yaml"
check_out "kubectl, warn" 'Warning: unknown field "dota"' k create --validate=warn -f "$work/unknown.yaml"
check "kubectl, ignore" k delete -f "$work/unknown.yaml"
check_out "kubectl, ignore" '^configmap/k created$' k create --validate=ignore -f "$work/unknown.yaml"

say "changes"
check "a map" k create configmap stale --from-literal=a=b
version=$(k get configmap stale -o 'jsonpath={.metadata.resourceVersion}')
check "a change" k patch configmap stale -p '{"data":{"a":"c"}}'
printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"stale","resourceVersion":"%s"}}' \
  "$version" >"$work/request"
check_fails "stale resourceVersion" 'Conflict|object has been modified' k replace -f "$work/request"
check "deployment" k create deployment web --image=docker.io/library/orch-test:1
check_fails "immutable selector" 'spec.selector.*field is immutable' \
  k patch deployment web -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'
check_fails "immutable pod" 'pod updates may not change fields' k patch "$(k get pods -o name | head -1)" \
  -p '{"spec":{"restartPolicy":"Never"}}'
check "service" k create service clusterip web --tcp=80
check_fails "immutable address" 'spec.clusterIP.*immutable|may not change once set' \
  k patch service web -p '{"spec":{"clusterIP":"10.43.9.9"}}'
check_fails "negative replicas" 'spec.replicas.*greater than or equal to 0' \
  k patch deployment web -p '{"spec":{"replicas":-1}}'
check_fails "missing image" 'spec.containers\[0\].image: Required value' k apply -f - <<<'
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}]}}'
check_fails "no containers" 'spec.containers: Required value' k apply -f - <<<'
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[]}}'
check_fails "bad quantity" 'quantit' k apply -f - <<<'
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a","image":"b","resources":{"limits":{"cpu":"lots"}}}]}}'
check_fails "bad label selector" 'unable to parse|invalid|BadRequest' k get pods -l 'a in (b'
check_fails "bad field selector" 'field label not supported' k get pods --field-selector spec.nothing=1
check_fails "bad label" 'metadata.labels' k patch configmap stale -p '{"metadata":{"labels":{"a":"-b-"}}}'
check_fails "bad limit" 'ParseInt: parsing "many"' k get --raw '/api/v1/pods?limit=many'
check_fails "bad continue" 'continue' k get --raw '/api/v1/pods?limit=1&continue=nonsense'
check_fails "unknown path" 'could not find the requested resource' k get --raw /apis/nothing/v1
check_fails "no such namespace" 'namespaces "nowhere" not found' k create configmap x -n nowhere
check_fails "a protected namespace" 'forbidden|Forbidden' k delete namespace kube-system

say "absent image"
check "pod" k run absent --image=127.0.0.1:1/absent:1
wait_for 20 "ErrImagePull" outputs 'ErrImagePull|ImagePullBackOff' k get pod absent
wait_for 30 "ImagePullBackOff" outputs 'ImagePullBackOff' k get pod absent
check_out "the event" 'Failed to pull image "127.0.0.1:1/absent:1"' k describe pod absent
check "bad image name" k apply -f - <<<'
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"badname"},"spec":{"containers":[{"name":"a","image":"UPPER/CASE"}]}}'
wait_for 20 "InvalidImageName" outputs 'InvalidImageName' k get pod badname

same "the server still lives" "$server_pid" "${node_pid[n1]}"
alive n1 || fail "the server has ended"
check_out "and answers" '^ok$' k get --raw /readyz
