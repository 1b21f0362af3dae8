#!/bin/sh
# The page in a real browser: a demo with its embedded broker and the bundled model makes pictures, and headless Chromium
# says what it sees. Leaves screenshots.
#
#   tests/page.sh [FOLDER]
#
# FOLDER is target/page unless given. The browser is Debian's; playwright, which leads it, is installed below target/.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
need_compiler
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || install "venv" python3-venv
browser=$(command -v chromium-headless-shell || command -v chromium || true)
if [ -z "$browser" ]; then
    install "chromium" chromium
    browser=$(command -v chromium)
fi
"$root/deploy/onnxruntime.sh"
target=${CARGO_TARGET_DIR:-$root/target}
place=$target/page-venv
if [ ! -e "$place/bin/playwright" ]; then
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet playwright==1.65.2
fi
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --bins
exec "$place/bin/python" -B "$root/tests/page/look.py" --program "$target/debug/diffused" --browser "$browser" \
    --folder "${1:-$target/page}"
