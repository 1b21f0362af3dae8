#!/bin/sh
# The clients of examples/clients in every language, with those that need more than Python: Node.js and npm.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need_pip
need node nodejs
need npm npm
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
cargo test --locked --manifest-path "$root/Cargo.toml" --test it clients:: -- --include-ignored
