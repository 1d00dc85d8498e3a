#!/usr/bin/env bash
# The long suite: 1,000 power cuts and 1,000 kills of a busy store, and 100 kills of the whole server
# under clients of its etcd API (CI does 50, 20 and 3). Takes the folder of a build; ends at the first
# loss.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$top/build/dev}
points=${2:-1000}
program=$build/tests/unit_storage
[ -x "$program" ] || { echo "build unit_storage in $build first" >&2; exit 2; }
export ORCH_POWER_CUTS=$points ORCH_CRASH_ROUNDS=$points
"$program" "nothing acknowledged is lost to a power cut"
"$program" "nothing acknowledged is lost to kill -9"
"$program" "[promises],[history]"
"$build/tests/history/history_mutants"
# One history of 10 lives at a time: the search for an order grows with it.
for ((done = 0; done < points; done += 100)); do
  ORCH_BINARY=$build/orch ORCH_GRPC_LIVES=11 "$build/tests/history/history_grpc"
done
echo "$points power cuts, $points kills, $((points / 10)) kills of the server: nothing acknowledged is lost"
