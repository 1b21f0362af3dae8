#!/bin/sh
# Compares a picture of the aarch64 binary, under qemu with the C library of JetPack 5, with one of another binary.
#
#   deploy/cross/smoke.sh AARCH64_BINARY BINARY_OF_THIS_MACHINE
#
# The pictures are bitmaps, so that their bytes are the pixels; they may differ by 2 of 255, because two processors do
# not add in the same order.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cross="$root/target/cross"
. "$root/deploy/needs.sh"
. "$root/deploy/cross/apt.sh"
. "$root/deploy/cross/tools.sh"
foreign=$1 own=$2
out="$cross/smoke"
prompt="a red circle on a blue background"

need_qemu
"$root/deploy/onnxruntime.sh"
"$root/deploy/onnxruntime.sh" "$cross/onnxruntime-aarch64" aarch64
mkdir -p "$out"

# generate NAME LIBRARY COMMAND...
generate() {
    name=$1 library=$2
    shift 2
    "$@" generate "$prompt" --seed 7 --model "$root/models/shapes" --library "$library" --format bmp -o "$out/$name.bmp"
}
generate own "$root/onnxruntime" "$own"
generate foreign "$cross/onnxruntime-aarch64" \
    "$cross/qemu/usr/bin/qemu-aarch64" -cpu cortex-a76 -L "$cross/glibc-2.31" "$foreign"

# `cmp` prints the bytes that differ, in octal, and ends with 1 if there are any.
cmp -l "$out/own.bmp" "$out/foreign.bmp" >"$out/differences" || true
[ "$(wc -c <"$out/own.bmp")" = "$(wc -c <"$out/foreign.bmp")" ] || { echo "the pictures differ in size" >&2; exit 1; }
awk -v bytes="$(wc -c <"$out/own.bmp")" '
    function value(octal) { return int(octal / 100) * 64 + int(octal % 100 / 10) * 8 + octal % 10 }
    { d = value($2) - value($3); if (d < 0) d = -d; if (d > most) most = d; n++ }
    END {
        printf "aarch64 against x86-64: %d of %d bytes differ, by %d of 255 at most (2 are allowed)\n", n, bytes, most
        exit most > 2
    }' "$out/differences"
