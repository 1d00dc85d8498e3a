#!/usr/bin/env bash
# npm_package.sh NAME@VERSION: the folder of that npm package with its dependencies beside it, installed once and
# kept in ${XDG_CACHE_HOME:-~/.cache}/orch-tests. Fails, saying why, where there is no npm or no registry.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/orch-tests
name=${1%@*}
folder=$cache/$(tr '/@' '__' <<<"$1")
if [ ! -d "$folder" ]; then
  command -v npm >/dev/null || { echo "no npm on this machine" >&2; exit 1; }
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/part-XXXXXX")
  trap 'rm -rf "$part"' EXIT
  timeout 180 npm install --silent --prefix "$part" --ignore-scripts --legacy-peer-deps --no-audit --no-fund "$1" \
    >"$part/log" 2>&1 </dev/null || { echo "npm cannot install $1: $(tail -n 1 "$part/log")" >&2; exit 1; }
  mv -T "$part" "$folder"
fi
echo "$folder/node_modules/$name"
