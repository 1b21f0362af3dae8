#!/bin/sh
# A node with the real Home Assistant, from the package registry, in an environment of its own below target/.
#
#   tests/home_assistant.sh [--form device] [--models models] [--hass PROGRAM] [--keep FOLDER]
#
# PYTHON is a Python 3.11 (Home Assistant 2024.3, the single form) or 3.13 (2026.2, also the device form); some of what
# is installed is compiled. Without --models the pictures are the fake generator's, with it those of the bundled model.
# --hass may be a script that enters another root, in which --keep must be the same folder.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need mosquitto mosquitto
python=${PYTHON:-python3.11}
need "$python" "$python" "$python-venv"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
list=$root/tests/home_assistant/requirements-$version.txt
[ -e "$list" ] || { echo "there is no list of packages for Python $version: $list" >&2 && exit 69; }
target=${CARGO_TARGET_DIR:-$root/target}
place=$target/home-assistant-$version
if ! cmp -s "$list" "$place/installed.txt"; then
    rm -rf "$place"
    "$python" -m venv "$place"
    "$place/bin/pip" install --quiet -r "$list"
    cp "$list" "$place/installed.txt"
fi
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --bins --example fake-node
node=$target/debug/examples/fake-node
case " $* " in *" --models "*)
    "$root/deploy/onnxruntime.sh"
    node=$target/debug/diffused
    ;;
esac
exec "$place/bin/python" -B "$root/tests/home_assistant/try.py" --hass "$place/bin/hass" --node "$node" "$@"
