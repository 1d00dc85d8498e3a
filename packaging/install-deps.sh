#!/usr/bin/env bash
# Installs the Debian packages of the given groups (packaging/packages.txt): install-deps.sh build run test
# and, for build, cpp-httplib's full header out of Debian's source package. Needs root; may be run again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive
httplib_dir=${ORCH_HTTPLIB_DIR:-/usr/local/include/orch-httplib}

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

fresh=0
refresh() { [ $fresh = 1 ] || { say "apt-get update"; apt-get update -q; fresh=1; }; }

if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "install-deps.sh: missing packages (${missing[*]}); run as root" >&2; exit 1; }
  refresh
  say "apt-get install ${missing[*]}"
  # Services that packages bring (containerd) are not started: orch runs its own.
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

case " $* " in *" build "*)
  if [ ! -s "$httplib_dir/httplib.h" ]; then
    say "cpp-httplib: full header from Debian's source package"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # A deb-src twin of the system's Debian archive, used for this one download only.
    cat > "$work/src.list" <<LIST
deb-src http://deb.debian.org/debian bookworm main
LIST
    options=(-o "Dir::Etc::sourcelist=$work/src.list" -o Dir::Etc::sourceparts=/dev/null
             -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
    mkdir -p "$work/lists/partial"
    apt-get "${options[@]}" update -q
    (cd "$work" && apt-get "${options[@]}" source -q --download-only cpp-httplib &&
     dpkg-source -x --no-check cpp-httplib_*.dsc source)
    install -D -m 644 "$work/source/httplib.h" "$httplib_dir/httplib.h"
  fi ;;
esac
say "dependencies are there"
