#!/bin/bash
# Tokens, certificates that are renewed while everything runs, new authorities.
source "$(dirname "$0")/lib.sh"
need_runtime
need_commands openssl
api_server --certificate-lifetime 30s
started=$SECONDS
cp "$kubeconfig" "$work/first.kubeconfig"
url=https://192.168.77.1:6443
data=${node_data[n1]}
token() { in_ns "$server_ns" "$orch" token "$@" --config "$work/none.yaml" --data-dir "$data"; }
certificate() { "$orch" certificate "$@" --config "$work/none.yaml" --data-dir "$data"; }
# join NODE TOKEN: an agent that is to fail, in the foreground.
join() {
  in_ns "$run_id-b" timeout 20 "$orch" agent --config "$work/none.yaml" --data-dir "$work/failing" \
    --node-name "$1" --join "$url" --token "$2"
}
agent_with() { start_orch n2 b agent --node-name n2 --join "$url" --token "$1"; }
serial() { openssl x509 -noout -serial -in "$1"; }
changed() { [ "$(serial "$1")" != "$2" ]; }
# A watch from before the certificates change to after.
k get configmaps --watch --output-watch-events >"$work/watch" 2>&1 &
children+=($!)

say "tokens"
check_fails "no token of this form" 'not of the form' token create --new-token nonsense
expired=$(token create --ttl 1s)
good=$(token create --ttl 1h --description "for n2")
echo "$good" | grep -Eq '^K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}$' || fail "a token of another form: $good"
check_out "list" 'for n2' token list
check_out "the static one, without its secret" 'server/token +<forever> +authentication +static' token list
sleep 1
check_fails "expired" 'expired' join late "$expired"
check_fails "wrong secret" 'the token is wrong or was changed since' join late \
  "$(sed 's/server:.*/server:wrong/' "$data/server/token")"
check_fails "of another cluster" 'not the server that the token is of' join late \
  "K10$(printf '0%.0s' {1..64})::server:secret"
agent_with "$good"
wait_for 30 "n2 ready" node_ready n2
check_fails "a name belongs to who came first" 'node password does not match.*n2.node-password.orch' join n2 "$good"
check "delete" token delete "$good"
check_fails "once" 'there is no token' token delete "$good"
old=$(cat "$data/server/token")
new=$(token rotate)
[ "$new" != "$old" ] || fail "not rotated"
checks=$((checks + 1))
check_fails "the old one opens nothing" 'the token is wrong or was changed since' join late "$old"
stop_orch n2
agent_with "$good"
sleep 2
alive n2 || fail "an agent that had joined does not come back: $(tail -n 3 "${node_log[n2]}")"

say "certificates"
check_out "list" '^client-admin +O=system:masters, CN=system:admin +20[0-9T:-]+Z +' certificate check
agent_was=$(serial "$work/n2/agent/client.crt")
serving_was=$(serial "$data/server/tls/serving-kube-apiserver.crt")
check_out "rotate" 'serving-kube-apiserver: will be made anew' certificate rotate --name serving-kube-apiserver
wait_for 20 "a new serving certificate" changed "$data/server/tls/serving-kube-apiserver.crt" "$serving_was"
served() { in_ns "$server_ns" openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -serial; }
served_is() { [ "$(served)" = "$(serial "$data/server/tls/serving-kube-apiserver.crt")" ]; }
wait_for 10 "which is in use" served_is
wait_for 40 "the agent's are renewed by themselves" changed "$work/n2/agent/client.crt" "$agent_was"
while [ $((SECONDS - started)) -lt 33 ]; do sleep 1; done
wait_for 10 "a life later: the kubeconfig was renewed" k get nodes
check_fails "the first one is over" 'Unauthorized|expired|provide credentials' \
  nsenter --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$work/first.kubeconfig" get nodes
check_out "the node never was NotReady" '^True$' k get node n2 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
check "a change" k create configmap after
seen() { grep -q 'after' "$work/watch"; }
wait_for 10 "the watch of before goes on" seen
check_out "metric" '^orch_certificate_expiration_seconds\{name="serving-kube-apiserver"\} 1[0-9.e+]+' k get --raw /metrics
wait_for 10 "event" outputs 'CertificateRenewed' k get events

say "new authorities"
root_was=$(sed -n '/certificate-authority-data/s/.*: //p' "$kubeconfig")
check "rotate-ca" certificate rotate-ca
stop_orch n1
start_server n1 a --disable-agent --certificate-lifetime 30s
[ "$(sed -n '/certificate-authority-data/s/.*: //p' "$kubeconfig")" != "$root_was" ] || fail "the same authority"
checks=$((checks + 1))
sed "s|certificate-authority-data: .*|certificate-authority-data: $root_was|" "$kubeconfig" >"$work/trusting.kubeconfig"
check "who trusts the old authority still does" \
  nsenter --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$work/trusting.kubeconfig" get nodes
heartbeat() { k get lease -n kube-node-lease n2 -o 'jsonpath={.spec.renewTime}'; }
was=$(heartbeat)
beats() { [ "$(heartbeat)" != "$was" ]; }
wait_for 30 "the agent goes on" beats
