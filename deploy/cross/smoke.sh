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

# Else the program would start itself again, without qemu.
export ORT_DISABLE_TELEMETRY=1
need_qemu
"$root/deploy/onnxruntime.sh"
"$root/deploy/onnxruntime.sh" "$cross/onnxruntime-aarch64" aarch64
mkdir -p "$out"

# generate NAME SEED LIBRARY COMMAND...
generate() {
    name=$1 seed=$2 library=$3
    shift 3
    "$@" generate "$prompt" --seed "$seed" --model "$root/models/shapes" --library "$library" --format bmp \
        -o "$out/$name.bmp"
}

# compare NAME NAME: says how far two pictures are from each other, and fails if that is too far.
compare() {
    bytes=$(wc -c <"$out/$1.bmp")
    [ "$bytes" = "$(wc -c <"$out/$2.bmp")" ] || { echo "$1 and $2 are not of one size"; return 1; }
    # `cmp` prints the bytes that differ, in octal, and ends with 1 if there are any.
    { cmp -l "$out/$1.bmp" "$out/$2.bmp" || true; } | awk -v names="$1 against $2" -v bytes="$bytes" '
        function value(octal) { return int(octal / 100) * 64 + int(octal % 100 / 10) * 8 + octal % 10 }
        { d = value($2) - value($3); if (d < 0) d = -d; if (d > most) most = d }
        END {
            printf "%s: %d of %d bytes differ, by %d of 255 at most (2 are allowed)\n", names, NR, bytes, most
            exit most > 2
        }'
}

generate x86-64 7 "$root/onnxruntime" "$own"
generate another-seed 8 "$root/onnxruntime" "$own"
generate aarch64 7 "$cross/onnxruntime-aarch64" \
    "$cross/qemu/usr/bin/qemu-aarch64" -cpu cortex-a76 -L "$cross/glibc-2.31" "$foreign"
if compare x86-64 another-seed; then
    echo "smoke.sh: two pictures that differ are not told apart" >&2
    exit 70
fi
compare x86-64 aarch64
