#!/bin/sh
# A node with the real Home Assistant, from the package registry, in an environment of its own below target/.
#
#   tests/home_assistant.sh [--models models] [--keep FOLDER]
#
# PYTHON names another Python 3.11 or 3.12 than the one on the path.
# Without --models the pictures are the fake generator's, with it those of the bundled model.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need mosquitto mosquitto
python=${PYTHON:-python3.11}
need "$python" "$python" "$python-venv"
target=${CARGO_TARGET_DIR:-$root/target}
place=$target/home-assistant
if ! cmp -s "$root/tests/home_assistant/requirements.txt" "$place/installed.txt"; then
    rm -rf "$place"
    "$python" -m venv "$place"
    "$place/bin/pip" install --quiet -r "$root/tests/home_assistant/requirements.txt"
    cp "$root/tests/home_assistant/requirements.txt" "$place/installed.txt"
fi
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --bins --example fake-node
node=$target/debug/examples/fake-node
case " $* " in *" --models "*)
    "$root/deploy/onnxruntime.sh"
    node=$target/debug/diffused
    ;;
esac
exec "$place/bin/python" -B "$root/tests/home_assistant/try.py" --hass "$place/bin/hass" --node "$node" "$@"
