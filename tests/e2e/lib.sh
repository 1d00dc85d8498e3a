# Sourced by the e2e tests: network namespaces with an orch in each, and what the tests need around them.
#
# ORCH_BINARY is the binary under test. Everything made here has a name unique to the run and is removed
# on exit, passed or failed; after a failure the logs are printed first. Exit code 77 means skipped.
#
# orch is entered with nsenter, not `ip netns exec`: the latter mounts a new /sys and hides the cgroups.

set -uo pipefail
exec 3>&2  # what fails inside a redirection is still heard

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
test_name=$(basename "$0" .sh)
orch=${ORCH_BINARY:?ORCH_BINARY is not set}
run_id=oe$$
work=
namespaces=()
nodes=()       # names of the nodes started; their state is in the arrays below
declare -A node_ns node_data node_pid node_log node_command
children=()
failed=0
checks=0

say() { printf '%s %s\n' "$(date +%T.%3N)" "$*"; }
skip() { echo "skipped: $*"; exit 77; }

# fail TEXT...: ends the test.
fail() {
  echo "FAILED: $test_name line ${BASH_LINENO[0]}/${BASH_LINENO[1]:-}: $*" >&3
  failed=1
  exit 1
}

# --- what the machine must have

need_root() { [ "$(id -u)" = 0 ] || skip "not root"; }

need_commands() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || skip "no $command on this machine"
  done
}

need_netns() {
  need_root
  need_commands ip nsenter
  ip netns add "$run_id-probe" 2>/dev/null || skip "no network namespaces here"
  ip netns delete "$run_id-probe"
}

need_runtime() {
  need_netns
  need_commands containerd runc busybox
}

# kubectl_versions: paths of every kubectl found, one a line, oldest first.
kubectl_versions() {
  local main folder
  main=$(command -v kubectl) || return 0
  folder=$(dirname "$(readlink -f "$main")")
  if compgen -G "$folder/kubectl.[0-9]*" >/dev/null; then
    printf '%s\n' "$folder"/kubectl.[0-9]* | sort -V
  else
    echo "$main"
  fi
}

# The newest kubectl found is the one that `k` runs.
need_kubectl() {
  kubectl=$(kubectl_versions | tail -n 1)
  [ -n "$kubectl" ] || skip "no kubectl on this machine"
}

# --- setting up and cleaning up

setup() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/orch-e2e.XXXXXX")
  export HOME=$work/home
  mkdir -p "$HOME"
  : >"$work/none.yaml"  # the machine's own configuration must not reach the orch under test
  local variable
  for variable in $(compgen -e ORCH_); do
    [ "$variable" = ORCH_BINARY ] || unset "$variable"
  done
  unset KUBECONFIG
  # A machine whose disk is fuller than the kubelet likes can run these tests all the same.
  export ORCH_EVICTION_HARD='memory.available<100Mi,nodefs.available<1%,imagefs.available<1%'
  export ORCH_IMAGE_GC_HIGH_THRESHOLD=100
  trap cleanup EXIT
  trap 'exit 130' INT TERM
}

cleanup() {
  local status=$? node pid ns
  trap '' INT TERM
  trap - EXIT
  exec >&3 2>&3
  if [ $status -ne 0 ] && [ $status -ne 77 ]; then show_logs; fi
  for pid in "${children[@]}"; do kill -9 "$pid" 2>/dev/null; done
  for node in "${nodes[@]}"; do
    pid=${node_pid[$node]:-}
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    in_ns "${node_ns[$node]}" timeout 60 "$orch" killall --config "$work/none.yaml" \
      --data-dir "${node_data[$node]}" >"$work/killall.log" 2>&1 || cat "$work/killall.log"
  done
  for ns in "${namespaces[@]}"; do ip netns delete "$ns" 2>/dev/null; done
  [ -n "$work" ] && [ -z "${ORCH_E2E_KEEP:-}" ] && rm -rf --one-file-system "$work"
  [ $status -eq 0 ] && say "$test_name: passed ($checks checks)"
  exit $status
}

show_logs() {
  local node
  for node in "${nodes[@]}"; do
    echo "--- the end of $node's log"
    tail -n 60 "${node_log[$node]}"
  done
  if [ -n "${kubeconfig:-}" ] && [ -s "${kubeconfig:-}" ]; then
    echo "--- nodes, pods, events"
    k_for 10 get nodes,pods -A -o wide
    k_for 10 get events -A --sort-by=.lastTimestamp | tail -n 25
  fi
}

# make_ns NAME: a network namespace, loopback up; its real name is $run_id-NAME.
make_ns() {
  ip netns add "$run_id-$1" || fail "cannot make the namespace $1"
  namespaces+=("$run_id-$1")
  ip -n "$run_id-$1" link set lo up
}

# connect A ADDRESS_A B ADDRESS_B: a veth pair between two namespaces, A the gateway of both.
connect() {
  ip -n "$run_id-$1" link add "to-$3" type veth peer name "to-$1" netns "$run_id-$3"
  ip -n "$run_id-$1" address add "$2/24" dev "to-$3"
  ip -n "$run_id-$3" address add "$4/24" dev "to-$1"
  ip -n "$run_id-$1" link set "to-$3" up
  ip -n "$run_id-$3" link set "to-$1" up
  ip -n "$run_id-$1" route add default via "$4"
  ip -n "$run_id-$3" route add default via "$2"
}

in_ns() { local ns=$1; shift; nsenter --net="/var/run/netns/$ns" "$@"; }

# --- orch

# start_orch NODE NAMESPACE VERB FLAGS...: starts orch in the background; a second call with a known
# node starts it again over the same data dir.
start_orch() {
  local node=$1 ns=$run_id-$2
  shift 2
  if [ -z "${node_data[$node]:-}" ]; then
    nodes+=("$node")
    node_data[$node]=$work/$node
    mkdir -p "$work/$node"
  fi
  node_ns[$node]=$ns
  node_log[$node]=$work/$node.log
  nsenter --net="/var/run/netns/$ns" "$orch" "$@" --config "$work/none.yaml" \
    --data-dir "${node_data[$node]}" >>"$work/$node.log" 2>&1 3>&- &
  node_pid[$node]=$!
}

# start_server NODE NAMESPACE FLAGS...: orch server; then `k` speaks to it.
start_server() {
  local node=$1 ns=$2
  shift 2
  kubeconfig=$work/$node.kubeconfig
  server_ns=$run_id-$ns
  server_node=$node
  start_orch "$node" "$ns" server --node-name "$node" --write-kubeconfig "$kubeconfig" "$@"
  wait_for 20 "the API server of $node" server_ready
}

server_ready() {
  alive "$server_node" || fail "orch ended: $(tail -n 3 "${node_log[$server_node]}")"
  [ -s "$kubeconfig" ] && [ "$(k get --raw /readyz 2>/dev/null)" = ok ]
}

alive() { kill -0 "${node_pid[$1]}" 2>/dev/null; }

# start_agent NODE NAMESPACE URL FLAGS...: joins the cluster of start_server.
start_agent() {
  local node=$1 ns=$2 url=$3
  shift 3
  start_orch "$node" "$ns" agent --node-name "$node" --join "$url" \
    --token "$(cat "${node_data[$server_node]}/server/token")" "$@"
}

# stop_orch NODE [SIGNAL]: and waits for its end; prints nothing.
stop_orch() {
  kill "-${2:-TERM}" "${node_pid[$1]}" 2>/dev/null
  wait "${node_pid[$1]}" 2>/dev/null
  node_status=$?
  node_pid[$1]=
}

node_ready() {
  [ "$(k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

# add_image NODE TAG: docker.io/library/orch-test:TAG, imported by the node when it starts or runs.
add_image() {
  local cache=$work/image-$2.tar
  [ -f "$cache" ] || "$here/../support/make_image.sh" "$cache" "docker.io/library/orch-test:$2"
  mkdir -p "$work/$1/agent/images"
  ln -f "$cache" "$work/$1/agent/images/test-$2.part"
  mv "$work/$1/agent/images/test-$2.part" "$work/$1/agent/images/test-$2.tar"
}

# one_node FLAGS...: the cluster most tests want: namespaces `a` (node n1) and `b` (a host beside it),
# 192.168.77.1 and .2, the image orch-test:1; ready.
one_node() {
  need_runtime
  need_kubectl
  need_commands curl
  setup
  make_ns a
  make_ns b
  connect a 192.168.77.1 b 192.168.77.2
  add_image n1 1
  start_server n1 a "$@"
  wait_for 30 "node n1 ready" node_ready n1
  wait_for 15 "the default service account" k get serviceaccount default
}

# api_server FLAGS...: the control plane alone, in namespace `a`.
api_server() {
  need_netns
  need_kubectl
  need_commands curl
  setup
  make_ns a
  make_ns b
  connect a 192.168.77.1 b 192.168.77.2
  start_server n1 a --disable-agent "$@"
  wait_for 15 "the default service account" k get serviceaccount default
}

# --- talking to it

k() { nsenter --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$kubeconfig" "$@"; }

# k_for SECONDS ARGUMENTS...: kubectl, ended after a time.
k_for() {
  local seconds=$1
  shift
  timeout "$seconds" nsenter --net="/var/run/netns/$server_ns" \
    "$kubectl" --kubeconfig "$kubeconfig" "$@"
}

# client_files: the admin's certificate, key and CA out of the kubeconfig, for curl.
client_files() {
  local field
  for field in certificate-authority client-certificate client-key; do
    sed -n "s/^ *$field-data: *//p" "$kubeconfig" | tr -d '"' | base64 -d >"$work/$field.pem"
  done
}

# api METHOD PATH [curl arguments]: prints the answer's body; its code is in $work/code.
api() {
  local method=$1 path=$2
  shift 2
  [ -s "$work/client-key.pem" ] || client_files
  in_ns "$server_ns" curl -sS --max-time 20 --cacert "$work/certificate-authority.pem" \
    --cert "$work/client-certificate.pem" --key "$work/client-key.pem" -X "$method" \
    -o "$work/body" -w '%{http_code}' "$@" "https://127.0.0.1:6443$path" >"$work/code"
  cat "$work/body"
}

# --- checks

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >"$work/last" 2>&1; do
    [ $SECONDS -lt $end ] || fail "waited ${seconds} s for $what; the last answer: $(tail -n 5 "$work/last")"
    sleep 0.1
  done
  checks=$((checks + 1))
}

# check WHAT COMMAND...: the command succeeds.
check() {
  local what=$1
  shift
  "$@" >"$work/last" 2>&1 || fail "$what: $* (exit $?): $(tail -n 20 "$work/last")"
  checks=$((checks + 1))
}

# check_out WHAT PATTERN COMMAND...: it succeeds, and its output matches the extended regex.
check_out() {
  local what=$1 pattern=$2
  shift 2
  "$@" >"$work/last" 2>&1 || fail "$what: $* (exit $?): $(tail -n 20 "$work/last")"
  grep -Eq -- "$pattern" "$work/last" || fail "$what: no '$pattern' in: $(tail -n 40 "$work/last")"
  checks=$((checks + 1))
}

# check_fails WHAT PATTERN COMMAND...: it fails, and its output matches.
check_fails() {
  local what=$1 pattern=$2
  shift 2
  if "$@" >"$work/last" 2>&1; then fail "$what: $* succeeded: $(tail -n 20 "$work/last")"; fi
  grep -Eq -- "$pattern" "$work/last" || fail "$what: no '$pattern' in: $(tail -n 20 "$work/last")"
  checks=$((checks + 1))
}

# same WHAT EXPECTED ACTUAL
same() {
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
  checks=$((checks + 1))
}

# outputs PATTERN COMMAND...: for wait_for: the command succeeds and its output matches.
outputs() {
  local pattern=$1
  shift
  "$@" >"$work/outputs" 2>&1
  local status=$?
  cat "$work/outputs"
  [ $status -eq 0 ] && grep -Eq -- "$pattern" "$work/outputs"
}

# empty COMMAND...: for wait_for: the command succeeds and prints nothing.
empty() {
  local out
  out=$("$@") || return 1
  echo "$out"
  [ -z "$out" ]
}

# answers NAMESPACE URL N: N different pods answer at the URL (its /cgi-bin/hostname).
answers() {
  local i
  for i in $(seq 40); do
    in_ns "$run_id-$1" curl -sS --max-time 2 "$2/cgi-bin/hostname" || return 1
  done | sort -u >"$work/answers"
  cat "$work/answers"
  [ "$(grep -c . "$work/answers")" = "$3" ]
}
