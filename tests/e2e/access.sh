#!/bin/bash
# Who is let in from outside: the agent's port 10250 for others than the API server, and what a neighbour on
# the same wire reaches of the node's ports.
source "$(dirname "$0")/lib.sh"
need_commands python3 openssl
one_node
check "a monitor, a pod and a Service" k apply -f - <<'YAML'
apiVersion: v1
kind: ServiceAccount
metadata: {name: monitor}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: read-metrics}
rules: [{apiGroups: [""], resources: [nodes/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: read-metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: read-metrics}
subjects: [{kind: ServiceAccount, name: monitor, namespace: default}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    ports:
    - {containerPort: 8080, hostPort: 8098}
    - {containerPort: 8081, hostPort: 8099, hostIP: 127.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
YAML
check "ready" k wait --for=condition=Ready pod/web --timeout=60s

# agent TOKEN PATH [curl arguments]: the answer's code and first line, asked by the neighbour.
agent() {
  local token=$1 path=$2
  shift 2
  [ -z "$token" ] || set -- -H "Authorization: Bearer $token" "$@"
  in_ns "$run_id-b" curl -sSk --max-time 20 -o "$work/page" -w '%{http_code}' "$@" \
    "https://192.168.77.1:10250$path" || return 1
  echo " $(head -n 1 "$work/page")"
}

say "the agent's port: nobody"
same "anonymous" "401 Unauthorized" "$(agent "" /metrics)"
same "anonymous health" "401 Unauthorized" "$(agent "" /healthz)"
same "a token of nobody's" "401 Unauthorized" "$(agent forged /metrics)"
same "a name in a header" "401 Unauthorized" \
  "$(agent "" /metrics -H 'X-Remote-User: system:apiserver' -H 'X-Remote-Group: system:masters')"
same "basic authentication" "401 Unauthorized" "$(agent "" /metrics -u admin:admin)"
check_fails "no read-only port" 'refused|connect' in_ns "$run_id-b" curl -sS --max-time 5 http://192.168.77.1:10255/

say "the agent's port: somebody"
token=$(k create token monitor)
wait_for 60 "metrics for whom may read them" outputs '^200 #' agent "$token" /metrics
may_not() { echo "403 Forbidden (user=system:serviceaccount:default:$1, verb=$2, resource=nodes, subresource=$3)"; }
same "no statistics" "$(may_not monitor get stats)" "$(agent "$token" /stats/summary)"
same "no pods" "$(may_not monitor get proxy)" "$(agent "$token" /pods)"
same "no exec by GET" "$(may_not monitor create proxy)" "$(agent "$token" '/exec/default/web/main?command=id&output=1')"
pod_token=$(k exec web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token)
same "a pod's token" "$(may_not default get metrics)" "$(agent "$pod_token" /metrics)"
client_files
check_out "the admin's certificate" '^200 #' agent "" /metrics \
  --cert "$work/client-certificate.pem" --key "$work/client-key.pem"
check "a token revoked" k delete serviceaccount monitor
other=$(k create token default --audience https://elsewhere.example)
same "a token for others" "401 Unauthorized" "$(agent "$other" /metrics)"

say "front proxies: who may say whom a request is from"
tls=$work/n1/server/tls
cat >"$work/who.py" <<'PY'
import json, sys
answer = json.load(sys.stdin)
if answer["kind"] == "Status":
    print(answer["code"])
else:
    user = answer["status"]["userInfo"]
    print(user["username"], ",".join(user["groups"]), user.get("uid", "-"), *user["extra"].get("scope", []))
PY
claim() { # who the server takes CERTIFICATE for, with headers that say somebody
  in_ns "$run_id-b" curl -sSk --max-time 20 --cert "$1.crt" --key "$1.key" -H 'X-Remote-User: jane' \
    -H 'X-Remote-Group: dev' -H 'X-Remote-Extra-Scope: read' -H 'Content-Type: application/json' -X POST \
    -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' \
    https://192.168.77.1:6443/apis/authentication.k8s.io/v1/selfsubjectreviews | python3 "$work/who.py"
}
printf 'oid_section=oids\n[oids]\nuserUid=1.3.6.1.4.1.57683.2\n[req]\ndistinguished_name=name\n[name]\n' >"$work/req.conf"
issue() { # issue NAME CA SUBJECT
  openssl req -config "$work/req.conf" -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" \
    -subj "$3" 2>/dev/null && printf 'extendedKeyUsage=clientAuth\n' >"$work/client.ext" &&
    openssl x509 -req -in "$work/$1.csr" -CA "$tls/$2.crt" -CAkey "$tls/$2.key" -days 1 -set_serial 7 \
      -extfile "$work/client.ext" -out "$work/$1.crt" 2>/dev/null
}
same "the server's own" "jane dev,system:authenticated - read" "$(claim "$tls/client-auth-proxy")"
check "another name of the same authority" issue other request-header-ca /CN=system:node:n1
same "is nobody" 401 "$(claim "$work/other")"
check "the name, of the clients' authority" issue client client-ca /CN=system:auth-proxy/userUid=u7
same "is a client, with its UID" "system:auth-proxy system:authenticated u7" "$(claim "$work/client")"
check_out "what extension servers are told" '\["system:auth-proxy"\]' k -n kube-system get configmap \
  extension-apiserver-authentication -o 'jsonpath={.data.requestheader-allowed-names}'

say "the server's certificate is what it was, whatever name it is asked by"
cat >"$work/names.py" <<'PY'
import socket, ssl
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
seen = set()
for i in range(20):
    with socket.create_connection(("192.168.77.1", 6443)) as plain:
        with context.wrap_socket(plain, server_hostname="evil-%d.example" % i) as tls:
            tls.sendall(b"GET /version HTTP/1.1\r\nHost: evil-%d.example\r\n\r\n" % i)
            tls.recv(1000)
            seen.add(tls.getpeercert(True))
print(len(seen), b"evil" in seen.pop())
PY
same "one certificate" "1 False" "$(in_ns "$run_id-b" python3 "$work/names.py")"

say "ports of pods and Services"
reach() { in_ns "$run_id-b" curl -sS --max-time 3 "http://$1/cgi-bin/hostname"; }
wait_for 20 "the host port" outputs '^web$' reach 192.168.77.1:8098
wait_for 20 "the node port" outputs '^web$' reach 192.168.77.1:30080
check_fails "a host port of the loopback address" 'refused|timed out|connect' reach 192.168.77.1:8099
same "loopback addresses are not routed" 0 \
  "$(in_ns "$run_id-a" cat /proc/sys/net/ipv4/conf/{all,default,lo,to-b}/route_localnet | sort -u)"
# A neighbour that sends what is meant for its own loopback address to the node.
check "let the neighbour" in_ns "$run_id-b" sh -c 'for i in all to-a; do
  echo 1 >/proc/sys/net/ipv4/conf/$i/route_localnet; done'
ip -n "$run_id-b" route del 127.0.0.0/8 dev lo table local 2>/dev/null
ip -n "$run_id-b" route del 127.0.0.1/32 dev lo table local 2>/dev/null
check "a route to the node" ip -n "$run_id-b" route add 127.0.0.1/32 via 192.168.77.1 dev to-a
check_out "what it sends there" 'via 192.168.77.1 dev to-a' ip -n "$run_id-b" route get 127.0.0.1 from 192.168.77.2
for port in 30080 8098 8099; do
  check_fails "127.0.0.1:$port from outside" 'timed out|refused|route|connect' reach 127.0.0.1:$port
done
check_fails "another's address for a Service" 'external IPs is denied' k apply -f - <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: thief}
spec:
  externalIPs: [8.8.8.8]
  ports: [{port: 80}]
YAML

say "another address of the node"
check "an address more" ip -n "$run_id-a" address add 192.168.77.3/24 dev to-b
check "is the node's own from now on" ip -n "$run_id-a" route replace default via 192.168.77.2 src 192.168.77.3
vouched() { # the neighbour reaches the agent there, and the certificate is for that address
  in_ns "$run_id-b" curl -sS --max-time 5 --cacert "$work/certificate-authority.pem" -o /dev/null \
    -w '%{http_code}' https://192.168.77.3:10250/metrics
}
wait_for 60 "a certificate for it" outputs '^401$' vouched
wait_for 60 "the Node's status" outputs '^192.168.77.3$' k get node n1 \
  -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
wait_for 30 "the pods' hostIP" outputs '^192.168.77.3$' k get pod web -o 'jsonpath={.status.hostIP}'
wait_for 30 "the overlay" outputs 'local 192.168.77.3 ' ip -n "$run_id-a" -d link show type vxlan
wait_for 30 "commands in pods" outputs '^hello$' k exec web -- echo hello
exit 0
