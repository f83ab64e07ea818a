#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need systemd-analyze redis-server redis-cli
unit=$(find /usr/lib/systemd/system /lib/systemd/system -name redis-server.service 2>/dev/null | head -n 1)
[ -n "$unit" ] || {
    echo "this example takes Debian's redis-server.service" >&2
    exit 77
}
"$sockseal" keygen -o keys redis
library=$(SOCKSEAL_PORTS='' "$sockseal" -p 9 -k keys env | sed -n 's/^LD_PRELOAD=//p')

# variant DROP-IN: a directory of units with it; an uninstalled sockseal has another path.
variant() {
    rm -rf units
    mkdir -p units/redis-server.service.d
    cp "$unit" units
    sed "s|/usr/bin/sockseal|$sockseal|" "$here/$1" >units/redis-server.service.d/sockseal.conf
}

for drop_in in redis-server-sockseal.conf sockseal.conf; do
    say "systemd-analyze verify: $drop_in"
    variant $drop_in
    SYSTEMD_UNIT_PATH=$dir/units: systemd-analyze verify --man=no --recursive-errors=no redis-server.service
    # It passes over what it does not know with a warning, and that counts as a fault here.
    SYSTEMD_UNIT_PATH=$dir/units: systemd-analyze verify --man=no --recursive-errors=no redis-server.service 2>&1 |
        tee verified
    lacks . verified
done

say "systemd-analyze verify: sockseal-metrics.timer and its service"
sed "s|/usr/bin/sockseal|$sockseal|" "$here/sockseal-metrics.service" >units/sockseal-metrics.service
cp "$here/sockseal-metrics.timer" units
SYSTEMD_UNIT_PATH=$dir/units: systemd-analyze verify --man=no --recursive-errors=no sockseal-metrics.timer \
    sockseal-metrics.service 2>&1 | tee verified
lacks . verified

# The drop-in's own command with systemd's specifiers put in, on another port and with a configuration of this directory.
variant redis-server-sockseal.conf
cat >redis.conf <<END
bind 127.0.0.1
port 6420
save ""
dir /tmp
END
sed -n 's/^ExecStart=\(..*\)/\1/p' units/redis-server.service.d/sockseal.conf |
    sed "s|\${CREDENTIALS_DIRECTORY}|/run/credentials/redis-server.service|; s|listen:6379|listen:6420|
         s|/etc/redis/redis.conf|$dir/redis.conf|; s|--supervised systemd|--supervised no|" >command-line
exec_paths=$(cat units/redis-server.service units/redis-server.service.d/sockseal.conf | sed -n 's/^ExecPaths=//p' | tr '\n' ' ')
chmod 644 redis.conf

# Runs with the unit's mounts: the credential, and all of the system not executable but for ExecPaths.
cat >service <<END
set -e
mkdir -p $dir/root
mount --rbind / $dir/root
mount --make-rslave $dir/root
mount -o remount,bind,noexec $dir/root
for path in $exec_paths $library; do
    [ -e "\$path" ] || continue
    path=\$(readlink -f "\$path")
    mount --bind "\$path" "$dir/root\$path"
    mount -o remount,bind,exec "$dir/root\$path"
done
mount -t tmpfs -o mode=755 none $dir/root/run
mkdir -p $dir/root/run/credentials/redis-server.service
mount -t tmpfs -o mode=550 none $dir/root/run/credentials/redis-server.service
cp $dir/keys $dir/root/run/credentials/redis-server.service/sockseal-keys
chgrp redis $dir/root/run/credentials/redis-server.service $dir/root/run/credentials/redis-server.service/sockseal-keys
chmod 440 $dir/root/run/credentials/redis-server.service/sockseal-keys
mount -o remount,bind,ro $dir/root/run/credentials/redis-server.service
printf 'redis may execute /usr/bin/env here: '
chroot $dir/root true 2>/dev/null && echo yes || echo no
exec $(command -v python3) -c '
import ctypes, os, pwd, sys
user = pwd.getpwnam("redis")
os.chroot("$dir/root"); os.chdir("/")
os.setgroups([]); os.setgid(user.pw_gid); os.setuid(user.pw_uid)
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
os.execv(sys.argv[1], sys.argv[1:])' \$TRACE $(cat command-line)
END

if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
    need python3
    say "The command in ExecStart, as the unit runs it"
    cat command-line
    start service env TRACE= unshare --mount sh service
    until_true "$sockseal" ping -k keys 127.0.0.1 6420
    # As a root without more capabilities than sockseal-metrics.service has.
    rights=$(sed -n 's/^CapabilityBoundingSet=//p' "$here/sockseal-metrics.service" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
    setpriv --bounding-set="-all,$rights" "$sockseal" status --prometheus -o sockseal.prom
    grep 'handshakes_total.*redis-server' sockseal.prom
    "$sockseal" -p connect:6420 -k keys redis-cli -p 6420 set greeting hello
    grep 'may execute' service.log
    grep -q 'may execute.*no' service.log
    kill "${pids[@]}"
    wait
    pids=()
fi

if command -v strace >/dev/null; then
    say "Its system calls are among those that the unit allows"
    for set in @system-service @privileged @resources; do
        systemd-analyze syscall-filter $set >"set$set"
    done
    # A set names others: those are looked up until there are none.
    members() {
        sed 's/#.*//' | tr -d ' ' | grep . | while read -r name; do
            case $name in
            @*) systemd-analyze syscall-filter "$name" | tail -n +2 | members ;;
            *) echo "$name" ;;
            esac
        done
    }
    systemd-analyze syscall-filter @system-service | tail -n +2 | members | sort -u >allowed
    for set in @privileged @resources; do
        systemd-analyze syscall-filter $set | tail -n +2 | members
    done | sort -u >denied
    trace() {
        local name=$1 port=$2
        shift 2
        start "$name" strace -f -o "$name.trace" "$@" redis-server --bind 127.0.0.1 --port "$port" --save ''
        local tracer=${pids[-1]}
        until_true listens "$port"
        "$sockseal" -p 6421 -k keys redis-cli -p "$port" set "greeting-$port" hello
        kill "$(pgrep -P "$tracer" | head -n 1)"
        wait "$tracer" || :
        pids=()
        sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' "$name.trace" | sort -u >"$name.calls"
    }
    trace sealed 6421 "$sockseal" -p listen:6421 -k keys
    trace plain 6422
    comm -23 sealed.calls allowed | comm -23 - plain.calls >outside
    comm -12 sealed.calls denied | comm -23 - plain.calls >>outside
    echo "of the $(comm -23 sealed.calls plain.calls | wc -l) that plain redis does not make, outside: $(wc -l <outside)"
    lacks . outside
fi
done_well "systemd takes the drop-ins, and the service runs as its unit restricts it"
