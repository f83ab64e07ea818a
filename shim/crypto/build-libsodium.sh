#!/bin/sh
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# Finds or builds the libsodium that is linked into libsockseal.so, and writes what the compiler and the
# linker need to DIR/cflags and DIR/libs (response files). Usage: build-libsodium.sh DIR
#
# In this order, the first that works:
#   SODIUM_PREFIX=DIR     an installed libsodium with a position-independent lib/libsodium.a
#   SODIUM_TARBALL=FILE   libsodium's source, of any distribution or upstream
#   the system's          when its archive can be part of a shared object
#   source from before    what another build of this tree has fetched, beside DIR
#   Debian's source       of the suite SODIUM_SUITE (default forky), over apt, which verifies the signature. It
#                         has an apt state of its own, so that the system's package lists are not touched; no
#                         root is needed
#   the system's, shared
#
# SODIUM_CONFIGURE: options for the source's configure, such as --enable-opt, which makes code for this machine's
# processor alone.
#
# It is static so that a program's own libsodium never meets this one.
set -eu
umask 022

suite=${SODIUM_SUITE:-forky}
cc=${CC:-cc}
target=$($cc -dumpmachine)
# What configure is told when $CC compiles for another machine.
[ "${target%%-*}" = "$(uname -m)" ] && host= || host="--host=$target AR=$($cc -print-prog-name=ar)"

say() {
    echo "libsodium: $*" >&2
}

# Writes the two response files, the one that make looks at last, and only when they change.
choose() {
    choice="$1"
    printf '%s\n' "$2" >"$dir/cflags.new"
    printf '%s\n' "$3" >"$dir/libs.new"
    if cmp -s "$dir/cflags.new" "$dir/cflags" && cmp -s "$dir/libs.new" "$dir/libs"; then
        rm "$dir/cflags.new" "$dir/libs.new"
        return
    fi
    mv "$dir/cflags.new" "$dir/cflags"
    mv "$dir/libs.new" "$dir/libs"
    say "$choice"
}

# links CFLAGS LIBS: whether a shared object can be linked from them.
links() {
    cat >"$work/try.c" <<'END'
#include <sodium.h>
int try_sodium(unsigned char *, const unsigned char *);
int try_sodium(unsigned char *out, const unsigned char *in)
{
    crypto_aead_chacha20poly1305_ietf_encrypt(out, 0, in, 16, in, 5, 0, in, in);
    return sodium_init() + crypto_scalarmult_curve25519(out, in, in);
}
END
    # shellcheck disable=SC2086
    $cc -fPIC -shared -Wl,--no-undefined $1 -o "$work/try.so" "$work/try.c" $2 >"$work/try.log" 2>&1
}

use_prefix() {
    cflags="-isystem $1/include"
    libs="$1/lib/libsodium.a"
    links "$cflags" "$libs" || return 1
    choose "$2" "$cflags" "$libs"
}

# Unpacks and builds a source archive into $dir/root.
build_tarball() {
    say "building from $(basename "$1") (half a minute)"
    rm -rf "$work/source"
    mkdir -p "$work/source"
    tar -xf "$1" -C "$work/source" --strip-components=1
    (
        unset MAKEFLAGS MAKELEVEL MFLAGS CFLAGS CPPFLAGS LDFLAGS LIBS
        cd "$work/source" || exit
        # shellcheck disable=SC2086 # several options
        CC=$cc ./configure --disable-shared --enable-static --with-pic --disable-dependency-tracking \
            --prefix="$dir/root" $host ${SODIUM_CONFIGURE-} &&
            make -j"$(nproc)" && make install DESTDIR="$work/stage"
    ) >"$dir/build.log" 2>&1 </dev/null || {
        say "the build failed; the end of $dir/build.log:"
        tail -n 15 "$dir/build.log" >&2
        return 1
    }
    rm -rf "$dir/root"
    mv "$work/stage$dir/root" "$dir/root"
    use_prefix "$dir/root" "static, from $(basename "$1")"
}

use_system() {
    archive=$($cc -print-file-name=libsodium.a)
    [ -f "$archive" ] && links "" "$archive" || return 1
    choose "static, the system's" "" "$archive"
}

# The mirror that the system itself uses for Debian; its name stands in no file. Without package lists (a
# fresh container) apt does not know which of its sources is Debian's, but still where each lies.
debian_mirror() {
    mirror=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' '$1 == "Debian" { print $2; exit }')
    [ -n "$mirror" ] || mirror=$(apt-get --print-uris update 2>/dev/null |
        sed -n "s#^'\(.*/debian/\)dists/.*#\1#p" | head -n 1)
    echo "$mirror"
}

# A frozen mirror has lists that are past their date; they are signed all the same, and any version from
# 1.0.19 on will do.
private_apt() {
    apt-get -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Etc::Preferences=- \
        -o Dir::Etc::PreferencesParts=- -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o Acquire::Check-Valid-Until=false "$@"
}

use_fetched_source() {
    tarball=$(find "$dir"/../sodium*/source -name 'libsodium_*.orig.tar.?z*' ! -name '*.asc' 2>/dev/null | head -n 1)
    [ -n "$tarball" ] && build_tarball "$tarball"
}

use_debian_source() {
    command -v apt-get >/dev/null || return 1
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || return 1
    apt="$work/apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -f $keyring ]; then options="[signed-by=$keyring] "; else options=; fi
    echo "deb-src $options$mirror $suite main" >"$apt/sources.list"
    say "fetching the source package of $suite"
    (
        cd "$apt/source"
        private_apt update && private_apt source --download-only libsodium
    ) >"$dir/fetch.log" 2>&1 </dev/null || {
        say "could not be fetched; the end of $dir/fetch.log:"
        tail -n 5 "$dir/fetch.log" >&2
        return 1
    }
    # Upstream's archive: not Debian's own part, not a signature.
    tarball=$(find "$apt/source" -name 'libsodium_*.orig.tar.?z*' ! -name '*.asc' | head -n 1)
    [ -n "$tarball" ] || return 1
    mkdir -p "$dir/source"
    cp "$tarball" "$dir/source/"
    build_tarball "$dir/source/$(basename "$tarball")"
}

use_shared() {
    if ! links "" "-lsodium"; then
        [ "$(id -u)" = 0 ] &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y libsodium-dev >"$dir/apt.log" 2>&1 &&
            links "" "-lsodium" || return 1
    fi
    choose "the system's shared library: every sealed program loads it, and meets its own if it has another. \
SODIUM_TARBALL= names a source to build from; after make distclean it is looked for again." "" "-lsodium"
}

find_libsodium() {
    if [ -n "${SODIUM_PREFIX:-}" ]; then
        use_prefix "$SODIUM_PREFIX" "static, from $SODIUM_PREFIX" && return
        say "SODIUM_PREFIX=$SODIUM_PREFIX has no libsodium that links into a shared object:"
        tail -n 5 "$work/try.log" >&2
        return 1
    fi
    if [ -n "${SODIUM_TARBALL:-}" ]; then
        build_tarball "$SODIUM_TARBALL"
        return
    fi
    use_system && return
    [ -d "$dir/root" ] && use_prefix "$dir/root" "static, built before" && return
    use_fetched_source && return
    use_debian_source && return
    use_shared && return
    say "none found. Without network: make SODIUM_TARBALL=FILE (source) or SODIUM_PREFIX=DIR"
    return 1
}

mkdir -p "$1"
dir=$(cd "$1" && pwd)
# Several makes may run at once in one tree; the second finds the first one's work.
exec 9>"$dir/lock"
flock 9
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if [ -z "${SODIUM_PREFIX:-}${SODIUM_TARBALL:-}" ] && [ -f "$dir/libs" ] && [ -f "$dir/cflags" ]; then
    exit 0
fi
find_libsodium
