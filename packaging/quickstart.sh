#!/usr/bin/env bash
# From a fresh Debian 12 machine to an answering Deployment: installs what is needed, builds orch, starts it
# with its defaults (but for the thresholds of a full disk), deploys examples/hello.yaml and shows it answering. Needs root. May be run again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
data_dir=/var/lib/orch
log=/var/log/orch.log
kubeconfig=/etc/orch/orch.yaml
binary=/usr/local/bin/orch

step() { printf '\n==> %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "run me as root: containers, links and mounts need it"

step "1/5 Installing dependencies (list: packaging/packages.txt)"
"$here/install-deps.sh" build run example

step "2/5 Building (a few minutes the first time)"
(cd "$top" && cmake --preset release -DORCH_TESTS=OFF >/dev/null && cmake --build --preset release)
install -m 755 "$top/build/release/orch" "$binary.new" && mv -f "$binary.new" "$binary"
"$binary" version

step "3/5 Starting orch server (log: $log)"
if pgrep -f "^$binary server" >/dev/null; then
  echo "stopping the one that runs; its containers go on"
  pkill -TERM -f "^$binary server" || true
  for _ in $(seq 50); do pgrep -f "^$binary server" >/dev/null || break; sleep 0.1; done
fi
mkdir -p "$data_dir/agent/images"
"$top/tests/support/make_image.sh" "$data_dir/agent/images/orch-hello.tar" \
  docker.io/library/orch-hello:1 "Hello from orch"
# A demonstration has to run on a rather full disk too; see docs/node.md.
export ORCH_EVICTION_HARD=${ORCH_EVICTION_HARD:-memory.available<100Mi,nodefs.available<3%,imagefs.available<3%}
setsid "$binary" server --data-dir "$data_dir" >>"$log" 2>&1 </dev/null &
export KUBECONFIG=$kubeconfig
ready=
for _ in $(seq 600); do
  if "$binary" ctl get nodes 2>/dev/null | grep -qw Ready; then ready=1; break; fi
  kill -0 $! 2>/dev/null || { tail -5 "$log" >&2; die "orch ended; see $log"; }
  sleep 0.1
done
[ -n "$ready" ] || { tail -20 "$log" >&2; die "the node did not become Ready within 60 s; see $log"; }
"$binary" ctl get nodes -o wide

step "4/5 Deploying packaging/examples/hello.yaml"
"$binary" ctl apply -f "$here/examples/hello.yaml"
"$binary" ctl -n hello rollout status deployment/hello --timeout=120s
"$binary" ctl -n hello get pods -o wide

step "5/5 Asking the Service"
address=$("$binary" ctl -n hello get service hello -o 'jsonpath={.spec.clusterIP}')
for _ in 1 2 3 4 5 6; do
  printf 'http://%s/ : %s (from %s)\n' "$address" "$(curl -fsS --max-time 5 "http://$address/")" \
    "$(curl -fsS --max-time 5 "http://$address/cgi-bin/hostname")"
done

cat <<END

orch runs. Go on with:
  export KUBECONFIG=$kubeconfig            # for kubectl, helm and orch ctl
  orch ctl get pods -A                     # or kubectl get pods -A
  curl http://<this machine>:30080/        # the example's NodePort
  orch agent --join https://<this machine>:6443 --token "\$(cat $data_dir/server/token)"   # on another machine
Stop it, containers go on:      pkill -TERM -f '^$binary server'
Stop it and all containers:     pkill -TERM -f '^$binary server'; orch killall
Remove everything:              pkill -TERM -f '^$binary server'; orch uninstall; rm $binary $log
END
