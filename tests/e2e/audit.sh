#!/usr/bin/env bash
# Audit and fairness on the real binary: events of the example policy in the log, no secret among them, mode 600;
# requests show their flow; a wrong policy is refused by name.
source "$(dirname "$0")/lib.sh"
need_commands python3

policy=$here/../../packaging/examples/audit-policy.yaml
need_netns
need_kubectl
need_commands curl
setup
make_ns a
log=$work/audit/audit.log
start_server n1 a --disable-agent --advertise-address 127.0.0.1 --audit-policy-file "$policy" \
  --audit-log-path "$log" --audit-log-mode batch
wait_for 15 "the default service account" k get serviceaccount default

k create secret generic hidden --from-literal=key=do-not-tell >/dev/null || fail "no secret created"
k create clusterrole watcher --verb=get --resource=pods >/dev/null || fail "no role created"
k get secret hidden -o name >/dev/null
k --as nobody get pods >/dev/null 2>&1 && fail "nobody may read pods"

logged() { grep -q "$1" "$log"; }
wait_for 10 "the event of the secret" logged '"verb":"create".*"resource":"secrets","namespace":"default","name":"hidden"'
wait_for 10 "the event of reading it" logged '"verb":"get".*"resource":"secrets","namespace":"default","name":"hidden"'
wait_for 10 "the role, whole" logged '"level":"RequestResponse".*"responseObject":{"kind":"ClusterRole"'
wait_for 10 "the refusal" logged '"impersonatedUser":{"username":"nobody".*"code":403.*"authorization.k8s.io/decision":"forbid"'
grep -q do-not-tell "$log" && fail "the secret is in the log"
# As base64 neither.
grep -q "$(printf do-not-tell | base64)" "$log" && fail "the secret is in the log"
[ "$(stat -c %a "$log")" = 600 ] || fail "the log's mode is $(stat -c %a "$log")"
python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$log" || fail "a line is no JSON"

# holds TEXT PATTERN: not through a pipe, which would break the writer when grep ends early.
holds() { grep -qi -- "$2" <<<"$1"; }
holds "$(k get --raw /debug/api_priority_and_fairness/dump_priority_levels)" '^workload-low, ' || fail "no dump"
holds "$(k get flowschemas -o name)" global-default || fail "no default schemas"
uid=$(k get flowschema exempt -o 'jsonpath={.metadata.uid}')
holds "$(k get namespaces -v=8 2>&1)" "X-Kubernetes-Pf-Flowschema-Uid: $uid" || fail "no flow in the answer's headers"
missing() { k get flowschemas | awk 'NR > 1 && $NF != "False" {bad = 1} END {exit bad}'; }
wait_for 10 "levels of all schemas found" missing

stop_orch n1
printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Loud}]\n' >"$work/wrong.yaml"
said=$(nsenter --net="/var/run/netns/$server_ns" "$orch" server --disable-agent --data-dir "$work/other" \
  --audit-policy-file "$work/wrong.yaml" --audit-log-path - 2>&1) && fail "a wrong policy is taken"
case $said in
*'rules[0].level: Unsupported value: "Loud"'*) ;;
*) fail "the error does not name the field: $said" ;;
esac
exit 0
