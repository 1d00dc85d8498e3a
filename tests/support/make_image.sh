#!/bin/bash
# Makes a container image archive (OCI layout in a tar) around busybox-static, without any image tool.
#
#   make_image.sh OUTPUT.tar [NAME:TAG] [CONTENT]
#
# NAME:TAG defaults to docker.io/library/orch-test:1. The image has /bin/busybox with links for its
# applets; without a command (/bin/serve) it serves CONTENT (default: NAME:TAG) with httpd on port 8080.
# /cgi-bin/hostname answers with the host name of the pod.
set -euo pipefail

output=${1:?usage: make_image.sh OUTPUT.tar [NAME:TAG] [CONTENT]}
name=${2:-docker.io/library/orch-test:1}
content=${3:-$name}
busybox=$(command -v busybox)
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$dir/root
mkdir -p "$root"/{bin,sbin,etc,tmp,proc,sys,dev,root,var/run,home/user,www/cgi-bin}
cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
chmod 1777 "$root/tmp"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\nnobody:x:65534:\n' >"$root/etc/group"
printf '%s\n' "$content" >"$root/www/index.html"
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nhostname\n' >"$root/www/cgi-bin/hostname"
chmod 755 "$root/www/cgi-bin/hostname"
# A shell as process 1, since busybox's httpd would not end on SIGTERM there.
printf '#!/bin/sh\ntrap "exit 0" TERM INT\n/bin/httpd -f -p 8080 -h /www &\nwait\n' >"$root/bin/serve"
chmod 755 "$root/bin/serve"

oci=$dir/oci
mkdir -p "$oci/blobs/sha256"
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$dir/layer.tar" .

# Prints "DIGEST SIZE" of a file and puts it among the blobs.
add_blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  cp "$1" "$oci/blobs/sha256/$digest"
  echo "$digest $size"
}

read -r layer_digest layer_size < <(add_blob "$dir/layer.tar")
cat >"$dir/config.json" <<JSON
{"architecture":"$arch","os":"linux","config":{"Env":["PATH=/bin:/sbin"],"WorkingDir":"/","Cmd":["/bin/serve"]},"rootfs":{"type":"layers","diff_ids":["sha256:$layer_digest"]}}
JSON
read -r config_digest config_size < <(add_blob "$dir/config.json")
cat >"$dir/manifest.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config_digest","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:$layer_digest","size":$layer_size}]}
JSON
read -r manifest_digest manifest_size < <(add_blob "$dir/manifest.json")
cat >"$oci/index.json" <<JSON
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest_digest","size":$manifest_size,"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"${name##*:}"},"platform":{"architecture":"$arch","os":"linux"}}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"

# Beside the target first: a watcher of the folder never sees half an archive.
tar -C "$oci" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$output.part" oci-layout index.json blobs
mv "$output.part" "$output"
