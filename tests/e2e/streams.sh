#!/bin/bash
# exec, attach, logs, cp and port-forward with every kubectl found (SPDY, WebSocket), with WebSockets
# spoken by hand, and with orch ctl.
source "$(dirname "$0")/lib.sh"
need_commands python3
one_node

cat >"$work/pods.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "docker.io/library/orch-test:1"}
---
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    command: [sh, -c, 'i=0; while true; do i=\$((i + 1)); echo "line \$i"; sleep 0.3; done']
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    stdin: true
    command: [sh, -c, 'while read -r line; do echo "got \$line"; done; sleep 3600']
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "docker.io/library/orch-test:1", command: [sh, -c, 'echo started; sleep 1; exit 3']}
YAML
check "pods" k apply -f "$work/pods.yaml"
check "running" k wait --for=condition=Ready pod/web pod/counter pod/echo --timeout=30s
wait_for 30 "a restart" outputs '^[1-9]' \
  k get pod crash -o 'jsonpath={.status.containerStatuses[0].restartCount}'
head -c 3000000 /dev/urandom >"$work/blob"

# The numbers of the lines come in order, without gaps.
in_order() { sed 's/^line //' "$1" | awk 'NR > 1 && $1 != last + 1 { exit 1 } { last = $1 }'; }

# terminal COMMAND...: in_ns, on a terminal.
terminal() {
  "$here/../support/pty_run.py" nsenter --net="/var/run/netns/$server_ns" "$@"
}

# What must work alike with every client; `client` is the command with its kubeconfig.
streams_of() {
  local client=("$@")
  run() { in_ns "$server_ns" "${client[@]}" "$@"; }
  same "exec" web "$(run exec web -- hostname)"
  same "stdin ends" "some input" "$(echo "some input" | timeout 20 nsenter --net="/var/run/netns/$server_ns" "${client[@]}" exec -i web -- cat)"
  run exec web -- sh -c 'exit 42' >/dev/null 2>&1
  same "exit code" 42 $?
  same "stderr apart" err "$(run exec web -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)"
  same "3 MB through stdin and stdout" "$(sha256sum <"$work/blob")" \
    "$(run exec -i web -- cat <"$work/blob" | sha256sum)"
  # The empty message that opens the streams may reach kubectl before it has made its own: it says
  # so and goes on.
  same "input that nobody reads" "" "$(head -c 3000 /dev/zero | run exec -i web -- true 2>&1 |
    grep -v 'Unknown stream id 1, discarding message')"

  terminal "${client[@]}" exec -it web -- sh >"$work/terminal" 2>&1
  same "exit code on a terminal" 7 $?
  grep -q '30 90' "$work/terminal" || fail "size of the terminal: $(cat "$work/terminal")"
  grep -q '41 101' "$work/terminal" || fail "size after a resize: $(cat "$work/terminal")"

  timeout 2.5 nsenter --net="/var/run/netns/$server_ns" "${client[@]}" logs -f counter --tail=1 >"$work/follow" 2>&1
  [ "$(wc -l <"$work/follow")" -ge 5 ] || fail "logs -f: $(cat "$work/follow")"
  check "logs -f has every line" in_order "$work/follow"
}

attach_of() {
  { sleep 0.7; echo "over attach $1"; sleep 1; } |
    timeout -s KILL 10 nsenter --net="/var/run/netns/$server_ns" "${@:2}" attach -i echo >"$work/attach" 2>&1 &
  local attach=$!
  children+=($attach)
  wait_for 10 "attach" grep -q "^got over attach $1" "$work/attach"
  kill $attach 2>/dev/null
  wait $attach 2>/dev/null
}

copies_of() {
  check "cp to the pod" in_ns "$server_ns" "$@" cp "$work/blob" web:/tmp/blob
  check "cp from the pod" in_ns "$server_ns" "$@" cp web:/tmp/blob "$work/back"
  check "the same bytes" cmp "$work/blob" "$work/back"
  mkdir -p "$work/tree/sub"
  echo deep >"$work/tree/sub/file"
  check "cp of a folder" in_ns "$server_ns" "$@" cp "$work/tree" web:/tmp/tree
  same "the folder" deep "$(k exec web -- cat /tmp/tree/sub/file)"
  check "tidy up" k exec web -- rm -rf /tmp/tree /tmp/blob
}

port=18080
forward_of() {
  port=$((port + 1))
  nsenter --net="/var/run/netns/$server_ns" "$@" port-forward pod/web "$port:8080" >"$work/forward" 2>&1 &
  local forward=$! i
  children+=($forward)
  wait_for 10 "port-forward" grep -q "Forwarding from 127.0.0.1:$port -> 8080" "$work/forward"
  for i in 1 2 3 4 5; do
    same "through port-forward ($i)" web \
      "$(in_ns "$server_ns" curl -sS --max-time 5 "http://127.0.0.1:$port/cgi-bin/hostname")"
  done
  kill $forward
  wait $forward 2>/dev/null || true
}

for kubectl in $(kubectl_versions); do
  say "$kubectl"
  command=("$kubectl" --kubeconfig "$kubeconfig")
  streams_of "${command[@]}"
  attach_of "$kubectl" "${command[@]}"
  copies_of "${command[@]}"
  forward_of "${command[@]}"
done

say "refusals and options"
check_fails "no such program" 'no such file|not found' k exec web -- /nothing
check_fails "no such container" 'container .*nothing' k exec web -c nothing -- true
check_fails "no such pod" 'pods "nothing" not found' k exec nothing -- true
check_out "logs" '^line 1$' k logs counter
same "--tail" 2 "$(k logs counter --tail=2 | wc -l)"
check_out "--timestamps" '^20[0-9-]+T[0-9:.]+Z line ' k logs counter --timestamps --tail=1
check_out "--since" '^line ' k logs counter --since=5s
same "--since-time in the future" "" "$(k logs counter --since-time=2100-01-01T00:00:00Z)"
same "--limit-bytes" "line 1" "$(k logs counter --limit-bytes=6)"
check_out "an unverified kubelet" '^line ' k logs counter --insecure-skip-tls-verify-backend --tail=1
check_out "--previous" '^started$' k logs crash --previous
check_fails "--previous of a first run" 'previous terminated container' k logs web --previous
check_fails "logs of no container" 'container nothing is not valid for pod web' k logs web -c nothing

say "WebSockets by hand"
client_files
by_hand() { # PROTOCOL QUERY [--stdin]
  in_ns "$server_ns" timeout 20 "$here/../support/ws_client.py" "$work" 127.0.0.1:6443 \
    "/api/v1/namespaces/default/pods$([ "${2:0:1}" = "?" ] || echo /)$2" "$1" "${@:3}"
}
for protocol in v5.channel.k8s.io v4.channel.k8s.io v4.base64.channel.k8s.io channel.k8s.io \
  base64.channel.k8s.io ""; do
  same "exec by '$protocol'" web "$(by_hand "$protocol" 'web/exec?command=hostname&stdout=true' 2>/dev/null)"
  same "stdin by '$protocol'" one \
    "$(echo one | by_hand "$protocol" 'web/exec?command=sh&command=-c&command=read+x%3Becho+%24x&stdin=true&stdout=true' --stdin 2>/dev/null)"
done
same "v5 ends stdin" "$(sha256sum <"$work/blob")" \
  "$(by_hand v5.channel.k8s.io 'web/exec?command=cat&stdin=true&stdout=true' --stdin <"$work/blob" 2>/dev/null | sha256sum)"
for protocol in v5.channel.k8s.io v4.channel.k8s.io; do
  by_hand $protocol 'web/exec?command=sh&command=-c&command=exit+9&stdout=true' >/dev/null 2>&1
  same "exit code by $protocol" 9 $?
done
check_out "a failure's text before v4" 'status: command terminated' \
  bash -c "$(declare -f by_hand in_ns); here='$here' work='$work' server_ns='$server_ns'
    by_hand channel.k8s.io 'web/exec?command=false&stdout=true' 2>&1; true"
for protocol in binary.k8s.io base64.binary.k8s.io ""; do
  check_out "log by '$protocol'" "^line 1" by_hand "$protocol" 'counter/log?limitBytes=6' --plain
done
check_fails "no such protocol of logs" 'no upgrade: .* 400' by_hand v5.channel.k8s.io counter/log --plain
check_out "a watch" '"type":"ADDED".*"name":"web"' \
  by_hand "" '?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dweb' --plain
check_fails "no such protocol" 'no upgrade: .* 400' by_hand v9.channel.k8s.io 'web/exec?command=true&stdout=true'
check_fails "no such container" 'no upgrade: .* 40' by_hand v5.channel.k8s.io 'web/exec?command=true&stdout=true&container=x'

say "orch ctl"
command=("$orch" ctl --kubeconfig "$kubeconfig")
streams_of "${command[@]}"
if in_ns "$server_ns" "${command[@]}" --help 2>&1 | grep -qw port-forward; then
  attach_of ctl "${command[@]}"
  copies_of "${command[@]}"
  forward_of "${command[@]}"
fi

say "kubectl debug"
command=("$kubectl" --kubeconfig "$kubeconfig")
check "debug" k debug web --image=docker.io/library/orch-test:1 -c one --target=main -- \
  sh -c 'echo from the debugger; while read -r line; do echo "got $line"; done; sleep 3600'
wait_for 15 "its status" outputs '^one running$' k get pod web -o 'go-template={{range .status.ephemeralContainerStatuses}}{{.name}}{{range $key, $value := .state}} {{$key}}{{end}}{{end}}'
check_out "its log" '^from the debugger$' k logs web -c one
same "exec in it" web "$(k exec web -c one -- hostname)"
check_out "the target's processes" 'httpd|serve' k exec web -c one -- ps
check_out "the pod stays ready" '1/1 +Running +0' k get pod web
terminal "${command[@]}" debug -it web --image=docker.io/library/orch-test:1 -c two -- sh >"$work/terminal" 2>&1
same "exit code of a debugging terminal" 0 $?
grep -q '41 101' "$work/terminal" || fail "debug -it: $(cat "$work/terminal")"
wait_for 15 "its end" outputs '^7$' k get pod web -o \
  'jsonpath={.status.ephemeralContainerStatuses[?(@.name=="two")].state.terminated.exitCode}'
