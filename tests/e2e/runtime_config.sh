#!/usr/bin/env bash
# --runtime-config on the real binary: alpha APIs are there when asked for, and their controllers may do what they do.
source "$(dirname "$0")/lib.sh"

need_netns
need_kubectl
setup
make_ns a
start_server n1 a --disable-agent --advertise-address 127.0.0.1 --runtime-config api/alpha=true
k api-resources --api-group coordination.k8s.io | grep -q '^leasecandidates' || fail "no LeaseCandidates"

k create -f - >/dev/null <<END || fail "no candidate, no version"
apiVersion: coordination.k8s.io/v1alpha2
kind: LeaseCandidate
metadata: {name: me, namespace: kube-system}
spec:
  {leaseName: thing, binaryVersion: 1.32.0, emulationVersion: 1.32.0, strategy: OldestEmulationVersion,
   renewTime: "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)"}
---
apiVersion: coordination.k8s.io/v1alpha2
kind: LeaseCandidate
metadata: {name: gone, namespace: kube-system}
spec:
  {leaseName: other, binaryVersion: 1.32.0, emulationVersion: 1.32.0, strategy: OldestEmulationVersion,
   renewTime: "2020-01-01T00:00:00.000000Z"}
---
apiVersion: internal.apiserver.k8s.io/v1alpha1
kind: StorageVersion
metadata: {name: apps.deployments}
spec: {}
END
k patch storageversion apps.deployments --subresource=status --type=merge -p '{"status":{"storageVersions":
  [{"apiServerID":"nobody","encodingVersion":"v1","decodableVersions":["v1"]}]}}' >/dev/null || fail "no status"

holder() { [ "$(k -n kube-system get lease thing -o 'jsonpath={.spec.holderIdentity}')" = me ]; }
wait_for 30 "the only candidate elected" holder
version_gone() { ! k get storageversion apps.deployments >/dev/null 2>&1; }
wait_for 30 "a version of no API server to go" version_gone

# Candidates are looked through when the controllers begin, then every half hour.
stop_orch n1
start_server n1 a --disable-agent --advertise-address 127.0.0.1 --runtime-config api/alpha=true
candidate_gone() { [ "$(k -n kube-system get leasecandidates -o name)" = leasecandidate.coordination.k8s.io/me ]; }
wait_for 30 "the candidate that is silent to go" candidate_gone

# Without the flag they are not there.
stop_orch n1
start_server n1 a --disable-agent --advertise-address 127.0.0.1
k api-resources --api-group coordination.k8s.io | grep -q leasecandidates && fail "LeaseCandidates unasked"
said=$(nsenter --net="/var/run/netns/$server_ns" "$orch" server --disable-agent --data-dir "$work/other" \
  --runtime-config apps/v9=true 2>&1) && fail "an unknown API is taken"
case $said in
*'--runtime-config: "apps/v9"'*) ;;
*) fail "the error does not name it: $said" ;;
esac
exit 0
