#!/usr/bin/env bash
# Installs the Debian packages of the given groups (packaging/packages.txt): install-deps.sh build run test.
# Needs root if one is missing; may be run again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive

say() { printf '==> %s\n' "$*"; }

wanted=()
for group in "${@:-build}"; do
  while read -r g package; do
    [ "$g" = "$group" ] && wanted+=("$package")
  done < <(grep -v '^#' "$here/packages.txt")
done

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "install-deps.sh: missing packages (${missing[*]}); run as root" >&2; exit 1; }
  say "apt-get update"
  apt-get update -q
  say "apt-get install ${missing[*]}"
  # Services that packages bring (containerd, etcd) are not started: orch and its tests run
  # their own. A policy that the machine already has stays as it is.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
say "dependencies are there"
