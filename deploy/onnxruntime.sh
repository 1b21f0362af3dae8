#!/bin/sh
# Brings ONNX Runtime's library out of the package registry's wheel into a folder where diffused finds it by itself.
#
#   deploy/onnxruntime.sh [FOLDER] [x86_64|aarch64]
#
# FOLDER is onnxruntime/ in the checkout unless given; the machine is this one. Needs Python 3 with pip.
# Does nothing if the right library is there already.
set -eu

version=1.31.1
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-$root/onnxruntime}
machine=${2:-$(uname -m)}

case $machine in
    x86_64) sha256=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536 ;;
    aarch64 | arm64)
        machine=aarch64
        sha256=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc
        ;;
    *)
        echo "onnxruntime.sh: there is no library for $machine here, only for x86_64 and aarch64" >&2
        exit 1
        ;;
esac

mark="$folder/.wheel-sha256"
if [ -f "$folder/libonnxruntime.so" ] && [ "$(cat "$mark" 2>/dev/null)" = "$sha256" ]; then
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "fetching ONNX Runtime $version for $machine (about 23 MB)" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.12 \
    --implementation cp --platform "manylinux_2_28_$machine" --dest "$scratch" "onnxruntime==$version"
wheel=$(ls "$scratch"/onnxruntime-*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet -

# The library is moved into place as the last step, so that a broken run leaves nothing that looks finished.
python3 - "$wheel" "$scratch" <<'PYTHON'
import sys, zipfile
wheel, scratch = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith("onnxruntime/capi/libonnxruntime") or name in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
            archive.extract(name, scratch)
PYTHON
mkdir -p "$folder"
cp "$scratch/onnxruntime/LICENSE" "$scratch/onnxruntime/ThirdPartyNotices.txt" "$folder/"
cp "$scratch/onnxruntime/capi/libonnxruntime_providers_shared.so" "$folder/"
cp "$scratch/onnxruntime/capi/libonnxruntime.so.$version" "$folder/"
ln -sf "libonnxruntime.so.$version" "$folder/libonnxruntime.so"
printf %s "$sha256" >"$mark"
echo "ONNX Runtime $version is in $folder" >&2
