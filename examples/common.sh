# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# shellcheck shell=bash
#
# What the run.sh files have in common. Each starts everything on the loopback interface and in a directory of its own,
# checks what came out, and leaves nothing behind. $1, or else the path, says where `sockseal` is.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
sockseal=$(command -v "${1:-$here/../../build}/sockseal" || command -v sockseal) || {
    echo "no sockseal: run make first, or install it" >&2
    exit 1
}
sockseal=$(readlink -f "$sockseal")
dir=$(mktemp -d /tmp/sockseal-example-XXXXXX)
chmod 711 "$dir"
cd "$dir"
pids=()

# What an example has to take back besides.
undo() {
    :
}

finish() {
    local status=$?
    trap - EXIT
    [ $status = 0 ] || [ $status = 77 ] || {
        echo "FAILED" >&2
        tail -n 5 "$dir"/*.log >&2 || :
    }
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || :
    wait || :
    cd /
    undo
    rm -rf --one-file-system "$dir"
    exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

say() {
    printf '\n* %s\n' "$*"
}

need() {
    for program; do
        command -v "$program" >/dev/null || {
            echo "this example takes $program, which is not installed" >&2
            exit 77
        }
    done
}

# until_true COMMAND...: waits for at most 30 seconds until it succeeds.
until_true() {
    local end=$((SECONDS + ${LIMIT:-30}))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || {
            echo "waited in vain for: $*" >&2
            return 1
        }
        sleep 0.1
    done
}

# start NAME COMMAND...: in the background, with its output in NAME.log
start() {
    local name=$1
    shift
    "$@" >"$dir/$name.log" 2>&1 &
    pids+=($!)
}

# A connection made to find out would count as a client: the kernel's table says it as well.
listens() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ":$(printf %04X "$1") 0*:0000 0A"
}

# fails COMMAND...: succeeds if the command does not.
fails() {
    ! timeout 20 "$@" >"$dir/fails.log" 2>&1
}

# lacks PATTERN FILE...: fails, and shows the line, if one of the files has it.
lacks() {
    if grep -E -- "$@" >&2; then
        return 1
    fi
}

done_well() {
    printf '\nok: %s\n' "$*"
}
