#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
[ "$(id -u)" = 0 ] || {
    echo "this example takes root, to lay out mounts as kubelet does" >&2
    exit 77
}
[ -n "${IN_NAMESPACES-}" ] || IN_NAMESPACES=1 exec unshare --mount --net "$0" "$@"
. "$(dirname "$0")/../common.sh"
need redis-server redis-cli python3 setpriv
python3 -c 'import yaml' || exit 77
ip link set lo up
library=$(SOCKSEAL_PORTS='' "$sockseal" -p 9 -k /dev/null env 2>/dev/null | sed -n 's/^LD_PRELOAD=//p')
[ -n "$library" ] || library=$(dirname "$sockseal")/libsockseal.so
mount --make-rprivate /
mount -t tmpfs none "$dir"
undo() {
    umount -l "$dir" # nothing is to be removed through a mount
}
cd "$dir"

# of MANIFEST FIELD...: the words of these lists of the pod
of() {
    python3 -c '
import shlex, sys, yaml
with open(sys.argv[1]) as file:
    pod = next(yaml.safe_load_all(file))["spec"]["template"]["spec"]
words = []
for path in sys.argv[2:]:
    value = pod
    for step in path.split("."):
        value = value[int(step) if step.isdigit() else step]
    words += value if isinstance(value, list) else [str(value)]
print(shlex.join(words))' "$here/$1" "${@:2}"
}

# The Secret, as kubelet writes it: files in a directory with a date, and links that one rename changes all at once.
secret() {
    local version=..$RANDOM$RANDOM
    mkdir "secret/$version"
    cp "$1" "secret/$version/keys"
    chmod 440 "secret/$version/keys"
    chgrp 999 "secret/$version/keys"
    ln -s $version secret/..data_tmp
    mv -T secret/..data_tmp secret/..data
    [ -e secret/keys ] || ln -s ..data/keys secret/keys
}

# lay_out POD: its root, with the image's files, the volumes and the Service's name
lay_out() {
    local root=$1/root
    mkdir -p "$1"/{upper,work,root,emptydir,data}
    mkdir -p "$1"/upper/{dev,sockseal,data,run/secrets/sockseal,etc,usr/local/bin,usr/local/lib}
    touch "$1"/upper/dev/{null,urandom}
    cp "$sockseal" "$1/upper/usr/local/bin/sockseal"
    cp "$library" "$1/upper/usr/local/lib/libsockseal.so"
    echo '127.0.0.1 localhost redis' >"$1/upper/etc/hosts"
    chmod 1777 "$1/emptydir" "$1/data"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
    mount -o remount,ro "$root"
    mount --bind "$1/emptydir" "$root/sockseal"
    mount --bind "$1/data" "$root/data"
    mount --bind secret "$root/run/secrets/sockseal"
    mount -o remount,bind,ro "$root/run/secrets/sockseal"
    mount --bind /proc "$root/proc"
    for device in null urandom; do
        mount --bind /dev/$device "$root/dev/$device"
    done
}

# in_pod POD WORDS: with the rights that the pod's securityContext leaves
in_pod() {
    eval "set -- \"\$1\" $2"
    local root=$1/root
    shift
    exec chroot "$root" setpriv --reuid 999 --regid 999 --groups 999 --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
}

begin() {
    local pod=$1 manifest=$2
    lay_out "$pod"
    (in_pod "$pod" "$(of "$manifest" initContainers.0.command)")
    mount -o remount,bind,ro "$pod/root/sockseal"
    start "$pod" in_pod "$pod" "$(of "$manifest" containers.0.command containers.0.args)"
}

probe() {
    (in_pod "$1" "$(of "$2" "containers.0.$3.exec.command")")
}

written() {
    (in_pod "$1" "/sockseal/sockseal -p 6379 -k /run/secrets/sockseal/keys redis-cli -h redis get written") || echo 0
}

# goes_on: the client writes ten times more
goes_on() {
    local before
    before=$(written writer)
    more() { [ "$(written writer)" -ge $((before + 10)) ]; }
    until_true more
}

mkdir secret
mount -t tmpfs none secret
"$sockseal" keygen -o keys redis
secret keys

say "The server's pod, and its probe"
begin redis server.yaml
until_true probe redis server.yaml startupProbe
probe redis server.yaml readinessProbe

say "The client's pod"
begin writer client.yaml
until_true probe writer client.yaml readinessProbe
goes_on
echo "written: $(written writer)"

say "A redis-cli that is not sealed, in the server's own pod"
(in_pod redis "redis-cli get written") >unsealed 2>&1 || :
cat unsealed
lacks '^"?[0-9]+"?$' unsealed

say "The key is rotated by two updates of the Secret, while the client writes"
"$sockseal" rotate keys redis >rotate.out
secret keys
goes_on
"$sockseal" rotate --finish keys redis >>rotate.out
secret keys
goes_on
probe redis server.yaml readinessProbe
echo "written: $(written writer)"
lacks 'failed|error' writer.log
done_well "both pods run as the manifests say, and no write failed while the key was changed"
