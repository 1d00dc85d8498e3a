#!/usr/bin/env bash
# Installs what the tests need, builds, runs all of them. The last lines are ctest's summary. Tests that this
# machine cannot run (no root, no namespaces) are skipped and say why.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
build=build/dev
jobs=$(nproc)

"$top/packaging/install-deps.sh" build run example test

say() { printf '==> %s (%s)\n' "$*" "$(date +%T)"; }
say "configuring"
cmake --preset dev >/dev/null
say "building"
cmake --build --preset dev --parallel "$jobs" | {
  # One line now and then instead of hundreds; errors whole.
  awk '/^\[/ && !/FAILED/ {if (++n % 50 == 0) {print; fflush()} next} {print; fflush()}'
}
say "testing"
ctest --test-dir "$build" --output-on-failure --no-tests=error "$@"
