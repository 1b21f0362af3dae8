#!/bin/sh
# Pools on brokers of different make, with the patience of real requesters; prints the figures of docs/fleet.md.
#
#   tests/fleet.sh [arguments for the test binary]
#
# MQTTV5 may name the program mqttv5 of the crate mqttv5-cli; else it is built into target/fleet, which takes minutes.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
"$root/deploy/onnxruntime.sh"
if [ -z "${MQTTV5:-}" ]; then
    MQTTV5=$root/target/fleet/bin/mqttv5
    [ -x "$MQTTV5" ] ||
        cargo install --quiet --debug --no-default-features --root "$root/target/fleet" --version 0.29.10 mqttv5-cli
fi
export MQTTV5
cargo test --locked --manifest-path "$root/Cargo.toml" --test it fleet::full -- --ignored --nocapture --test-threads 1 "$@"
