#!/bin/bash
# The long suite: 10,000 seeds, larger and longer than CI's, on all cores.
#   long.sh ORCH_SIM [FROM TO]
set -euo pipefail
sim=${1:?usage: long.sh ORCH_SIM [FROM TO]}
from=${2:-1} to=${3:-10000}
chunk=50
starts=$(seq "$from" "$chunk" "$to")
export sim to chunk
one() {
  local last=$(($1 + chunk - 1))
  "$sim" --seeds "$1-$((last < to ? last : to))" --steps 80 --nodes 6
}
export -f one
# Every chunk runs to its end; a failing seed prints the command that replays it.
if ! echo "$starts" | xargs -P "$(nproc)" -I{} bash -c 'one {}'; then
  echo "long.sh: some seeds failed"
  exit 1
fi
