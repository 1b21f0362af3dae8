#!/bin/sh
# Sets up what is missing and runs all tests.
#
#   deploy/test.sh [arguments for cargo test]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need_pip
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need openssl openssl
"$root/deploy/onnxruntime.sh"
if [ "$(uname -m)" = x86_64 ]; then
    # The one accelerator that needs no device.
    "$root/deploy/onnxruntime.sh" "$root/target/onnxruntime-openvino" x86_64 openvino
fi
cargo test --locked --manifest-path "$root/Cargo.toml" "$@"
