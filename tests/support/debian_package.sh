#!/usr/bin/env bash
# debian_package.sh CODENAME PACKAGE: the unpacked files of a package of another Debian release, for programs that the
# machine's own release lacks or builds without a part. Nothing is installed; kept in
# ${XDG_CACHE_HOME:-~/.cache}/orch-tests. Fails, saying why, where that archive cannot be reached.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/orch-tests
folder=$cache/debian_$1_$2
if [ ! -d "$folder" ]; then
  command -v apt-get >/dev/null || { echo "no apt-get on this machine" >&2; exit 1; }
  # The archive that this machine's own packages come from.
  archive=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 == "Debian" {print $3; exit}')
  [ -n "$archive" ] || { echo "no Debian archive among this machine's package sources" >&2; exit 1; }
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/part-XXXXXX")
  trap 'rm -rf "$part"' EXIT
  mkdir -p "$part"/{lists/partial,cache/archives/partial,files}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $1 main" >"$part/sources.list"
  apt=(timeout 180 apt-get -q -o "Dir::Etc::sourcelist=$part/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::Etc::preferencesparts=- -o "Dir::State::lists=$part/lists" -o "Dir::Cache=$part/cache"
    -o Acquire::Languages=none -o APT::Sandbox::User=root)
  (cd "$part" && "${apt[@]}" update && "${apt[@]}" download "$2") >"$part/log" 2>&1 </dev/null ||
    { echo "cannot download $2 of $1: $(tail -n 1 "$part/log")" >&2; exit 1; }
  dpkg-deb -x "$part"/"$2"_*.deb "$part/files"
  mv -T "$part/files" "$folder"
fi
echo "$folder"
