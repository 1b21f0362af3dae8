#!/bin/sh
# Builds a binary for glibc 2.31 and newer: JetPack 5, 6 and 7, Debian 11, Ubuntu 20.04. Needs no container.
#
#   deploy/cross-build.sh [arm64|amd64] [--smoke]
#
# The result is target/cross/<target>/release/diffused, its path the only line on standard output. zig links, and for
# another machine than this one Debian's compiler compiles; both are brought into target/cross the first time (some
# 200 MB). --smoke runs the arm64 binary under qemu and compares its picture with that of a binary for this machine.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
. "$root/deploy/cross/apt.sh"
. "$root/deploy/cross/tools.sh"
cross="$root/target/cross"
glibc=2.31

target_of() {
    case $1 in
        arm64 | aarch64) echo aarch64-unknown-linux-gnu ;;
        amd64 | x86_64) echo x86_64-unknown-linux-gnu ;;
        *)
            echo "cross-build.sh: the machine must be arm64 or amd64, got $1" >&2
            exit 64
            ;;
    esac
}

# build TARGET
build() (
    need_zig
    [ "$1" = "$(target_of "$(uname -m)")" ] || need_foreign_compiler
    cargo-zigbuild zigbuild --release --locked --no-default-features --manifest-path "$root/Cargo.toml" \
        --target-dir "$cross" --target "$1.$glibc" >&2
)

# The newest symbols that the binary wants of the C library, and the libraries that it wants at all.
check_needs() {
    newest=$(readelf --version-info --wide "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
    oldest=$(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | head -n 1)
    if [ -z "$newest" ] || [ "$oldest" != "$newest" ]; then
        echo "cross-build.sh: the binary must want at most GLIBC_$glibc, it wants ${newest:-nothing known}" >&2
        exit 1
    fi
    foreign=$(readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vxE 'lib(c|m|dl|pthread)\.so\.[0-9]+|ld-linux-(x86-64|aarch64)\.so\.[0-9]+' || true)
    if [ -n "$foreign" ]; then
        echo "cross-build.sh: the binary must want nothing but the C library, it wants $foreign" >&2
        exit 1
    fi
    echo "$1 wants at most $newest, and nothing but the C library" >&2
}

machine=${1:-arm64}
target=$(target_of "$machine")
need_compiler
need readelf binutils
mkdir -p "$cross"
build "$target"
binary="$cross/$target/release/diffused"
check_needs "$binary"
if [ "${2:-}" = --smoke ]; then
    own=$(target_of "$(uname -m)")
    build "$own"
    "$root/deploy/cross/smoke.sh" "$binary" "$cross/$own/release/diffused" >&2
fi
echo "$binary"
