#!/bin/sh
# Sets up what is missing, builds, and runs the demo: broker, service and bundled model in one process, one prompt over
# MQTT, and the picture as demo.png in the current folder.
#
#   deploy/demo.sh [PROMPT] [--keep-running]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need_pip
"$root/deploy/onnxruntime.sh"
cargo build --release --locked --manifest-path "$root/Cargo.toml"
exec "${CARGO_TARGET_DIR:-$root/target}/release/diffused" demo "$@"
