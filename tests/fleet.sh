#!/bin/sh
# Pools on brokers of different make, with the patience of real requesters; prints the figures of docs/fleet.md.
#
#   tests/fleet.sh [arguments for the test binary]
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need mosquitto mosquitto
"$root/deploy/onnxruntime.sh"
cargo test --locked --manifest-path "$root/Cargo.toml" --test it fleet::full -- --ignored --nocapture --test-threads 1 "$@"
