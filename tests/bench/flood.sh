#!/usr/bin/env bash
# 64 clients of one user flood the server with lists: how long do another user's requests, kubectl, health checks and
# a watch take meanwhile? Prints a table; fails when one takes a second or more. Not part of ctest. Needs root, kubectl,
# curl, python3; everything in its own network namespace.
#   ORCH_BINARY=build/release/orch tests/bench/flood.sh [clients, default 64] [objects, default 5000] [seconds, default 20]
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
orch=$(readlink -f "${ORCH_BINARY:-$top/build/release/orch}")
clients=${1:-64}
objects=${2:-5000}
seconds=${3:-20}
ns=orchflood$$
dir=$(mktemp -d /tmp/orchflood-XXXX)
pids=()
inside() { nsenter --net="/var/run/netns/$ns" "$@"; }
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  ip netns del "$ns" 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

ip netns add "$ns"
ip -n "$ns" link set lo up
nsenter --net="/var/run/netns/$ns" "$orch" server --disable-agent --data-dir "$dir" --node-name flood \
  --advertise-address 127.0.0.1 --write-kubeconfig "$dir/kc.yaml" >"$dir/log" 2>&1 &
pids+=("$!")
until inside curl -sk --max-time 1 https://127.0.0.1:6443/readyz 2>/dev/null | grep -q '^ok'; do sleep 0.05; done
k() { inside kubectl --kubeconfig "$dir/kc.yaml" "$@"; }
until k get namespace default >/dev/null 2>&1; do sleep 0.05; done
k create clusterrolebinding everyone-views --clusterrole=view --group=system:authenticated >/dev/null
for part in certificate-authority client-certificate client-key; do
  awk -v key="$part-data:" '$1 == key {print $2}' "$dir/kc.yaml" | base64 -d >"$dir/$part"
done

cat >"$dir/bystander.py" <<'PYTHON'
import http.client, json, ssl, statistics, subprocess, sys, threading, time
folder, objects, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
tls = ssl.create_default_context(cafile=folder + "/certificate-authority")
tls.load_cert_chain(folder + "/client-certificate", folder + "/client-key")
maps = "/api/v1/namespaces/default/configmaps"
as_other = {"Impersonate-User": "bystander", "Impersonate-Group": "system:authenticated"}

def connect():
    return http.client.HTTPSConnection("127.0.0.1", 6443, context=tls, timeout=60)

def ask(connection, method, path, headers={}, body=None):
    began = time.monotonic()
    connection.request(method, path, body=body, headers=dict(headers, **{"Content-Type": "application/json"}))
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit("%s %s: %d %s" % (method, path, answer.status, text[:200]))
    return time.monotonic() - began

def config_map(name, text):
    return json.dumps({"metadata": {"name": name}, "data": {"k": text}})

if seconds == 0:  # fill
    connection = connect()
    for i in range(objects):
        ask(connection, "POST", maps, body=config_map("m%d" % i, "x" * 1000))
    raise SystemExit(0)

took = {}
def note(what, duration):
    took.setdefault(what, []).append(duration)

sent = {}
def watch():
    connection = connect()
    connection.request("GET", maps + "?watch=1&labelSelector=flood%3Dyes", headers=as_other)
    stream = connection.getresponse()
    while True:
        line = stream.readline()
        if not line:
            return
        name = json.loads(line)["object"]["metadata"]["name"]
        if name in sent:
            note("write to watch event", time.monotonic() - sent.pop(name))
threading.Thread(target=watch, daemon=True).start()
time.sleep(1)

connection, end, n = connect(), time.monotonic() + seconds, 0
while time.monotonic() < end:
    n += 1
    note("GET of one object, another user", ask(connection, "GET", maps + "/m1", as_other))
    note("LIST of namespaces, another user", ask(connection, "GET", "/api/v1/namespaces", as_other))
    note("/readyz on a new connection", ask(connect(), "GET", "/readyz"))
    name = "w%d-%d" % (seconds, n)
    body = json.loads(config_map(name, "x"))
    body["metadata"]["labels"] = {"flood": "yes"}
    sent[name] = time.monotonic()
    note("POST of one object", ask(connection, "POST", maps, body=json.dumps(body)))
    if n % 5 == 1:
        began = time.monotonic()
        subprocess.run(["kubectl", "--kubeconfig", folder + "/kc.yaml", "--as", "bystander",
                        "--as-group", "system:authenticated", "get", "namespaces"],
                       check=True, stdout=subprocess.DEVNULL)
        note("kubectl get namespaces, another user", time.monotonic() - began)
    if n % 5 == 3:
        note("LIST of all objects, another user", ask(connection, "GET", maps, as_other))
    time.sleep(0.1)
bad = False
print("%-40s %6s %9s %9s %9s" % ("what", "times", "p50 ms", "p99 ms", "max ms"))
for what, times in sorted(took.items()):
    times.sort()
    worst = times[-1]
    bad = bad or worst >= 1
    print("%-40s %6d %9.1f %9.1f %9.1f" % (what, len(times), 1e3 * statistics.median(times),
                                           1e3 * times[int(len(times) * 0.99)], 1e3 * worst))
raise SystemExit(1 if bad else 0)
PYTHON

inside python3 "$dir/bystander.py" "$dir" "$objects" 0
echo "without the flood"
inside python3 "$dir/bystander.py" "$dir" "$objects" 5 || true
for ((i = 0; i < clients; i++)); do
  nsenter --net="/var/run/netns/$ns" nice -n 10 curl -s -o /dev/null --cacert "$dir/certificate-authority" \
    --cert "$dir/client-certificate" --key "$dir/client-key" \
    -H 'Impersonate-User: flooder' -H 'Impersonate-Group: system:authenticated' \
    "https://127.0.0.1:6443/api/v1/namespaces/default/configmaps?turn=[1-1000000]" &
  pids+=("$!")
done
sleep 2
echo "with $clients clients of one user that list $objects objects"
status=0
inside python3 "$dir/bystander.py" "$dir" "$objects" "$seconds" || status=1
k get --raw /debug/api_priority_and_fairness/dump_priority_levels
exit "$status"
